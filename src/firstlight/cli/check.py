"""``firstlight check JOB``: every mistake in a job, before the first frame."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .say import (
    WRONG,
    DeviceOption,
    JsonOption,
    MemoryOption,
    OnlyOption,
    RunnerOption,
    SetOption,
    complain,
    parse_scale,
    parse_sets,
    say,
    verb,
)


@verb
def check(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="A job file (YAML).")],
    set_: SetOption = None,
    only: OnlyOption = None,
    memory: MemoryOption = None,
    device: DeviceOption = None,
    runner: RunnerOption = None,
    json_: JsonOption = False,
) -> None:
    """Open the source of a job, check every step against it, name every mistake, and print the plan: stages and bytes."""
    import json

    from firstlight.core.errors import FirstlightError, JobError
    from firstlight.jobs.load import load_job
    from firstlight.jobs.start import plan
    from firstlight.runners.describe import sizes_of

    try:
        found = plan(load_job(job, parse_sets(set_, runner, only) | parse_scale(memory, device)))
    except FirstlightError as error:
        problems = error.problems if isinstance(error, JobError) else [str(error)]
        if json_:
            say(json.dumps({"ok": False, "problems": problems}, indent=1))
        else:
            complain(str(error))
        raise typer.Exit(WRONG) from None
    steps = [{"name": planned.name, "use": planned.step.use, "outputs": _outputs(planned)} for planned in found.steps]
    if json_:
        say(
            json.dumps(
                {"ok": True, "problems": [], "steps": steps, "plan": found.describe(), **sizes_of(found)}, indent=1
            )
        )
        return
    say("The job is good.")
    for line in found.describe():
        say(line)


def _outputs(planned: object) -> dict[str, str]:
    """Axes and lengths of each output, as text."""
    found: dict[str, str] = {}
    for name, scan in getattr(planned, "outputs", {}).items():
        stream = scan.main
        found[name] = " ".join(f"{axis}={stream.sizes.get(axis) or '?'}" for axis in stream.axes)
    return found

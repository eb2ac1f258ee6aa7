"""``firstlight check JOB``: every mistake in a job, before the first frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from firstlight.core.plan import Plan


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
    from firstlight.jobs.start import plan, plan_ahead
    from firstlight.runners.describe import sizes_of

    try:
        loaded = load_job(job, parse_sets(set_, runner, only) | parse_scale(memory, device))
        ahead = plan_ahead(loaded)
        found = plan(loaded) if ahead is None else ahead[1]
    except FirstlightError as error:
        problems = error.problems if isinstance(error, JobError) else [str(error)]
        if json_:
            say(json.dumps({"ok": False, "problems": problems}, indent=1))
        else:
            complain(str(error))
        raise typer.Exit(WRONG) from None
    lines = [] if found is None else found.describe()
    if json_:
        told: dict[str, object] = {"ok": True, "problems": [], "steps": _steps(found), "plan": lines}
        told |= {"waits_for": ahead[0]} if ahead is not None else {} if found is None else sizes_of(found)
        say(json.dumps(told, indent=1))
        return
    if ahead is None:
        say("The job is good.")
    else:
        say("The job is good as far as can be told: its source is still to come.")
        say(f"waits for: {ahead[0]}")
    for line in lines:
        say(line)
    if ahead is not None:
        say(
            "Blocks and memory are planned once it is there: run this check again, or start the run, which waits for it."
        )


def _steps(plan: Plan | None) -> list[dict[str, object]]:
    """Every step with what it gives."""
    steps = () if plan is None else plan.steps
    return [{"name": planned.name, "use": planned.step.use, "outputs": _outputs(planned)} for planned in steps]


def _outputs(planned: object) -> dict[str, str]:
    """Axes and lengths of each output, as text."""
    found: dict[str, str] = {}
    for name, scan in getattr(planned, "outputs", {}).items():
        stream = scan.main
        found[name] = " ".join(f"{axis}={stream.sizes.get(axis) or '?'}" for axis in stream.axes)
    return found

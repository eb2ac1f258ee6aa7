"""``firstlight run JOB``: carry out a job file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from .say import (
    JsonOption,
    MemoryOption,
    OnlyOption,
    ReportOption,
    ResumeOption,
    RunnerOption,
    SaveAllOption,
    SetOption,
    SnapshotOption,
    StatisticsOption,
    parse_scale,
    parse_sets,
    parse_watch,
    verb,
)


@verb
def run(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="A job file (YAML).")],
    set_: SetOption = None,
    only: OnlyOption = None,
    memory: MemoryOption = None,
    resume: ResumeOption = False,
    save_all: SaveAllOption = False,
    statistics: StatisticsOption = False,
    snapshot: SnapshotOption = None,
    runner: RunnerOption = None,
    report: ReportOption = None,
    json_: JsonOption = False,
) -> None:
    """Carry out a job, in a process of its own.

    Ctrl-C ends it in order: what has arrived is worked on and written. With --json the report is printed.
    """
    from firstlight.core.errors import JobError

    if not job.is_file():
        raise JobError([f"The job file '{job}' does not exist. Give the path of a YAML file."])
    overrides = parse_sets(set_, runner, only) | parse_scale(memory, resume=resume, save_all=save_all)
    overrides |= parse_watch(snapshot, Path(), statistics=statistics)
    raise typer.Exit(carry_out(job, overrides, report, json_=json_))


def carry_out(
    job: Path | dict[str, object],
    overrides: dict[str, str],
    report: Path | None,
    *,
    json_: bool,
    tell: Callable[[dict[str, Any]], None] | None = None,
) -> int:
    """Run a job to its end, showing how it gets on; `tell` says more about the report of a run that came to its end.

    Returns:
        The exit code.
    """
    import json

    from firstlight.jobs.protocol import plain
    from firstlight.jobs.supervise import Supervisor

    from .follow import follow, uninterrupted
    from .say import check_report, say

    check_report(report)
    supervisor = Supervisor()
    run = None
    try:
        with uninterrupted():
            run = supervisor.start(job, overrides=overrides, report=report)
        code = follow(run, quiet=json_)
        if tell is not None and not code and not json_:
            tell(run.report())
        if json_:
            say(json.dumps(plain(run.report(), nan=False), indent=1))
        return code
    except KeyboardInterrupt:
        if run is not None:
            run.stop()
        raise
    finally:
        supervisor.close()

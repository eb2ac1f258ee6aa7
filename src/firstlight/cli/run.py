"""``firstlight run JOB``: carry out a job file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from .say import (
    DeviceOption,
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
    on_this_machine,
    parse_scale,
    parse_sets,
    parse_watch,
    remark,
    verb,
)


@verb
def run(
    job: Annotated[Path | None, typer.Argument(metavar="[JOB]", help="A job file (YAML).")] = None,
    again: Annotated[
        Path | None,
        typer.Option(
            "--again", metavar="RESULT", help="Carry out the job that made a result once more, on the same input."
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option("-o", "--out", metavar="OUT", help="Where the result goes, of a job with one output.")
    ] = None,
    set_: SetOption = None,
    only: OnlyOption = None,
    memory: MemoryOption = None,
    device: DeviceOption = None,
    resume: ResumeOption = False,
    save_all: SaveAllOption = False,
    statistics: StatisticsOption = False,
    snapshot: SnapshotOption = None,
    runner: RunnerOption = None,
    report: ReportOption = None,
    json_: JsonOption = False,
) -> None:
    """Carry out a job, in a process of its own.

    Ctrl-C ends it in order: a recorded scan stops where it is, and --resume goes on there; what a detector sent is worked
    on and written. With --json the report is printed.
    """
    from firstlight.jobs.load import job_values
    from firstlight.jobs.look_around import Asked, advice
    from firstlight.jobs.short_turn import demand_axis

    overrides = parse_sets(set_, runner, only) | parse_scale(memory, device, resume=resume, save_all=save_all)
    overrides |= parse_watch(snapshot, Path(), statistics=statistics)
    chosen = _chosen(job, again, out, overrides)
    left = overrides if isinstance(chosen, Path) else {}
    if job is not None and not resume:
        demand_axis(job_values(job), Asked(job, overrides))

    def tell(told: dict[str, Any]) -> None:
        for line in advice(job_values(job), Asked(job, overrides), told) if job is not None else ():
            remark(line)

    raise typer.Exit(carry_out(chosen, left, report, json_=json_, tell=tell))


def _chosen(job: Path | None, again: Path | None, out: str | None, overrides: dict[str, str]) -> Path | dict[str, Any]:
    """The job file, or the job in plain values with the overrides in it."""
    from firstlight.core.errors import JobError

    if (job is None) == (again is None):
        raise JobError(["Give a job file (YAML), or '--again RESULT' with a result of an earlier run: one of the two."])
    if again is not None:
        from firstlight.jobs.again import again as job_again

        found = job_again(again, None if out is None else on_this_machine(Path(out)), overrides)
        for text in found.remarks:
            remark(f"note: {text}")
        return found.job
    if job is None or not job.is_file():
        raise JobError([f"The job file '{job}' does not exist. Give the path of a YAML file."])
    if out is None:
        return job
    from firstlight.jobs.load import job_values, override
    from firstlight.jobs.outputs import written_to

    values = written_to(job_values(job), out if "://" in out else Path(out).absolute())
    if problems := override(values, overrides):
        raise JobError(problems)
    return values


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
    from .sweep import tell_best

    check_report(report)
    supervisor = Supervisor()
    run = None
    try:
        with uninterrupted():
            run = supervisor.start(job, overrides=overrides, report=report)
        code = follow(run, quiet=json_)
        if not code and not json_:
            told = run.report()
            tell_best(told)
            if tell is not None:
                tell(told)
        if json_:
            say(json.dumps(plain(run.report(), nan=False), indent=1))
        return code
    except KeyboardInterrupt:
        if run is not None:
            run.stop()
        raise
    finally:
        supervisor.close()

"""``firstlight sweep JOB_OR_FILE STEP.PARAMETER=VALUES -o OUT``: try many values, see them side by side, and name the best."""

from __future__ import annotations

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
def sweep(
    what: Annotated[Path, typer.Argument(metavar="JOB_OR_FILE", help="A job file (YAML), or a recorded scan.")],
    sweeps: Annotated[
        list[str],
        typer.Argument(
            metavar="STEP.PARAMETER=VALUES",
            help="What is swept: start:stop:step (both ends included), or a,b,c. Several make a grid.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="OUT", help="The pictures; the ending chooses the format. Of .png: the sheet alone."
        ),
    ],
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="PNG", help="The contact sheet; default: beside OUT.")
    ] = None,
    metric: Annotated[
        str, typer.Option("--metric", help="What tells the best: entropy, sharpness, negativity, std or residual.")
    ] = "entropy",
    values: Annotated[
        str | None,
        typer.Option("--values", metavar="WHAT", help="Of a recorded scan: counts, transmission or attenuation."),
    ] = None,
    set_: SetOption = None,
    only: OnlyOption = None,
    memory: MemoryOption = None,
    device: DeviceOption = None,
    resume: ResumeOption = False,
    statistics: StatisticsOption = False,
    snapshot: SnapshotOption = None,
    runner: RunnerOption = None,
    report: ReportOption = None,
    json_: JsonOption = False,
) -> None:
    """Work with many values of a parameter, draw the pictures side by side and name the best value."""
    from firstlight.jobs.sweep import sheet_beside, sweep_job

    from .run import carry_out

    overrides = parse_sets(set_, runner, only) | parse_scale(memory, device, resume=resume)
    out = on_this_machine(out)
    watch = parse_watch(snapshot, out.parent, statistics=statistics)
    swept = parse_sets(sweeps, what="STEP.PARAMETER=VALUES", example="fbp.center=500:520:0.5")
    drawn = out.suffix.lower() == ".png" and sheet is None
    place = (out if drawn else sheet or sheet_beside(out)).absolute()
    pictures = None if drawn else out
    job = _job(what, pictures, overrides, values)
    whole = sweep_job(job, swept, pictures, overrides=overrides, sheet=place, metric=metric)
    before = _written(place)

    def tell(_: dict[str, Any]) -> None:
        if _written(place) == before:
            remark("no sheet: the run was stopped before there was a picture.")

    raise typer.Exit(carry_out(whole, watch, report, json_=json_, tell=tell))


def _written(file: Path) -> int | None:
    """When a file was written, in ns; None where there is none."""
    return file.stat().st_mtime_ns if file.exists() else None


def _job(what: Path, out: Path | None, overrides: dict[str, str], values: str | None) -> Path | dict[str, Any]:
    """The job itself, or the one that suits a recorded scan."""
    from firstlight.core.errors import JobError
    from firstlight.jobs.defaults import source_values, suggest

    if not what.exists():
        raise JobError([f"There is no '{what}'. Give the path of a job file (YAML) or of a recorded scan."])
    if what.suffix.lower() in (".yaml", ".yml"):
        return what
    written = out or Path("sweep.h5")  # the sink is replaced, or left out
    found = suggest(
        what.absolute(), written.absolute(), source=source_values(overrides), values=values, overrides=overrides
    )
    for assumption in found.assumptions:
        remark(f"assumed: {assumption}")
    return found.job


def tell_best(report: dict[str, Any]) -> None:
    """Say which values are the best, and where a better one may lie beyond those that were tried."""
    best, sweep = report.get("best"), report.get("sweep")
    if not isinstance(sweep, dict):
        return
    if not isinstance(best, dict):
        remark(f"best by {sweep['metric']}: none that could be told. Look at the sheet.")
        return
    named = ", ".join(f"{name} = {value}" for name, value in best.items())
    remark(f"best by {sweep['metric']}: {named}")
    for name, values in sweep["parameters"].items():
        numbers = [value for value in values if isinstance(value, int | float)]
        if len(numbers) == len(values) > 2 and best[name] in (min(numbers), max(numbers)):
            remark(f"  {name} = {best[name]} is the last value that was tried: a better one may lie beyond it.")

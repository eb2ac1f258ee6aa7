"""``firstlight reconstruct FILE -o OUT``: a good default pipeline for what a file holds."""

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
    SaveAllOption,
    SetOption,
    SnapshotOption,
    StatisticsOption,
    parse_scale,
    parse_sets,
    parse_watch,
    remark,
    verb,
)


@verb
def reconstruct(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The recorded scan.")],
    out: Annotated[
        str,
        typer.Option("-o", "--out", metavar="OUT", help="The result (path or s3://…); its ending chooses the format."),
    ],
    angles: Annotated[
        str | None,
        typer.Option(
            "--angles", metavar="RANGE|FILE", help="Angles where FILE has none: 0:180, 0:360, or a text file."
        ),
    ] = None,
    order: Annotated[
        str | None, typer.Option("--order", metavar="ORDER", help="What an image is: projection or sinogram.")
    ] = None,
    values: Annotated[
        str | None,
        typer.Option("--values", metavar="WHAT", help="What the numbers are: counts, transmission or attenuation."),
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
    """Reconstruct a recorded scan: the centre is found by itself, the steps are called find_center and fbp.

    What FILE does not say is inferred from its frames, and said.
    """
    from firstlight.jobs.defaults import source_values, suggest
    from firstlight.jobs.look_around import Asked, advice
    from firstlight.jobs.short_turn import demand_axis

    from .run import carry_out

    overrides = parse_sets(set_, runner, only)
    own = {f"source.{name}": value for name, value in (("angles", angles), ("order", order)) if value is not None}
    asked = Asked(file, overrides | own, values)
    given = source_values(asked.overrides)
    found = suggest(
        file.absolute(), out if "://" in out else Path(out).absolute(), source=given, values=values, overrides=overrides
    )
    for assumption in found.assumptions:
        remark(f"assumed: {assumption}")
    demand_axis(found.job, asked)
    overrides |= parse_scale(memory, device, resume=resume, save_all=save_all)
    overrides |= parse_watch(snapshot, Path(out).absolute().parent, statistics=statistics)

    def tell(told: dict[str, Any]) -> None:
        for line in advice(found.job, asked, told):
            remark(line)

    raise typer.Exit(carry_out(found.job, overrides, report, json_=json_, tell=tell))

"""``firstlight reconstruct FILE -o OUT``: a good default pipeline for what a file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .say import JsonOption, OnlyOption, ReportOption, RunnerOption, SetOption, parse_sets, verb


@verb
def reconstruct(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The recorded scan.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="The result; its ending chooses the format.")],
    set_: SetOption = None,
    only: OnlyOption = None,
    runner: RunnerOption = None,
    report: ReportOption = None,
    json_: JsonOption = False,
) -> None:
    """Reconstruct a recorded scan: the centre is found by itself, the steps are called find_center and fbp."""
    from firstlight.jobs.defaults import default_job

    from .run import carry_out

    job = default_job(file.absolute(), out.absolute())
    raise typer.Exit(carry_out(job, parse_sets(set_, runner, only), report, json_=json_))

"""``firstlight record DETECTOR FILE``: keep a scan as it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .run import carry_out
from .say import JsonOption, ReportOption, SetOption, parse_sets, remark, verb


@verb
def record(
    kind: Annotated[str, typer.Argument(metavar="DETECTOR", help="A source, such as dectris or merlin.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Its ending says what it becomes.")],
    set_: SetOption = None,
    report: ReportOption = None,
    json_: JsonOption = False,
) -> None:
    """Record the next scan of a detector in a file, and show the sum of its frames meanwhile.

    DECTRIS: .h5 or .nxs keeps frames as compressed as they come, .cbors every message. Merlin: .mib. For any detector:
    .npy, .hspy, .zarr, .raw, .h5 of decoded frames. Say where the detector is with --set source.data=…, source.host=….
    Ctrl-C ends it in order.
    """
    from firstlight.jobs.recording import recording_job

    def tell_where(found: dict[str, Any]) -> None:
        if not file.exists():
            remark(f"nothing came: {file} was not made")
        elif not found.get("result"):  # a sink's is told already
            remark(f"result: {file}")

    job = recording_job(kind, file)
    raise typer.Exit(carry_out(job, parse_sets(set_), report, json_=json_, tell=tell_where))

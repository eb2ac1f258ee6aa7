"""``firstlight record DETECTOR FILE``: keep a scan as it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .run import carry_out
from .say import JsonOption, ReportOption, SetOption, parse_sets, verb


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

    raise typer.Exit(carry_out(recording_job(kind, file), parse_sets(set_), report, json_=json_))

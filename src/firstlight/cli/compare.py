"""``firstlight compare A B``: how alike two results are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .say import JsonOption, ReportOption, check_report, remark, say, verb

WHAT = "HDF5 (FILE or FILE::/dataset), Zarr (FOLDER or FOLDER::array), TIFF (file or folder) or NPY."


@verb
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=f"A result: {WHAT}")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one of the same shape.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="PNG", help="Draw both, their difference and the curve.")
    ] = None,
    slice_: Annotated[
        int | None, typer.Option("--slice", min=0, help="Compare one slice alone, counted from 0.")
    ] = None,
    data_range: Annotated[
        float | None,
        typer.Option("--range", help="Largest minus smallest possible value, for SSIM and PSNR. Default: of A."),
    ] = None,
    report: ReportOption = None,
    json_: JsonOption = False,
) -> None:
    """Compare two results: differences, PSNR, SSIM, and Fourier ring (image) or shell (volume) correlation.

    The resolution is the period at which the correlation falls below the half-bit curve, and below 1/7.
    """
    import json

    from firstlight.core.errors import FirstlightError
    from firstlight.jobs.arrays import open_array
    from firstlight.jobs.compare import compare as compared
    from firstlight.jobs.comparison_picture import draw
    from firstlight.jobs.protocol import plain

    check_report(report)
    if data_range is not None and not 0 < data_range < float("inf"):
        raise FirstlightError(
            "The range is not accepted.", field="--range", value=data_range, expected="a positive number"
        )
    with open_array(a) as first, open_array(b) as second:
        found = compared(first, second, data_range=data_range, slice_=slice_)
    told = json.dumps(plain({"a": a, "b": b, **found.numbers}, nan=False), indent=1)
    say(told if json_ else "\n".join(found.lines()))
    if report is not None:
        report.write_text(told + "\n", encoding="utf-8")
    if out is not None:
        try:
            draw(found, out)
        except OSError as error:
            raise FirstlightError(
                "The picture can not be written.", field="--out", value=str(out), expected=str(error)
            ) from None
        remark(f"Drawn to {out}.")

"""Frames that drift."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import AxesError
from firstlight.core.operator import Operator, operator
from firstlight.kernels.shift import measure_shift, spectrum
from firstlight.kernels.warp import Interpolation, affine

from .region import Range, whole_range


@operator(
    "row col, row col -> row col",
    cites=["10.1364/OL.33.000156"],
    sentence="Frames were registered to a reference by phase correlation (1/{parts} px) and shifted.",
)
def align_frames(
    frames: Array,
    reference: Array,
    *,
    rows: Range | None = None,
    columns: Range | None = None,
    most: Annotated[float, Field(gt=0, le=10_000)] = 20.0,
    parts: Annotated[int, Field(ge=1, le=1000)] = 20,
    interpolation: Interpolation = "linear",
) -> Array:
    """Shift every frame so that it lies on a reference: drift of the beam, the detector or the sample.

    The shift is found by phase correlation to a part of a pixel (Guizar-Sicairos et al. 2008). For frames of a turning
    sample give a region where nothing turns: the mount, a marker, the edge of a slit, the beam's own structure.

    Args:
        frames: shape (frame, row, col).
        reference: image (row, col), such as the mean of the flat frames: `inputs: {frames: …, reference: source.flat}`.
        rows: First row of the region to compare and first row behind it, from 0; negative ones count from the end.
            Default: all.
        columns: First column of the region and first column behind it, likewise. Default: all.
        most: Largest shift looked for, in pixels.
        parts: Steps per pixel in which a shift is measured.
        interpolation: `linear`, or `cubic`, which keeps fine detail and may overshoot by some percent.

    Returns:
        float32 of the same shape and unit; at the rim the outermost pixels go on.

    Raises:
        AxesError: the reference is not as large as a frame, or the region is empty or leaves it.
    """
    if reference.shape != frames.shape[1:]:
        raise AxesError(
            "The reference is not as large as a frame.",
            field="reference",
            value=reference.shape,
            expected=f"(row, col) = {frames.shape[1:]}",
        )
    _, height, width = frames.shape
    region = whole_range("rows", rows, height), whole_range("columns", columns, width)
    known = spectrum(reference[region])
    out = np.empty(frames.shape, np.float32)
    for place, frame in enumerate(frames):
        shift = measure_shift(reference[region], known, frame[region], parts, most)
        to = (shift.row, 1.0, 0.0), (shift.column, 0.0, 1.0)
        out[place] = affine(frame[None], *to, interpolation=interpolation)[0]
    return out


@align_frames.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


@align_frames.hook("workspace")
def _workspace(step: Operator, scan: Scan, frames: int) -> int:
    """Spectra of both images, their product and what is made of it."""
    return 8 * 6 * scan.main.size("row") * scan.main.size("col")

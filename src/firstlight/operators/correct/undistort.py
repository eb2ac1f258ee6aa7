"""The distortion of a lens."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.warp import Interpolation, unwarp

Place = Annotated[float, Field(ge=-1e6, le=1e6)]
Coefficients = Annotated[tuple[float, ...], Field(min_length=1, max_length=10)]


@operator(
    "row col -> row col",
    cites=["10.1364/OE.23.032859"],
    sentence="The radial distortion of the detector was corrected ({row:center row}, {column:column}; {coefficients:coefficients}).",
)
def undistort(
    frames: Array,
    *,
    coefficients: Coefficients,
    row: Place | None = None,
    column: Place | None = None,
    interpolation: Interpolation = "linear",
    fill: Annotated[float, Field(ge=-1e30, le=1e30)] | None = None,
) -> Array:
    """Undo the radial distortion of a detector's lens by a polynomial (Vo et al. 2015, the backward model).

    What belongs at distance r from the center is found at distance r (k0 + k1 r + k2 r^2 + ...). The coefficients come
    from an image of a dot grid: `find_distortion`, or discorpy, whose numbers are the same.

    Args:
        frames: shape (frame, row, col).
        coefficients: k0, k1, k2, ...; lengths in pixels. 1 alone changes nothing.
        row: Row of the center of distortion. Default: the middle.
        column: Column of the center of distortion. Default: the middle.
        interpolation: `linear`, or `cubic`, which keeps fine detail and may overshoot by some percent.
        fill: Value of pixels that come from outside the frame. Default: the outermost pixels go on.

    Returns:
        float32 of the same shape and unit. A NaN spreads to the pixels that are interpolated from it.
    """
    _, height, width = frames.shape
    center = ((height - 1) / 2 if row is None else float(row), (width - 1) / 2 if column is None else float(column))
    return unwarp(frames, center, tuple(float(k) for k in coefficients), interpolation=interpolation, fill=fill)


@undistort.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

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
    sentence="The radial distortion of the detector was corrected (center row {row}, column {column}; coefficients {coefficients}).",
)
def undistort(
    frames: Array,
    *,
    row: Place,
    column: Place,
    coefficients: Coefficients,
    interpolation: Interpolation = "linear",
    fill: Annotated[float, Field(ge=-1e30, le=1e30)] | None = None,
) -> Array:
    """Undo the radial distortion of a detector's lens by a polynomial (Vo et al. 2015, the backward model).

    What belongs at distance r from the center is found at distance r (k0 + k1 r + k2 r^2 + ...). The coefficients come
    from an image of a dot grid: `find_distortion`, or discorpy, whose numbers are the same.

    Args:
        frames: shape (frame, row, col).
        row: Row of the center of distortion.
        column: Column of the center of distortion.
        coefficients: k0, k1, k2, ...; lengths in pixels. 1 alone changes nothing.
        interpolation: `linear`, or `cubic`, which keeps fine detail and may overshoot by some percent.
        fill: Value of pixels that come from outside the frame. Default: the outermost pixels go on.

    Returns:
        float32 of the same shape and unit. A NaN spreads to the pixels that are interpolated from it.
    """
    return unwarp(frames, (row, column), tuple(coefficients), interpolation=interpolation, fill=fill)


@undistort.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

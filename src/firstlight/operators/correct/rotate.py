"""A detector that stands turned."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.core.units import Degree
from firstlight.kernels.warp import Interpolation, affine

Place = Annotated[float, Field(ge=-1e6, le=1e6)]


@operator(
    "row col -> row col", sentence="Frames were turned by {angle} to make the rotation axis parallel to the columns."
)
def rotate(
    frames: Array,
    *,
    angle: Annotated[Degree, Field(ge=-180, le=180)],
    row: Place | None = None,
    column: Place | None = None,
    interpolation: Interpolation = "linear",
    fill: Annotated[float, Field(ge=-1e30, le=1e30)] | None = None,
) -> Array:
    """Turn every frame counter-clockwise in its plane: a detector's roll, or a tilted rotation axis, is made straight.

    An axis whose upper end leans to the right by some degree needs that angle.

    Args:
        frames: shape (frame, row, col).
        angle: By how much, counter-clockwise as seen with row 0 at the top.
        row: Row that stays in its place. Default: the middle.
        column: Column that stays in its place. Default: the middle; give the rotation axis to keep its column.
        interpolation: `linear`, or `cubic`, which keeps fine detail and may overshoot by some percent.
        fill: Value of pixels that come from outside the frame. Default: the outermost pixels go on.

    Returns:
        float32 of the same shape and unit. A NaN spreads to the pixels that are interpolated from it.
    """
    _, height, width = frames.shape
    y, x = (height - 1) / 2 if row is None else row, (width - 1) / 2 if column is None else column
    cosine, sine = float(np.cos(np.deg2rad(angle))), float(np.sin(np.deg2rad(angle)))
    rows, columns = (y - cosine * y - sine * x, cosine, sine), (x + sine * y - cosine * x, -sine, cosine)
    return affine(frames, rows, columns, interpolation=interpolation, fill=fill)


@rotate.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

"""Centre of mass of diffraction patterns."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.core.units import Pixels
from firstlight.kernels.masks import disk, sum_under_masks


@operator(
    "row col -> row_shift: , col_shift: ",
    cites=["10.1016/j.ultramic.2015.10.011"],
    sentence="The centre of mass of each diffraction pattern was taken.",
)
def center_of_mass(
    frames: Array,
    *,
    center: tuple[float, float] | None = None,
    radius: Annotated[Pixels, Field(gt=0)] | None = None,
) -> tuple[Array, Array]:
    """Find how far the centre of mass of each pattern lies from the optical axis: the first moment, for field maps.

    Args:
        frames: shape (frame, row, col), integers or floats.
        center: Row and column of the optical axis in pixel from 0. Default: the middle of the frame.
        radius: Pixels further than this from `center` are left out. Default: none are.

    Returns:
        Shift along rows and along columns in pixel, float64 of shape (frame,) each; 0 where the pattern is empty.
    """
    size = (frames.shape[1], frames.shape[2])
    middle = ((size[0] - 1) / 2, (size[1] - 1) / 2) if center is None else center
    inside = np.ones(size) if radius is None else disk(size, middle, radius).astype(np.float64)
    rows, cols = np.arange(size[0])[:, None] - middle[0], np.arange(size[1])[None, :] - middle[1]
    total, row_sum, col_sum = sum_under_masks(frames, np.stack([inside, inside * rows, inside * cols])).T
    mass = np.where(total > 0, total, 1.0)
    return np.where(total > 0, row_sum / mass, 0.0), np.where(total > 0, col_sum / mass, 0.0)


@center_of_mass.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return "float64"


@center_of_mass.hook("unit")
def _unit(step: Operator, scan: Scan) -> str:
    return "px"

"""Where the light of a pattern is."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.ptycho.middle import THRESHOLD, bright_spot_of


@operator("row col -> row col", sentence="The largest bright spot of the mean pattern was segmented.")
def bright_spot(patterns: Array, *, threshold: Annotated[float, Field(gt=0, lt=1)] = THRESHOLD) -> Array:
    """Mark the largest connected bright spot of a pattern, such as the mean of a scan: the image of the aperture.

    Its box tells the middle of the pattern, as `ptychography` finds it for `crop_middle: auto`.

    Args:
        patterns: counts, shape (frame, row, col).
        threshold: Part of the brightest pixel that counts as bright; a pixel that none of its neighbours comes near is not it.

    Returns:
        uint8, shape (frame, row, col): 1 in the spot, 0 elsewhere; all 0 where there is no light.
    """
    found = np.zeros(patterns.shape, np.uint8)
    for mask, pattern in zip(found, patterns, strict=True):
        spot = bright_spot_of(np.nan_to_num(pattern, posinf=0.0), threshold)
        if spot is not None:
            mask[...] = spot
    return found


@bright_spot.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return "uint8"


@bright_spot.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return None

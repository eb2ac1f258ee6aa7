"""Label voxels by grey value."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import Operator, operator


@operator("->", sentence="Voxels were labelled by {thresholds:thresholds}.")
def segment(
    values: Array,
    *,
    thresholds: float | Annotated[tuple[float, ...], Field(min_length=1, max_length=255)] | None = None,
) -> Array:
    """Label every value by the number of thresholds that it exceeds: 0 up to the lowest, 1 above it, and so on.

    Args:
        values: any shape; NaN gets the label 0.
        thresholds: One number or several, such as `thresholds: {from: histogram.otsu}`.

    Returns:
        uint8 of the same shape.

    Raises:
        FirstlightError: no threshold, or one that is not finite.
    """
    limits = np.atleast_1d(np.asarray(np.nan if thresholds is None else thresholds, np.float64))
    if not np.isfinite(limits).all():
        raise FirstlightError(
            "'segment' needs a threshold.",
            field="thresholds",
            value=thresholds,
            expected="a number or several",
            next_move="Give it, or take Otsu's: 'thresholds: {from: histogram.otsu}'.",
        )
    labels = np.zeros(values.shape, np.uint8)
    for limit in limits:
        labels += values > limit
    return labels


@segment.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return "uint8"

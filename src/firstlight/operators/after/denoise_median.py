"""Median filter."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels import median
from firstlight.kernels.median_filter import median_filter


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError(f"a window of {size} pixels has no middle: use {size - 1} or {size + 1}")
    return size


@operator("y~size x~size -> y x")
def denoise_median(slices: Array, *, size: Annotated[int, Field(ge=3, le=31), AfterValidator(_odd)] = 3) -> Array:
    """Replace every pixel of a slice by the median of its neighbourhood, which removes noise and keeps edges.

    Args:
        slices: shape (slice, y, x). At the rim the outermost pixel is repeated; NaN has no say.
        size: Side of the neighbourhood in pixel, odd.

    Returns:
        Array of the type and shape of `slices`.
    """
    exact = slices.dtype == np.float32 or (slices.dtype.kind in "iu" and slices.dtype.itemsize <= 2)
    if exact and np.isfinite(slices.sum(dtype=np.float64)):
        return median_filter(slices.astype(np.float32, copy=False), size).astype(slices.dtype, copy=False)
    return median.remove_outliers(slices, threshold=0.0, size=size, kind="both")  # heeds NaN, and wide types


@denoise_median.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return given


@denoise_median.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

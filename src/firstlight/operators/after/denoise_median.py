"""Median filter."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels import median


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError(f"a window of {size} pixels has no middle: use {size - 1} or {size + 1}")
    return size


@operator("y~size x~size -> y x")
def denoise_median(slices: Array, *, size: Annotated[int, Field(ge=3, le=31), AfterValidator(_odd)] = 3) -> Array:
    """Replace every pixel of a slice by the median of its neighbourhood, which removes noise and keeps edges.

    Args:
        slices: shape (slice, y, x). At the rim the outermost pixel is repeated.
        size: Side of the neighbourhood in pixel, odd.

    Returns:
        Array of the type and shape of `slices`.
    """
    return median.remove_outliers(slices, threshold=0.0, size=size, kind="both")


@denoise_median.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return given


@denoise_median.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

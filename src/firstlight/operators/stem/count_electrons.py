"""Counting electrons in frames of an integrating camera."""

from __future__ import annotations

from typing import Annotated, Any

import numba
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.mask_products import readable


@operator(
    "row col -> row col", sentence="Electrons were counted as local maxima from {threshold} to {saturation} counts."
)
def count_electrons(
    frames: Array,
    *,
    threshold: Annotated[float, Field(ge=-1e12, le=1e12)],
    saturation: Annotated[float, Field(ge=-1e12, le=1e12)] | None = None,
) -> Array:
    """Count electrons: each pixel above a threshold that is larger than its eight neighbours is one.

    Of neighbours with the same value the first one counts. Two electrons in neighbouring pixels count as one.

    Args:
        frames: shape (frame, row, col), integers or floats, with the dark image taken off.
        threshold: Values at or below are noise.
        saturation: Values above are no electrons (X-rays). Default: there is no limit.

    Returns:
        Same shape, uint8: 1 where an electron hit.
    """
    values = np.ascontiguousarray(readable(frames))
    out = np.zeros(values.shape, np.uint8)
    _count(values, float(threshold), np.inf if saturation is None else float(saturation), out)
    return out


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _count(frames: NDArray[Any], threshold: float, saturation: float, out: NDArray[np.uint8]) -> None:
    count, rows, cols = frames.shape
    for n in range(count):
        for row in range(rows):
            for col in range(cols):
                value = frames[n, row, col]
                if not (threshold < value <= saturation):
                    continue
                largest = True
                for r in range(max(row - 1, 0), min(row + 2, rows)):
                    for c in range(max(col - 1, 0), min(col + 2, cols)):
                        before = r < row or (r == row and c < col)
                        other = frames[n, r, c]
                        if other > value or (before and other == value):
                            largest = False
                if largest:
                    out[n, row, col] = 1


@count_electrons.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return "uint8"


@count_electrons.hook("unit")
def _unit(step: Operator, scan: Scan) -> str:
    return "counts"

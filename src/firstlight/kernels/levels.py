"""Frames brought to another level: what is done to one pixel, and what is found for a frame."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .elementwise import SCALAR_BODY, ScalarBody
from .mask_products import readable

__all__ = ["DIFFERENCE", "SCALE_AND_SHIFT", "finite_means"]

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}


@numba.njit(**SCALAR_BODY)
def _scale_and_shift(value: np.float32, factor: np.float32, shift: np.float32) -> np.float32:
    return value * factor + shift


SCALE_AND_SHIFT = ScalarBody("scale_and_shift", _scale_and_shift, parameters=("factor", "shift"))
"""A value times a factor plus a shift, one of each for every frame."""


@numba.njit(**SCALAR_BODY)
def _difference(value: np.float32, image: np.float32) -> np.float32:
    return value - image


DIFFERENCE = ScalarBody("difference", _difference, images=1)
"""A value less that of an image."""


def finite_means(frames: NDArray[Any], rows: slice, columns: slice) -> NDArray[np.float64]:
    """Mean of what is finite in a region of each frame (frame, row, col); NaN where nothing is."""
    out = np.empty(len(frames), np.float64)
    _means(readable(frames), rows.start, rows.stop, columns.start, columns.stop, out)
    return out


@numba.njit(**_OPTIONS, fastmath={"reassoc", "nsz"})
def _means(frames: Any, top: Any, bottom: Any, left: Any, right: Any, out: Any) -> None:
    for n in range(frames.shape[0]):
        total, count = 0.0, (bottom - top) * (right - left)
        for i in range(top, bottom):
            line = frames[n, i, left:right]
            for j in range(line.size):
                total += float(line[j])
        if not np.isfinite(total):  # seldom: then each number is looked at
            total, count = 0.0, 0
            for i in range(top, bottom):
                for value in frames[n, i, left:right]:
                    if np.isfinite(value):
                        total += float(value)
                        count += 1
        out[n] = total / count if count else np.nan

"""Where the light of a scan has fallen."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

Array = Any


def coverage(power: Array, corners: Array, shape: tuple[int, int]) -> Array:
    """Photons that fell on each pixel of the object, shape (y, x), float32.

    Args:
        power: Photons of a frame, shape (v, u).
        corners: First row and column of each window, shape (position, 2), integers.
        shape: Rows and columns of the object.
    """
    found = np.zeros(shape, np.float32)
    _fall(found, np.ascontiguousarray(power, np.float32), np.ascontiguousarray(corners, np.int64))
    return found


@nb.njit(nogil=True, cache=True)
def _fall(found: Array, power: Array, corners: Array) -> None:  # pragma: no cover - compiled
    rows, cols = power.shape
    for place in range(len(corners)):
        top, left = corners[place]
        for r in range(rows):
            line, light = found[top + r, left : left + cols], power[r]
            for c in range(cols):
                line[c] += light[c]

"""Median over a window that moves along the first axis, many columns side by side.

The window is kept sorted. One step takes the value that leaves out and puts the one that enters in, by comparisons
alone, without a branch: so hundreds of windows move side by side in the processor's vector registers. A window of `n` values
costs `n` vector operations a step, which beats selection (and histograms) up to windows of some hundred values.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["running_median"]

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"nnan", "nsz"}}
_LANES = 256
_F = np.float32
_BELOW, _ABOVE = _F(-np.inf), _F(np.inf)


def running_median(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Median over `size` neighbours along the first axis; the rim is mirrored, its outermost value repeated.

    Args:
        values: (place, column) float32, C-contiguous, without NaN.
        size: width of the window, odd.

    Returns:
        New array of the same shape.

    Raises:
        ValueError: `size` is even or not positive, or the array is not what was said.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size is {size}: expected the odd width of a window")
    if values.ndim != 2 or values.dtype != np.float32 or not values.flags.c_contiguous:
        raise ValueError(f"values are {values.dtype}{values.shape}: expected C-contiguous float32 (place, column)")
    out = np.empty_like(values)
    if values.size:
        _running_median(values, size // 2, out)
    return out


@numba.njit(**_OPTIONS)
def _mirrored(place: int, count: int) -> int:
    """Where the value at a place beyond the rim is found: d c b a | a b c d | d c b a."""
    folded = place % (2 * count)
    return folded if folded < count else 2 * count - 1 - folded


@numba.njit(**_OPTIONS)
def _load(values: NDArray[np.float32], place: int, first: int, line: NDArray[np.float32]) -> None:
    row = values[_mirrored(place, values.shape[0])]
    last = min(first + _LANES, values.shape[1])
    for i in range(last - first):
        line[i] = row[first + i]


@numba.njit(**_OPTIONS)
def _sort_pair(line: NDArray[np.float32], carried: NDArray[np.float32]) -> None:
    """Leave the smaller value of each pair in `line`, the larger in `carried`."""
    for i in range(line.size):
        kept, other = line[i], carried[i]
        line[i] = min(kept, other)
        carried[i] = max(kept, other)


@numba.njit(**_OPTIONS)
def _exchange(
    line: NDArray[np.float32],
    above: NDArray[np.float32],
    old: NDArray[np.float32],
    new: NDArray[np.float32],
    before: NDArray[np.float32],
) -> None:
    """Place k of the sorted windows without `old` and with `new`; `before` has place k - 1 without both."""
    for i in range(line.size):
        value, following = line[i], above[i]
        rest = value if value < old[i] else following
        line[i] = max(min(rest, new[i]), before[i])
        before[i] = rest


@numba.njit(**_OPTIONS)
def _running_median(values: NDArray[np.float32], half: int, out: NDArray[np.float32]) -> None:
    places, columns = values.shape
    window = np.empty((2 * half + 2, _LANES), np.float32)  # and one place above all values
    old, new, before = np.zeros(_LANES, np.float32), np.zeros(_LANES, np.float32), np.empty(_LANES, np.float32)
    for first in range(0, columns, _LANES):
        here = min(_LANES, columns - first)
        for k in range(2 * half + 1):
            _load(values, k - half, first, new)
            for j in range(k):
                _sort_pair(window[j], new)
            window[k] = new
        out[0, first : first + here] = window[half, :here]
        window[2 * half + 1] = _ABOVE
        for place in range(1, places):
            _load(values, place - half - 1, first, old)
            _load(values, place + half, first, new)
            before[:] = _BELOW
            for k in range(2 * half + 1):
                _exchange(window[k], window[k + 1], old, new, before)
            out[place, first : first + here] = window[half, :here]

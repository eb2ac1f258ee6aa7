"""Histogram of float32 values whose range nobody knows beforehand: exact counts, bounded memory, any order, mergeable.

The bits of a float, read as an integer, rise with its value. Their highest 20 bits number a bin: one part in 2048 of
the value wide, from the smallest to the largest float. Percentiles and histograms of any range follow from the counts.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_BITS = 20
_SHIFT = 32 - _BITS
BINS = 1 << _BITS


def empty_tally() -> I64:
    """No counts yet."""
    return np.zeros(BINS, np.int64)


def add_to_tally(counts: I64, values: NDArray[Any], left_out: float | None = None) -> None:
    """Count values in; what is not finite, and what equals `left_out`, is skipped.

    Args:
        counts: from `empty_tally`; changed.
        values: any shape; taken as float32.
        left_out: a value that is not counted, such as the 0 outside a circular mask.
    """
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    _count(flat.view(np.uint32), flat, np.float32(np.nan if left_out is None else left_out), counts)


@numba.njit(nogil=True, cache=True)
def _count(bits: Any, values: Any, left_out: Any, counts: Any) -> None:
    for n in range(bits.size):
        value = values[n]
        if not np.isfinite(value) or value == left_out:
            continue
        b = bits[n]
        if value == 0.0:
            b = np.uint32(0)  # -0 is 0
        key = ~b if b >> np.uint32(31) else b | np.uint32(0x80000000)
        counts[key >> np.uint32(_SHIFT)] += 1


def _edges(first: int, last: int) -> F64:
    """Lower edges of the bins from `first` to `last`, and the upper edge of the last."""
    top = np.minimum(np.arange(first, last + 2, dtype=np.uint64) << np.uint64(_SHIFT), np.uint64(0xFFFFFFFF)).astype(
        np.uint32
    )
    bits = np.where(top >> np.uint32(31) != 0, top & np.uint32(0x7FFFFFFF), ~top)
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def _filled(counts: I64) -> tuple[I64, F64]:
    """Counts from the first bin that is not empty to the last, and their edges."""
    used = np.flatnonzero(counts)
    first, last = int(used[0]), int(used[-1])
    return counts[first : last + 1], _edges(first, last)


def percentiles(counts: I64, wanted: tuple[float, ...]) -> list[float]:
    """Values below which so many percent of the counts lie, to one part in 2048; NaN without counts."""
    if not counts.any():
        return [float("nan")] * len(wanted)
    filled, edges = _filled(counts)
    rising = np.concatenate([[0.0], np.cumsum(filled)]) / filled.sum() * 100
    return [float(value) for value in np.interp(wanted, rising, edges)]


def rebinned(counts: I64, low: float, high: float, bins: int) -> tuple[I64, F64]:
    """Histogram with equal bins between two limits; what lies beyond counts in the outermost bins.

    Returns:
        Counts (bin,) and edges (bin + 1,). A value nearer to an edge than one part in 2048 may count on its other side.
    """
    edges = np.linspace(low, high, bins + 1)
    if not counts.any() or not high > low:
        return np.zeros(bins, np.int64), edges
    filled, limits = _filled(counts)
    middle = (limits[:-1] + limits[1:]) / 2
    place = np.clip(((middle - low) / (high - low) * bins).astype(np.int64), 0, bins - 1)
    return np.bincount(place, filled, bins).astype(np.int64), edges


def otsu_threshold(counts: I64, edges: F64) -> float:
    """The grey value that parts a histogram into two classes with the least spread within them (Otsu 1979).

    NaN for a histogram without two different values.
    """
    total = counts.sum()
    middle = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = total - below
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_below = np.cumsum(counts * middle)[:-1] / below
        mean_above = ((counts * middle).sum() - np.cumsum(counts * middle)[:-1]) / above
        between = below * above * (mean_below - mean_above) ** 2.0
    if not np.isfinite(between).any():
        return float("nan")
    best = np.flatnonzero(between == np.nanmax(between))  # a valley without counts: its middle
    return float((edges[1:-1][best[0]] + edges[1:-1][best[-1]]) / 2)

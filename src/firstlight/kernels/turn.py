"""How far a sample was turned, seen from where its first and last projection close on each other."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len, rfft

_CLOSED = 3.0
"""Times the usual difference of neighbours up to which two projections are neighbours."""
_CLEAR = 2.0
"""How much better one answer must fit than the other."""


def turn_of(first: ArrayLike, last: ArrayLike, neighbours: ArrayLike) -> Literal[180, 360] | None:
    """Tell half a turn from a whole one.

    After a whole turn the projection that would follow the last is the first; after half a turn it is the mirror image of
    the first, about an axis that nobody knows yet (Radon's symmetry: p(θ + 180°, s) = p(θ, −s)). The one that differs from
    the last no more than neighbours do is the answer, if it is clear.

    Args:
        first: (row, col): the first projection, or the mean of some.
        last: (row, col): the last, or the mean of as many.
        neighbours: (pair, 2, row, col): pairs that follow each other as the first would follow the last.

    Returns:
        180 or 360 in degree; None: both fit, or neither.

    Raises:
        ValueError: the shapes do not fit.
    """
    begin, end = np.asarray(first, np.float64), np.asarray(last, np.float64)
    pairs = np.asarray(neighbours, np.float64)
    if begin.ndim != 2 or begin.shape != end.shape or pairs.shape[1:] != (2, *begin.shape) or not len(pairs):
        raise ValueError(f"first {begin.shape}, last {end.shape} and neighbours {pairs.shape} do not fit each other.")
    usual = float(np.median(np.mean((pairs[:, 0] - pairs[:, 1]) ** 2, axis=(1, 2))))
    if usual <= 0:
        return None
    whole = float(np.mean((end - begin) ** 2)) / usual
    half = _mirrored_difference(begin, end) / usual
    if whole < _CLOSED and half > _CLEAR * whole:
        return 360
    if half < _CLOSED and whole > _CLEAR * half:
        return 180
    return None


def _mirrored_difference(begin: NDArray[np.float64], end: NDArray[np.float64]) -> float:
    """Smallest mean square of end − mirrored begin, over all positions of the axis in the middle half of the columns.

    |e − m_s|² = |e|² + |m_s|² − 2 e·m_s over the columns that both have, for each shift s: three correlations.
    """
    columns = begin.shape[1]
    level = min(float(begin.min()), float(end.min()))
    mirrored, kept = begin[:, ::-1] - level, end - level
    length = next_fast_len(2 * columns, real=True)
    ones = np.ones(columns)

    def correlate(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
        return irfft(rfft(left, length) * np.conj(rfft(right, length)), length)

    square = correlate(kept**2, ones) + correlate(np.ones_like(kept), mirrored**2) - 2 * correlate(kept, mirrored)
    shifts = np.arange(-(columns // 2), columns // 2 + 1)
    overlap = (columns - np.abs(shifts)) * len(begin)
    return float(np.min(square.sum(axis=0)[shifts] / overlap))

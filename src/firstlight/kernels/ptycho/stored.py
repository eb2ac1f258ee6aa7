"""Diffraction patterns as they are kept, in counts or in amplitudes, read as amplitudes a few at a time."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

Array = Any

_FASTMATH = {"nnan", "ninf", "nsz", "contract", "reassoc", "arcp"}


class Stored:
    """Stands where an engine expects an array of amplitudes: ``stored[places]`` are those of some positions.

    What is kept may be larger than memory (a mapped file); only what is asked for is converted.

    Args:
        kept: Shape (position, v, u), in the order of arrival: unsigned integers are counts, floats are amplitudes.
        order: Where each position lies in it, shape (position,): the order in which places are counted.
        dtype: Of the amplitudes.
    """

    def __init__(self, kept: Array, order: Array, dtype: str = "float32") -> None:
        """Nothing is copied."""
        self._kept, self._order, self._dtype = kept, np.ascontiguousarray(order, np.int64), dtype

    def __len__(self) -> int:
        """Number of positions."""
        return len(self._order)

    def __getitem__(self, places: Any) -> Array:
        """Amplitudes of some positions: an array of places, or a slice of them."""
        rows = np.ascontiguousarray(self._order[places])
        found = np.empty((len(rows), *self._kept.shape[1:]), self._dtype)
        if self._kept.dtype.kind == "u":
            _amplitudes(self._kept, rows, found)
        else:
            found[...] = self._kept[rows]
        return found

    def mean_counts(self, share: int = 64) -> Array:
        """Mean counts of each pixel, shape (v, u), float64; added up in the order of the positions."""
        total = np.zeros(self._kept.shape[1:], np.float64)
        for start in range(0, len(self), share):
            _add_counts(total, self[start : start + share])
        return total / max(len(self), 1)


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _amplitudes(kept: Array, rows: Array, found: Array) -> None:  # pragma: no cover - compiled
    kind = found.dtype.type
    for place in range(len(rows)):
        frame, target = kept[rows[place]], found[place]
        for r in range(target.shape[0]):
            line, asked = frame[r], target[r]
            for c in range(len(asked)):
                asked[c] = np.sqrt(kind(line[c]))


@nb.njit(nogil=True, cache=True)
def _add_counts(total: Array, amplitudes: Array) -> None:  # pragma: no cover - compiled
    for place in range(len(amplitudes)):
        for r in range(total.shape[0]):
            for c in range(total.shape[1]):
                total[r, c] += np.float64(amplitudes[place, r, c]) ** 2

"""An image that patches are laid on as they come, and that grows where they lie."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.kernels.ptycho.mosaic import Canvas, blank, lay, mean_of

_ROOM = 4
"""An image that must grow grows by at least one part in so many, so that it seldom does."""


@dataclass(slots=True)
class GrowingCanvas:
    """Sums of patches on a grid whose rows and columns may be negative."""

    count: int = 0
    """Patches that lie on it, in the order of their arrival."""
    _sums: Canvas = field(default_factory=lambda: blank((0, 0)))
    _first: Ids = field(default_factory=lambda: np.zeros(2, np.int64))
    """Row and column of its first pixel."""

    def lay(
        self,
        patches: Array,
        order: Ids,
        corners: Ids,
        weights: Array,
        reach: tuple[Ids, Ids],
        turns: Array | None = None,
    ) -> None:
        """Put patches down; see `firstlight.kernels.ptycho.mosaic.lay`.

        Args:
            patches: Shape (…, v, u), complex64.
            order: Where they lie in that array.
            corners: First row and column of each.
            weights: Shape (v, u).
            reach: First row and column of the part of the grid that is needed, and those behind it.
            turns: By what each is multiplied; None: what fits best.
        """
        self._grow(*reach)
        lay(self._sums, patches, order, corners - self._first, weights, turns)
        self.count += len(order)

    def _grow(self, low: Ids, high: Ids) -> None:
        """Make room."""
        size = np.array(self._sums[0].shape)
        last = self._first + size
        if not size.any():
            self._first, self._sums = low.copy(), blank((int(high[0] - low[0]), int(high[1] - low[1])))
            return
        if (low >= self._first).all() and (high <= last).all():
            return
        spare = np.maximum(size // _ROOM, 1)
        first = np.where(low < self._first, np.minimum(low, self._first - spare), self._first)
        behind = np.where(high > last, np.maximum(high, last + spare), last)
        fresh = blank((int(behind[0] - first[0]), int(behind[1] - first[1])))
        at, end = self._first - first, self._first - first + size
        for new, old in zip(fresh, self._sums, strict=True):
            new[at[0] : end[0], at[1] : end[1]] = old
        self._first, self._sums = first, fresh

    def picture(self, low: Ids, high: Ids) -> tuple[Array, Array, Array]:
        """Mean, weights and spread of the part from a row and column to others; see `mean_of`."""
        at, end = low - self._first, high - self._first
        total, light, squares = (one[at[0] : end[0], at[1] : end[1]] for one in self._sums)
        return mean_of((total, light, squares))

"""The image of the object, or of its layers, which grows with the scan: nobody has to say beforehand how large it will be."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from firstlight.core.arrays import Array, Ids

MARGIN = 8
"""Pixels around the windows that are there at least."""
GROWTH = 32
"""By so many pixels more than needed the image grows, so that it does not grow at every frame."""


@dataclass(slots=True)
class Canvas:
    """An image, or several, whose first pixel has a place of its own; new parts are an empty object.

    That is 1; of incoherent states of the object, those after the first begin as faint waves of different directions, because
    states that are alike would stay alike.
    """

    window: tuple[int, int]
    """Rows and columns of the probe."""
    dtype: str = "complex64"
    layers: int = 1
    """Slices, or states, of the object."""
    incoherent: bool = False
    """True if layers are states, false if they are slices."""
    stack: Array = field(init=False)
    """Shape (layer, y, x)."""
    origin: tuple[int, int] = (0, 0)
    """Place of the first row and column."""

    def __post_init__(self) -> None:
        """Nothing seen yet."""
        self.stack = np.ones((self.layers, 0, 0), self.dtype)

    @property
    def image(self) -> Array:
        """What engines work on: shape (y, x), or (layer, y, x) where there are several."""
        return self.stack[0] if self.layers == 1 else self.stack

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.stack.shape[1], self.stack.shape[2]

    def again(self) -> Canvas:
        """Nothing seen yet, of the same kind."""
        return Canvas(self.window, self.dtype, self.layers, self.incoherent)

    def clear(self) -> None:
        """An empty object of the same size."""
        self.stack[...] = self._empty(self.shape, self.origin)

    def _empty(self, shape: tuple[int, int], origin: tuple[int, int]) -> Array:
        found = np.ones((self.layers, *shape), self.dtype)
        if self.incoherent:
            rows, cols = (np.arange(n) + first for n, first in zip(shape, origin, strict=True))
            for number in range(1, self.layers):
                turns = rows[:, None] * (number / 17) + cols[None, :] * (number / 11)
                found[number] = 0.3 * np.exp(2j * np.pi * turns)
        return found

    def reach(self, places: Ids) -> None:
        """Grow so that the windows at these places fit.

        Args:
            places: Upper left corners of windows, shape (position, 2), integers, in the scan's own pixels.
        """
        low = places.min(axis=0) - MARGIN
        high = places.max(axis=0) + np.asarray(self.window) + MARGIN
        old_low, old_high = np.asarray(self.origin), np.asarray(self.origin) + self.shape
        if self.stack.size:
            if (low >= old_low).all() and (high <= old_high).all():
                return
            low = np.where(low < old_low, low - GROWTH, old_low)
            high = np.where(high > old_high, high + GROWTH, old_high)
        rows, cols = (int(n) for n in high - low)
        origin = int(low[0]), int(low[1])
        grown = self._empty((rows, cols), origin)
        if self.stack.size:
            top, left = (int(n) for n in old_low - low)
            grown[:, top : top + self.shape[0], left : left + self.shape[1]] = self.stack
        self.stack, self.origin = grown, origin

    def placed(self, places: Array) -> Array:
        """Rows and columns on the image as it is now, not rounded."""
        return places - np.asarray(self.origin)

    def move(self, down: int, right: int) -> None:
        """Give all windows corners that lie so much further down and right."""
        self.origin = (self.origin[0] - down, self.origin[1] - right)

    def corners(self, places: Ids) -> Ids:
        """First row and column of each window on the image as it is now."""
        return np.ascontiguousarray(places - np.asarray(self.origin), dtype=np.int64)

    def covered(self, places: Ids) -> tuple[slice, slice]:
        """The part of the image that the windows at these places reach: the same however the image grew."""
        corners = self.corners(places)
        low, high = corners.min(axis=0), corners.max(axis=0) + np.asarray(self.window)
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))

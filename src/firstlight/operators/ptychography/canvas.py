"""The image of the object, which grows with the scan: nobody has to say beforehand how large it will be."""

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
    """An image whose first pixel has a place of its own; new parts are 1: an empty object."""

    window: tuple[int, int]
    """Rows and columns of the probe."""
    dtype: str = "complex64"
    image: Array = field(init=False)
    origin: tuple[int, int] = (0, 0)
    """Place of the first row and column."""

    def __post_init__(self) -> None:
        """Nothing seen yet."""
        self.image = np.ones((0, 0), self.dtype)

    def reach(self, places: Ids) -> None:
        """Grow so that the windows at these places fit.

        Args:
            places: Upper left corners of windows, shape (position, 2), integers, in the scan's own pixels.
        """
        low = places.min(axis=0) - MARGIN
        high = places.max(axis=0) + np.asarray(self.window) + MARGIN
        old_low, old_high = np.asarray(self.origin), np.asarray(self.origin) + self.image.shape
        if self.image.size:
            if (low >= old_low).all() and (high <= old_high).all():
                return
            low = np.where(low < old_low, low - GROWTH, old_low)
            high = np.where(high > old_high, high + GROWTH, old_high)
        grown = np.ones(tuple(int(n) for n in high - low), self.dtype)
        if self.image.size:
            top, left = (int(n) for n in old_low - low)
            grown[top : top + self.image.shape[0], left : left + self.image.shape[1]] = self.image
        self.image, self.origin = grown, (int(low[0]), int(low[1]))

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

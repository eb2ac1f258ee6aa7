"""When each frame came, by its place: what sinks note and write at the end."""

from __future__ import annotations

import numpy as np

from firstlight.core.arrays import Array, Ids


class Times:
    """Unix times at which frames came, in second; NaN where none did."""

    def __init__(self, count: int = 0) -> None:
        """Room for `count` frames; there is more as they come."""
        self._at = np.full(count, np.nan)

    def note(self, places: Ids, received: float) -> None:
        """Frames at these places (frame,) came."""
        if not len(places):
            return
        room = int(places.max()) + 1
        if room > len(self._at):
            self._at = self.first(max(room, 2 * len(self._at)))
        self._at[places] = received

    def first(self, count: int) -> Array:
        """Times of the first `count` places."""
        found = np.full(count, np.nan)
        known = self._at[:count]
        found[: len(known)] = known
        return found

    @classmethod
    def known(cls, values: Array) -> Times:
        """Times that an interrupted run left."""
        made = cls()
        made._at = np.asarray(values, np.float64).reshape(-1)
        return made

"""Whole projections half a turn apart, chosen before the scan is played: what a search for an axis that leans looks at."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from firstlight.core.arrays import Array, Ids, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.kernels.angles import opposite_pairs
from firstlight.kernels.center_roll import LeaningAxis, axis_by_pairs

from .kept_rows import Sinograms, angles_of

PAIRS = 5
"""Pairs of projections that are looked at, at most."""
LEAST_ROWS = 16
"""Rows below which whole frames tell no more than single rows do."""
_OFF = 5.0
"""Degrees by which a pair may miss half a turn."""
_COLUMNS = 512
"""Columns that are kept; more are binned."""


@dataclass(slots=True)
class OppositeFrames(Sinograms):
    """Some projections, and those half a turn later."""

    ids: Ids = field(default_factory=lambda: np.empty(0, np.int64))
    """Of the frames that are kept, shape (slot,): first all of the first half, then all of the second."""
    off: Array = field(default_factory=lambda: np.empty(0))
    """By how many degrees each pair misses half a turn."""
    binning: int = 1

    def take(self, chunk: Chunk) -> None:
        """Keep what a chunk has of them."""
        frames, _ = bring_last(chunk.data, chunk.axes, ("row", "col"))
        for index, number in enumerate(chunk.ids.tolist()):
            for slot in np.flatnonzero(self.ids == number).tolist():
                if chunk.epoch >= self.epoch[slot]:
                    self.rows[slot] = binned(frames[index], self.binning)
                    self.epoch[slot], self.id[slot] = chunk.epoch, number
        self.found = None

    def complete(self) -> Ids:
        """Which pairs have come."""
        one, other = np.split(self.epoch, 2)
        return np.flatnonzero((one == other) & (one == self.epoch.max()) & (one >= 0))

    def axis(self) -> LeaningAxis:
        """What they tell; NaN before the first pair."""
        there = self.complete()
        if not there.size:
            return LeaningAxis(float("nan"), float("nan"), 0.0)
        one, other = np.split(self.rows, 2)
        found = axis_by_pairs(one[there], other[there], self.off[there])
        return found._replace(center=(found.center + 0.5) * self.binning - 0.5)


def opposite_frames(scan: Scan) -> OppositeFrames | None:
    """The state before the first frame; None where angles are not known before, too few rows, or no pair is half a turn apart."""
    rows, columns = scan.main.size("row"), scan.main.size("col")
    angles = angles_of(scan)
    if rows < LEAST_ROWS or angles is None or angles.size < 2:
        return None
    pairs = [pair for pair in opposite_pairs(angles, PAIRS) if abs(pair[2]) <= _OFF]
    if not pairs:
        return None
    first, second, off = zip(*pairs, strict=True)
    binning, slots = max(1, columns // _COLUMNS), 2 * len(pairs)
    return OppositeFrames(
        np.zeros((slots, rows // binning, columns // binning), np.float32),
        np.zeros(slots),
        np.full(slots, -1, np.int64),
        np.zeros(slots, np.int64),
        height=rows,
        ids=np.array([*first, *second], np.int64) + scan.main.first,
        off=np.array(off),
        binning=binning,
    )


def binned(frame: Array, binning: int) -> Array:
    """Means of square blocks; values that are not finite count as 0."""
    rows, columns = (size // binning for size in frame.shape)
    whole = np.nan_to_num(frame[: rows * binning, : columns * binning].astype(np.float32), posinf=0.0, neginf=0.0)
    return whole.reshape(rows, binning, columns, binning).mean(axis=(1, 3))

"""Leave out positions where the stage was still settling, or that nobody asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrange import Arrange
from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Gap, GapKind, Scan, Stream


class ExcludeOutside(Arrange[None]):
    """Leave out positions outside the range that the scan was asked for: the stage had not settled there.

    Each becomes a gap that counts as excluded, and a frame that is joined with it leaves the reconstruction the same way.
    A position that is not a number is rejected.
    """

    use: ClassVar[str] = "exclude_outside"
    keeps_ids: ClassVar[bool] = True
    signature: ClassVar[Any] = "[*] yx -> "

    low: tuple[float, float]
    """Smallest y and x that were asked for, in the unit of the positions."""
    high: tuple[float, float]
    """Largest y and x that were asked for."""

    def after(self, scan: Scan) -> dict[str, Stream]:
        """The positions as they came."""
        return {"data": scan.main}

    def dtype(self, given: str) -> str:
        """That of the positions."""
        return given

    @property
    def bound(self) -> int:
        """Nothing is held."""
        return 0

    def held_frames(self, state: None) -> int:
        """Nothing is held."""
        return 0

    def open(self, scan: Scan) -> None:
        """There is no state."""

    def push(self, state: None, port: str, item: Chunk | Gap) -> Iterable[Chunk | Gap]:
        """Positions within the range, and gaps for the others."""
        if isinstance(item, Gap):
            return [item]
        places = np.asarray(item.data, np.float64)
        numbers: Array = np.asarray(np.isfinite(places).all(axis=1), bool)
        with np.errstate(invalid="ignore"):
            inside: Array = np.asarray(((places >= self.low) & (places <= self.high)).all(axis=1), bool)
        wanted = numbers & inside
        if wanted.all():
            return [item]
        return [
            *([item.take(np.flatnonzero(wanted))] if wanted.any() else []),
            *_gaps(item, ~numbers, "rejected", "the position is not a number"),
            *_gaps(item, numbers & ~inside, "excluded", "the position lies outside the range that was asked for"),
        ]

    def flush(self, state: None) -> Iterable[Chunk | Gap]:
        """Nothing is held."""
        return []


def _gaps(chunk: Chunk, which: Array, kind: GapKind, reason: str) -> Iterator[Gap]:
    """One gap for each run of ids."""
    ids = np.sort(chunk.ids[which])
    for run in np.split(ids, np.flatnonzero(np.diff(ids) != 1) + 1):
        if len(run):
            yield Gap(chunk.epoch, int(run[0]), int(run[-1]), reason, kind, chunk.stream)

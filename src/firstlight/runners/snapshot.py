"""Snapshots: the middle frame or slice of what a step gives, kept to see what it did."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Item
from firstlight.core.job import SnapshotSpec
from firstlight.core.plan import Outlet


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One picture."""

    of: str
    path: Path
    data: Array
    """Shape (row, col) of the picture, whatever its axes are called."""
    axes: tuple[str, ...]
    unit: str | None
    place: int | None
    """Id of the frame (or position of the slice); None for a single array."""


class Snapped:
    """Keeps the frame that is nearest to the middle; takes chunks from any thread, and never makes one wait."""

    def __init__(self, outlet: Outlet) -> None:
        """Nothing has come yet."""
        self._outlet = outlet
        self._lock = threading.Lock()
        self._off = -1
        self._kept: tuple[Array, tuple[str, ...], int] | None = None

    def put(self, item: Item) -> None:
        """Look whether a chunk has a better frame."""
        if not isinstance(item, Chunk) or not len(item):
            return
        stream = self._outlet.scan.main
        middle = ((stream.frames or 1) - 1) // 2 if stream.arrival else 0
        places = np.abs(item.ids - stream.first - middle) if stream.arrival else np.zeros(len(item), np.int64)
        at = int(places.argmin())
        with self._lock:
            if self._kept is None or int(places[at]) < self._off:
                self._off = int(places[at])
                self._kept = np.array(item.data[at]), item.axes, int(item.ids[at])

    def snapshot(self) -> Snapshot | None:
        """The picture: of further axes in front, the middle; None if nothing came."""
        spec = self._outlet.spec
        if self._kept is None or not isinstance(spec, SnapshotSpec):
            return None
        data, axes, place = self._kept
        while data.ndim > 2:
            data, axes = data[(len(data) - 1) // 2], axes[1:]
        stream = self._outlet.scan.main
        picture = np.atleast_2d(data)
        return Snapshot(str(spec.of), spec.path, picture, axes, stream.unit, place if stream.arrival else None)


def picture_of(outlet: Outlet, items: Iterable[Item]) -> Snapshot | None:
    """The picture of what has come whole; None if nothing did."""
    snapped = Snapped(outlet)
    for item in items:
        snapped.put(item)
    return snapped.snapshot()

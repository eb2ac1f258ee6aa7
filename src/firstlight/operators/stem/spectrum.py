"""Sums over frames and detector places by spatial frequency of the scan, updated as frames come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk
from firstlight.kernels.ssb import SideBands, add_line

from .scan_map import ScanMap


@dataclass(slots=True)
class Spectrum:
    """What has been summed so far."""

    map: ScanMap
    """Intensities in the bright field, kept so that aberrations can be changed."""
    bands: Sequence[SideBands]
    """Weights of the detector places, one list for each sum."""
    sums: Array
    """Each sum, by spatial frequency: (sum, q_y, q_x ≥ 0), without what waits."""
    waiting: Array
    """(point,), bool: frames of lines that are not whole yet. A line costs little more than one frame, so it is summed at once."""
    size: tuple[int, int]
    """Rows and columns of a frame."""

    @classmethod
    def empty(cls, known: ScanMap, bands: Sequence[SideBands], size: tuple[int, int]) -> Spectrum:
        """Nothing has come."""
        sums = np.zeros((len(bands), known.lines, known.points // 2 + 1), np.complex128)
        return cls(known, bands, sums, np.zeros(known.lines * known.points, bool), size)

    def take(self, chunk: Chunk) -> None:
        """Add the frames of a chunk, whose data are intensities in the bright field; those that came before are left out."""
        places = chunk.ids - self.map.first
        fresh = (places >= 0) & (places < len(self.map.covered))
        fresh[fresh] &= ~self.map.covered[places[fresh]]
        self.map.take(chunk.ids[fresh], chunk.data[fresh])
        self.waiting[places[fresh]] = True
        lines = np.unique(places[fresh] // self.map.points)
        self._settle(lines[self.map.covered.reshape(self.map.shape)[lines].all(axis=1)])

    @property
    def totals(self) -> Array:
        """Each sum over all frames that have come, by spatial frequency: (sum, q_y, q_x ≥ 0)."""
        self._settle(np.flatnonzero(self.waiting.reshape(self.map.shape).any(axis=1)))
        return self.sums

    def _settle(self, lines: Array) -> None:
        """Sum what waits in some lines."""
        for line in lines:
            begin = int(line) * self.map.points
            part = self.waiting[begin : begin + self.map.points]
            self._sum(begin + np.flatnonzero(part))
            part[:] = False

    def _sum(self, places: Array) -> None:
        lines = places // self.map.points
        for line in np.unique(lines):
            here = places[lines == line]
            for total, bands in zip(self.sums, self.bands, strict=True):
                add_line(total, bands, int(line), here % self.map.points, self.map.values[here], self.map.points)

    @property
    def light(self) -> float:
        """The mean intensity of a place in the bright field; 1 where nothing has come."""
        return float(self.map.values[self.map.covered].mean(dtype=np.float64)) if self.map.covered.any() else 1.0

    def again(self, bands: Sequence[SideBands]) -> Spectrum:
        """The same frames under other weights."""
        fresh = Spectrum.empty(self.map, bands, self.size)
        fresh._sum(np.flatnonzero(self.map.covered))
        return fresh

    def merged(self, other: Spectrum) -> Spectrum:
        """Both sums, of disjoint frames."""
        sums = self.totals + other.totals
        return Spectrum(self.map.merged(other.map), self.bands, sums, np.zeros_like(self.waiting), self.size)

    def saved(self) -> dict[str, Any]:
        """The state as arrays."""
        return {"values": self.map.values.copy(), "covered": self.map.covered.copy(), "totals": self.totals.copy()}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take what `saved` gave."""
        self.map.values[:], self.map.covered[:] = saved["values"], saved["covered"]
        self.waiting[:] = False
        self.sums[:] = saved["totals"]

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
    totals: Array
    """Each sum, by spatial frequency: (sum, q_y, q_x ≥ 0)."""
    size: tuple[int, int]
    """Rows and columns of a frame."""

    @classmethod
    def empty(cls, known: ScanMap, bands: Sequence[SideBands], size: tuple[int, int]) -> Spectrum:
        """Nothing has come."""
        return cls(known, bands, np.zeros((len(bands), known.lines, known.points // 2 + 1), np.complex128), size)

    def take(self, chunk: Chunk) -> None:
        """Add the frames of a chunk, whose data are intensities in the bright field; those that came before are left out."""
        places = chunk.ids - self.map.first
        fresh = (places >= 0) & (places < len(self.map.covered))
        fresh[fresh] &= ~self.map.covered[places[fresh]]
        self.map.take(chunk.ids[fresh], chunk.data[fresh])
        self._sum(places[fresh])

    def _sum(self, places: Array) -> None:
        lines = places // self.map.points
        for line in np.unique(lines):
            here = places[lines == line]
            for total, bands in zip(self.totals, self.bands, strict=True):
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
        return Spectrum(self.map.merged(other.map), self.bands, self.totals + other.totals, self.size)

    def saved(self) -> dict[str, Any]:
        """The state as arrays."""
        return {"values": self.map.values.copy(), "covered": self.map.covered.copy(), "totals": self.totals.copy()}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take what `saved` gave."""
        self.map.values[:], self.map.covered[:] = saved["values"], saved["covered"]
        self.totals[:] = saved["totals"]

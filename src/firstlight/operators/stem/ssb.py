"""Live single-side-band ptychography."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field
from scipy import fft

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.held import Held
from firstlight.core.units import Nanometre
from firstlight.kernels.ssb import SideBands, add_line, side_bands

from .bright_field import BrightField
from .scan_map import ScanMap


@dataclass(slots=True)
class Spectrum:
    """What has been summed so far."""

    map: ScanMap
    """Intensities in the bright field, kept so that aberrations can be changed."""
    bands: SideBands
    total: Array
    """Σ over frames and detector places, by spatial frequency (q_y, q_x ≥ 0)."""
    size: tuple[int, int]
    """Rows and columns of a frame."""


class Ssb(BrightField[Spectrum]):
    """Recover the phase of a thin sample by single-side-band ptychography, while it is scanned.

    Each frame adds to the Fourier transform of the phase; points that have not come count as no phase. Aberrations may be
    changed at any time. Valid for weak phase objects (well below 1 rad).
    """

    use: ClassVar[str] = "ssb"
    signature: ClassVar[Any] = "[*] row col -> phase: scan_y scan_x"
    cites: ClassVar[tuple[str, ...]] = ("10.1016/j.ultramic.2014.09.013", "10.1017/S1431927621012423")
    sentence: ClassVar[str] = (
        "The phase was recovered by single-side-band ptychography (aperture {aperture}, {energy}, defocus {defocus})."
    )

    defocus: Annotated[Nanometre, Field(ge=-1e6, le=1e6)] = 0.0
    """Defocus (C1) to correct for, positive over focus."""

    def unit(self, scan: Scan) -> str:
        """Radian."""
        return "rad"

    def workspace(self, scan: Scan, frames: int) -> int:
        """Side bands, and the bright field of every frame."""
        made = self.calibrated(scan)
        size = (scan.main.size("row"), scan.main.size("col"))
        places, points = len(made.places(size)[0]), scan.main.frames or 0
        return int(places * points * (4 + 12 / 2))

    def _bands(self, size: tuple[int, int], lines: int, points: int) -> SideBands:
        _, rows, cols = self.places(size)
        down, right = self.frequencies(lines, points)

        def wave(at_rows: Array, at_cols: Array) -> Array:
            return self.wave(at_rows, at_cols, self.defocus)

        return side_bands(wave, rows, cols, down.ravel(), right.ravel())

    def empty(self, scan: Scan) -> Spectrum:
        """The state before the first frame."""
        made = self.calibrated(scan)
        size = (scan.main.size("row"), scan.main.size("col"))
        known = ScanMap.empty(scan, (len(made.places(size)[0]),), self.use, "float32")
        total = np.zeros((known.lines, known.points // 2 + 1), np.complex128)
        return Spectrum(known, made._bands(size, known.lines, known.points), total, size)

    def add(self, state: Spectrum, chunk: Chunk, *held: Held) -> None:
        """Add the frames of a chunk to the spectrum, line by line."""
        found = self.digest(chunk)
        places = found.ids - state.map.first
        fresh = (places >= 0) & (places < len(state.map.covered))
        fresh[fresh] &= ~state.map.covered[places[fresh]]
        state.map.take(found.ids[fresh], found.data[fresh])
        self._sum(state, places[fresh])

    def _sum(self, state: Spectrum, places: Array) -> None:
        lines = places // state.map.points
        for line in np.unique(lines):
            here = places[lines == line]
            add_line(
                state.total, state.bands, int(line), here % state.map.points, state.map.values[here], state.map.points
            )

    def ready(self, state: Spectrum) -> bool:
        """True once a frame has come."""
        return bool(state.map.covered.any())

    def coverage(self, state: Spectrum) -> float:
        """The share of the scan that has come."""
        return state.map.share

    def result(self, state: Spectrum) -> dict[str, Array]:
        """The phase in radian, float32 of shape (scan_y, scan_x)."""
        light = float(state.map.values[state.map.covered].mean(dtype=np.float64)) if state.map.covered.any() else 0.0
        counts = np.diff(state.bands.starts).reshape(state.total.shape)
        scale = np.maximum(counts, 1) * (light or 1.0)
        phase = fft.irfft2(-1j * state.total / scale, s=state.map.shape)
        return {"phase": phase.astype(np.float32)}

    def adapt(self, state: Spectrum, old: Any) -> Spectrum:
        """Other aberrations, or another direction: the sum is taken again, of what is kept of the frames."""
        if not isinstance(old, Ssb) or not self.digests_like(old):
            return super().adapt(state, old)
        bands = self._bands(state.size, state.map.lines, state.map.points)
        fresh = Spectrum(state.map, bands, np.zeros_like(state.total), state.size)
        self._sum(fresh, np.flatnonzero(state.map.covered))
        return fresh

    def merge(self, state: Spectrum, other: Spectrum) -> Spectrum:
        """Both sums."""
        return Spectrum(state.map.merged(other.map), state.bands, state.total + other.total, state.size)

    def save(self, state: Spectrum) -> dict[str, Any]:
        """The bright field of what has come."""
        return {"values": state.map.values.copy(), "covered": state.map.covered.copy(), "total": state.total.copy()}

    def load(self, saved: dict[str, Any], scan: Scan) -> Spectrum:
        """The state that `save` wrote."""
        state = self.empty(scan)
        state.map.values[:], state.map.covered[:] = saved["values"], saved["covered"]
        state.total[:] = saved["total"]
        return state

"""Live single-side-band ptychography."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field
from scipy import fft

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.held import Held
from firstlight.core.units import Nanometre
from firstlight.kernels.ssb import SideBands, side_bands

from .bright_field import BrightField
from .scan_map import ScanMap
from .spectrum import Spectrum


class Ssb(BrightField[Spectrum]):
    """Recover the phase of a thin sample by single-side-band ptychography, while it is scanned.

    Each frame adds to the Fourier transform of the phase; points that have not come count as no phase. Aberrations may be
    changed at any time. Valid for weak phase objects (well below 1 rad).
    """

    use: ClassVar[str] = "ssb"
    signature: ClassVar[Any] = "[*] row col -> phase: scan_y scan_x"
    cites: ClassVar[tuple[str, ...]] = ("10.1016/j.ultramic.2014.09.013", "10.1017/S1431927621012423")
    sentence: ClassVar[str] = (
        "The phase was recovered by single-side-band ptychography ({aperture:aperture}, {energy}, {defocus:defocus})."
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
        return Spectrum.empty(known, [made._bands(size, known.lines, known.points)], size)

    def add(self, state: Spectrum, chunk: Chunk, *held: Held) -> None:
        """Add the frames of a chunk to the spectrum, line by line."""
        state.take(self.digest(chunk))

    def ready(self, state: Spectrum) -> bool:
        """True once a frame has come."""
        return bool(state.map.covered.any())

    def coverage(self, state: Spectrum) -> float:
        """The share of the scan that has come."""
        return state.map.share

    def result(self, state: Spectrum) -> dict[str, Array]:
        """The phase in radian, float32 of shape (scan_y, scan_x)."""
        total = state.totals[0]
        counts = np.diff(state.bands[0].starts).reshape(total.shape)
        scale = np.maximum(counts, 1) * (state.light or 1.0)
        phase = fft.irfft2(-1j * total / scale, s=state.map.shape)
        return {"phase": phase.astype(np.float32)}

    def adapt(self, state: Spectrum, old: Any) -> Spectrum:
        """Other aberrations, or another direction: the sum is taken again, of what is kept of the frames."""
        if not isinstance(old, Ssb) or not self.digests_like(old):
            return super().adapt(state, old)
        return state.again([self._bands(state.size, state.map.lines, state.map.points)])

    def merge(self, state: Spectrum, other: Spectrum) -> Spectrum:
        """Both sums."""
        return state.merged(other)

    def save(self, state: Spectrum) -> dict[str, Any]:
        """The bright field of what has come."""
        return state.saved()

    def load(self, saved: dict[str, Any], scan: Scan) -> Spectrum:
        """The state that `save` wrote."""
        state = self.empty(scan)
        state.restore(saved)
        return state

"""Live Wigner distribution deconvolution."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field
from scipy import fft

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.held import Held
from firstlight.core.units import Nanometre
from firstlight.kernels.ssb import SideBands
from firstlight.kernels.wdd import wigner_weights

from .bright_field import BrightField
from .scan_map import ScanMap
from .spectrum import Spectrum


class Wdd(BrightField[Spectrum]):
    """Recover the complex transmission of a thin sample by Wigner distribution deconvolution, while it is scanned.

    Unlike single side bands it takes no object to be weak. Frames are summed under weights that deconvolve the probe; the two
    terms that a weak object has for each frequency are kept apart. Points that have not come count as empty. Aberrations may be
    changed at any time.
    """

    use: ClassVar[str] = "wdd"
    signature: ClassVar[Any] = "[*] row col -> phase: scan_y scan_x, amplitude: scan_y scan_x"
    cites: ClassVar[tuple[str, ...]] = ("10.1098/rsta.1992.0050",)
    sentence: ClassVar[str] = (
        "The transmission was recovered by Wigner distribution deconvolution ({aperture:aperture}, {energy}, "
        "{defocus:defocus}, {epsilon:epsilon})."
    )

    defocus: Annotated[Nanometre, Field(ge=-1e6, le=1e6)] = 0.0
    """Defocus (C1) to correct for, positive over focus."""
    epsilon: Annotated[float, Field(gt=0, le=100)] = 0.01
    """Of the Wiener filter, as a part of the largest power of the probe: more for less noise, less for stronger objects."""
    reach: Annotated[float, Field(ge=0.5, le=4)] = 1.0
    """How far from the axis pixels are used, in radii of the aperture: more than 1 also takes what strong objects scatter beyond."""

    def units(self, scan: Scan) -> dict[str, str | None]:
        """Radian for the phase; the amplitude has none."""
        return {"phase": "rad", "amplitude": None}

    def workspace(self, scan: Scan, frames: int) -> int:
        """Weights, and the bright field of every frame."""
        made = self.calibrated(scan)
        size = (scan.main.size("row"), scan.main.size("col"))
        return int(len(made.places(size)[0]) * (scan.main.frames or 0) * (4 + 2 * 12 / 2))

    def places(self, size: tuple[int, int]) -> tuple[Array, Array, Array]:
        """Which pixels are used (flat index), and their rows and columns from the axis."""
        wider = None if self.aperture is None else self.aperture * self.reach
        return BrightField.places(self.model_copy(update={"aperture": wider}), size)

    def digests_like(self, other: object) -> bool:
        """True if the same pixels are used."""
        return isinstance(other, Wdd) and other.reach == self.reach and super().digests_like(other)

    def _bands(self, size: tuple[int, int], lines: int, points: int) -> tuple[SideBands, SideBands]:
        _, aperture, angle, _, _ = self.optics()
        _, rows, cols = self.places(size)
        down, right = self.frequencies(lines, points)

        def wave(at_rows: Array, at_cols: Array) -> Array:
            return self.wave(at_rows, at_cols, self.defocus)

        radius = aperture / angle * max(1.0, self.reach)
        return wigner_weights(wave, rows, cols, down.ravel(), right.ravel(), radius=radius, epsilon=self.epsilon)

    def empty(self, scan: Scan) -> Spectrum:
        """The state before the first frame."""
        made = self.calibrated(scan)
        size = (scan.main.size("row"), scan.main.size("col"))
        known = ScanMap.empty(scan, (len(made.places(size)[0]),), self.use, "float32")
        return Spectrum.empty(known, made._bands(size, known.lines, known.points), size)

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
        """The phase in radian about that of the mean, and the amplitude about its own mean, float32 of shape (scan_y, scan_x)."""
        lines, points = state.map.shape
        minus, plus = state.totals
        spectrum = np.zeros((lines, points), np.complex128)
        half = minus.shape[1]
        spectrum[:, :half] = plus
        # T(-Q) where the transform along lines has no column of its own
        across = np.arange(1, (points + 1) // 2)
        back = -np.arange(lines) % lines
        spectrum[:, points - across] = minus[back][:, across].conj()
        wave = fft.ifft2(spectrum)
        wave *= np.exp(-1j * np.angle(wave.mean())) / (np.abs(wave).mean() or 1.0)
        return {"phase": np.angle(wave).astype(np.float32), "amplitude": np.abs(wave).astype(np.float32)}

    def adapt(self, state: Spectrum, old: Any) -> Spectrum:
        """Other aberrations, another filter or direction: the sum is taken again, of what is kept of the frames."""
        if not self.digests_like(old):
            return super().adapt(state, old)
        return state.again(self._bands(state.size, state.map.lines, state.map.points))

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

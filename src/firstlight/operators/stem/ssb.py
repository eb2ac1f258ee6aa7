"""Live single-side-band ptychography."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import fft

from firstlight.core.arrays import Array, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.core.units import Degree, KeV, Millimetre, Milliradian, Nanometre
from firstlight.kernels.electron_optics import aperture_wave, wavelength
from firstlight.kernels.ssb import SideBands, add_line, side_bands

from .center_of_mass import middle_of
from .scan_map import ScanMap

BRIGHT = ("place",)
"""Axis of a chunk whose frames are the intensities in the bright field."""


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


class Ssb(Fold[Spectrum]):
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

    energy: Annotated[KeV, Field(gt=0)] | None = None
    """Energy of the electrons. Default: as the scan says."""
    aperture: Annotated[Milliradian, Field(gt=0)] | None = None
    """Half angle of the convergent probe. Default: as the scan says."""
    detector_angle: Annotated[Milliradian, Field(gt=0)] | None = None
    """Angle of a detector pixel. Default: as the scan says."""
    step_y: Annotated[Nanometre, Field(gt=0)] | None = None
    """Distance of two scan lines. Default: as the scan says."""
    step_x: Annotated[Nanometre, Field(gt=0)] | None = None
    """Distance of two points of a line. Default: as the scan says."""
    center: tuple[float, float] | None = None
    """Row and column of the optical axis in pixel from 0. Default: the middle of the frame."""
    rotation: Annotated[Degree, Field(ge=-360, le=360)] = 0.0
    """Angle by which the detector is turned against the scan; `dpc` finds it."""
    flip: bool = False
    """The detector's rows run against the scan's lines."""
    defocus: Annotated[Nanometre, Field(ge=-1e6, le=1e6)] = 0.0
    """Defocus (C1) to correct for, positive over focus."""
    spherical: Annotated[Millimetre, Field(ge=-1e3, le=1e3)] = 0.0
    """Spherical aberration (C3) to correct for."""

    def calibrated(self, scan: Scan) -> Self:
        """Energy, angles and steps from the scan, where they are not given."""
        units = {"energy": "keV", "aperture": "mrad", "detector_angle": "mrad", "step_y": "nm", "step_x": "nm"}
        found = {
            name: scan.calibration[name].to(unit)
            for name, unit in units.items()
            if getattr(self, name) is None and name in scan.calibration
        }
        return self.model_copy(update=found) if found else self

    def unit(self, scan: Scan) -> str:
        """Radian."""
        return "rad"

    def workspace(self, scan: Scan, frames: int) -> int:
        """Side bands, and the bright field of every frame."""
        made = self.calibrated(scan)
        size = (scan.main.size("row"), scan.main.size("col"))
        places, points = len(made._places(size)[0]), scan.main.frames or 0
        return int(places * points * (4 + 12 / 2))

    def _required(self) -> tuple[float, float, float, float, float]:
        names = ("energy", "aperture", "detector_angle", "step_y", "step_x")
        for name in names:
            if getattr(self, name) is None:
                raise FirstlightError(
                    f"'ssb' needs {name}, which the scan does not tell.",
                    field=name,
                    expected="a number with its unit",
                    next_move=f"Give {name}.",
                )
        energy, aperture, angle, step_y, step_x = (float(getattr(self, name)) for name in names)
        return wavelength(energy), aperture * 1e-3, angle * 1e-3, step_y * 1e-9, step_x * 1e-9

    def _places(self, size: tuple[int, int]) -> tuple[Array, Array, Array]:
        """Which pixels lie in the bright field (flat index), and their rows and columns from the axis."""
        _, aperture, angle, _, _ = self._required()
        middle = middle_of(size, self.center)
        rows, cols = np.arange(size[0]) - middle[0], np.arange(size[1]) - middle[1]
        inside = rows[:, None] ** 2 + cols**2 <= (aperture / angle + 1e-4) ** 2
        index = np.flatnonzero(inside)
        return index, rows[index // size[1]], cols[index % size[1]]

    def _bands(self, size: tuple[int, int], lines: int, points: int) -> SideBands:
        length, aperture, angle, step_y, step_x = self._required()
        _, rows, cols = self._places(size)
        q_y, q_x = np.meshgrid(fft.fftfreq(lines, step_y), fft.rfftfreq(points, step_x), indexing="ij")
        turn, scale = np.deg2rad(self.rotation), length / angle
        right = scale * (np.cos(turn) * q_x - np.sin(turn) * q_y)
        down = scale * (np.sin(turn) * q_x + np.cos(turn) * q_y) * (-1 if self.flip else 1)

        def wave(at_rows: Array, at_cols: Array) -> Array:
            return aperture_wave(
                at_rows,
                at_cols,
                radius=aperture / angle,
                length=length,
                pixel_angle=angle,
                defocus=self.defocus * 1e-9,
                spherical=self.spherical * 1e-3,
            )

        return side_bands(wave, rows, cols, down.ravel(), right.ravel())

    def empty(self, scan: Scan) -> Spectrum:
        """The state before the first frame."""
        made = self.calibrated(scan)
        size = (scan.main.size("row"), scan.main.size("col"))
        known = ScanMap.empty(scan, (len(made._places(size)[0]),), self.use, "float32")
        total = np.zeros((known.lines, known.points // 2 + 1), np.complex128)
        return Spectrum(known, made._bands(size, known.lines, known.points), total, size)

    def digest(self, chunk: Chunk) -> Chunk:
        """The intensities in the bright field, which is all that is needed of a frame."""
        if chunk.axes == BRIGHT:
            return chunk
        frames, _ = bring_last(chunk.data, chunk.axes, ("row", "col"))
        index, _, _ = self._places((frames.shape[1], frames.shape[2]))
        flat = frames.reshape(len(frames), frames.shape[1] * frames.shape[2])
        return chunk.with_data(flat[:, index].astype(np.float32), BRIGHT)

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

    def digests_like(self, other: Any) -> bool:
        """True if the bright field is the same pixels."""
        names = ("aperture", "detector_angle", "center")
        return isinstance(other, Ssb) and all(getattr(self, name) == getattr(other, name) for name in names)

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

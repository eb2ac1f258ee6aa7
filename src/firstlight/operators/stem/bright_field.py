"""What steps share that work on the bright field of every scan point: optics, places on the detector, and the values kept."""

from __future__ import annotations

from typing import Annotated, Self, TypeVar

import numpy as np
from pydantic import Field
from scipy import fft

from firstlight.core.arrays import Array, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.fold import Fold
from firstlight.core.units import Degree, KeV, Millimetre, Milliradian, Nanometre
from firstlight.kernels.electron_optics import aperture_wave, astigmatism_parts, wavelength

from .center_of_mass import middle_of

BRIGHT = ("place",)
"""Axis of a chunk whose frames are the intensities in the bright field."""
State = TypeVar("State")


class BrightField(Fold[State]):
    """The optics of a scan, from the step or from the scan itself."""

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
    spherical: Annotated[Millimetre, Field(ge=-1e3, le=1e3)] = 0.0
    """Spherical aberration (C3) to correct for."""
    astigmatism: Annotated[Nanometre, Field(ge=0, le=1e6)] = 0.0
    """Twofold astigmatism (A1) to correct for."""
    astigmatism_angle: Annotated[Degree, Field(ge=-360, le=360)] = 0.0
    """Its direction on the detector, from columns towards rows: there it adds to the defocus, across it takes away."""

    def calibrated(self, scan: Scan) -> Self:
        """Energy, angles and steps from the scan, where they are not given."""
        units = {"energy": "keV", "aperture": "mrad", "detector_angle": "mrad", "step_y": "nm", "step_x": "nm"}
        found = {
            name: scan.calibration[name].to(unit)
            for name, unit in units.items()
            if getattr(self, name) is None and name in scan.calibration
        }
        return self.model_copy(update=found) if found else self

    def optics(self) -> tuple[float, float, float, float, float]:
        """Wavelength in metre, aperture and angle of a pixel in radian, steps in metre.

        Raises:
            FirstlightError: One of them is not known.
        """
        names = ("energy", "aperture", "detector_angle", "step_y", "step_x")
        for name in names:
            if getattr(self, name) is None:
                raise FirstlightError(
                    f"'{self.use}' needs {name}, which the scan does not tell.",
                    field=name,
                    expected="a number with its unit",
                    next_move=f"Give {name}.",
                )
        energy, aperture, angle, step_y, step_x = (float(getattr(self, name)) for name in names)
        return wavelength(energy), aperture * 1e-3, angle * 1e-3, step_y * 1e-9, step_x * 1e-9

    def places(self, size: tuple[int, int]) -> tuple[Array, Array, Array]:
        """Which pixels lie in the bright field (flat index), and their rows and columns from the axis."""
        _, aperture, angle, _, _ = self.optics()
        middle = middle_of(size, self.center)
        rows, cols = np.arange(size[0]) - middle[0], np.arange(size[1]) - middle[1]
        inside = rows[:, None] ** 2 + cols**2 <= (aperture / angle + 1e-4) ** 2
        index = np.flatnonzero(inside)
        return index, rows[index // size[1]], cols[index % size[1]]

    def frequencies(self, lines: int, points: int) -> tuple[Array, Array]:
        """Spatial frequencies (q_y, q_x ≥ 0) of the scan as distances on the detector, along its rows and columns, in pixel."""
        length, _, angle, step_y, step_x = self.optics()
        q_y, q_x = np.meshgrid(fft.fftfreq(lines, step_y), fft.rfftfreq(points, step_x), indexing="ij")
        turn, scale = np.deg2rad(self.rotation), length / angle
        right = scale * (np.cos(turn) * q_x - np.sin(turn) * q_y)
        down = scale * (np.sin(turn) * q_x + np.cos(turn) * q_y) * (-1 if self.flip else 1)
        return down, right

    def wave(self, rows: Array, cols: Array, defocus: float) -> Array:
        """The wave in the aperture at any place on the detector, in pixel from the axis; defocus in nm."""
        length, aperture, angle, _, _ = self.optics()
        return aperture_wave(
            rows,
            cols,
            radius=aperture / angle,
            length=length,
            pixel_angle=angle,
            defocus=defocus * 1e-9,
            spherical=self.spherical * 1e-3,
            astigmatism=astigmatism_parts(self.astigmatism * 1e-9, self.astigmatism_angle),
        )

    def digest(self, chunk: Chunk) -> Chunk:
        """The intensities in the bright field, which is all that is needed of a frame."""
        if chunk.axes == BRIGHT:
            return chunk
        frames, _ = bring_last(chunk.data, chunk.axes, ("row", "col"))
        index, _, _ = self.places((frames.shape[1], frames.shape[2]))
        flat = frames.reshape(len(frames), frames.shape[1] * frames.shape[2])
        return chunk.with_data(flat[:, index].astype(np.float32), BRIGHT)

    def digests_like(self, other: object) -> bool:
        """True if the bright field is the same pixels."""
        names = ("aperture", "detector_angle", "center")
        return isinstance(other, BrightField) and all(getattr(self, name) == getattr(other, name) for name in names)

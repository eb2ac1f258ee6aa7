"""Simulated 4D-STEM of a thin phase object: a convergent probe, exact diffraction of the exit wave, electrons counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, PrivateAttr
from scipy import fft

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import MAIN, Item, Scan, Stream
from firstlight.core.errors import FirstlightError
from firstlight.core.source import Source
from firstlight.core.units import Bytes, Degree, KeV, Millimetre, Milliradian, Nanometre, Quantity
from firstlight.kernels.electron_optics import aperture_wave, astigmatism_parts, exit_patterns, frequencies, wavelength

from .points import block, counted, line_by_line

_BUMPS = ((0.30, 0.35, 0.085, 1.0), (0.62, 0.66, 0.10, -0.8), (0.36, 0.72, 0.07, 0.7), (0.75, 0.28, 0.075, 0.9))
"""Gaussian bumps of the phase: place (y, x) and width as parts of the field, and height."""


@dataclass(frozen=True, slots=True)
class ThinObject:
    """The truth behind a simulated 4D-STEM scan; all arrays have the axes (scan_y, scan_x)."""

    phase: Array
    """Phase of the object in radian."""
    seen: Array
    """The phase as the intensity of the probe blurs it: what the integrated centre of mass shows."""
    shift_row: Array
    """Centre of mass of the pattern along the detector's rows, in pixels."""
    shift_col: Array
    """Likewise along the columns."""


class PhantomStemSource(Source):
    """Simulates 4D-STEM (scan_y scan_x row col) of a known phase with a convergent probe, for ptychography and DPC.

    The object is periodic over a square field, which the scan covers once. Each pattern is the diffraction of the exit
    wave, probe times exp(i phase), with Poisson noise; every frame depends on its id and the seed alone.
    """

    use: ClassVar[str] = "phantom_stem"

    scan_y: Annotated[int, Field(ge=1)] = 32
    """Lines of the scan."""
    scan_x: Annotated[int, Field(ge=1)] = 32
    """Points in a line."""
    pixels: Annotated[int, Field(ge=8)] = 48
    """Rows and columns of the detector."""
    energy: Annotated[KeV, Field(gt=0)] = 300.0
    """Energy of the electrons."""
    aperture: Annotated[Milliradian, Field(gt=0)] = 10.0
    """Half angle of the convergent probe."""
    field: Annotated[Nanometre, Field(gt=0)] = 2.0
    """Width of the scanned field."""
    defocus: Nanometre = 0.0
    """Defocus of the probe (C1), positive over focus."""
    spherical: Millimetre = 0.0
    """Spherical aberration (C3)."""
    astigmatism: Annotated[Nanometre, Field(ge=0)] = 0.0
    """Twofold astigmatism (A1)."""
    astigmatism_angle: Annotated[Degree, Field(ge=-360, le=360)] = 0.0
    """Its direction on the detector, from columns towards rows."""
    strength: float = 0.1
    """Height of the phase in radian."""
    rotation: Degree = 0.0
    """Angle by which the detector is turned against the scan."""
    flip: bool = False
    """The detector's rows run against the scan's lines."""
    dose: Annotated[float, Field(gt=0)] = 20000.0
    """Electrons per pattern on average."""
    noise: bool = True
    """Draw electrons (Poisson); false gives rounded mean values."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Another seed gives other noise."""
    chunk: Annotated[Bytes, Field(gt=0)] = 2.0**20
    """Size of a chunk: as many whole frames as fit, at least one."""

    _stopped: bool = PrivateAttr(False)
    _made: tuple[Array, Array] | None = PrivateAttr(None)
    """Wave in the aperture, and transmission of the object."""

    @property
    def pixel_angle(self) -> float:
        """Angle of a detector pixel in radian: one period per field."""
        return wavelength(self.energy) / (self.field * 1e-9)

    @property
    def radius(self) -> float:
        """Radius of the bright-field disk in pixels."""
        return self.aperture * 1e-3 / self.pixel_angle

    def _wave(self) -> Array:
        if self.radius > self.pixels / 2 - 1:
            raise FirstlightError(
                "The bright-field disk is larger than the detector.",
                field="aperture",
                value=f"{self.radius:.1f} pixel",
                expected=f"a radius of at most {self.pixels / 2 - 1} pixel",
                next_move="Take more pixels, a smaller field or a smaller aperture.",
            )
        axis = frequencies(self.pixels)
        length, angle, c1, c3 = wavelength(self.energy), self.pixel_angle, self.defocus * 1e-9, self.spherical * 1e-3
        # patterns are flipped after diffraction
        twofold = astigmatism_parts(self.astigmatism * 1e-9, self.astigmatism_angle * (-1 if self.flip else 1))
        return aperture_wave(
            axis[:, None],
            axis,
            radius=self.radius,
            length=length,
            pixel_angle=angle,
            defocus=c1,
            spherical=c3,
            astigmatism=twofold,
        )

    def _phase(self) -> Array:
        """Phase on the grid of the probe, periodic over the field."""
        y, x = np.mgrid[0 : self.pixels, 0 : self.pixels] / self.pixels
        phase = np.zeros((self.pixels, self.pixels))
        for y0, x0, width, height in _BUMPS:
            down, right = (y - y0 + 0.5) % 1 - 0.5, (x - x0 + 0.5) % 1 - 0.5
            phase += self.strength * height * np.exp(-(down**2 + right**2) / (2 * width**2))
        return phase - phase.mean()

    def places(self) -> Array:
        """Place of the probe at each scan point, as part of the field: (scan_y · scan_x, 2)."""
        y, x = np.meshgrid(np.arange(self.scan_y) / self.scan_y, np.arange(self.scan_x) / self.scan_x, indexing="ij")
        turn = np.deg2rad(self.rotation)
        right = np.cos(turn) * (x - 0.5) - np.sin(turn) * (y - 0.5) + 0.5
        down = np.sin(turn) * (x - 0.5) + np.cos(turn) * (y - 0.5) + 0.5
        return np.stack([down.ravel(), right.ravel()], axis=1)

    def truth(self) -> ThinObject:
        """Phase and centre of mass at every scan point, from the object and the probe without any pattern.

        The centre of mass of a phase object's pattern is the gradient of the phase, averaged under the probe's intensity
        (Lazić et al. 2016).
        """
        spectrum, order = fft.fft2(self._phase()) / self.pixels**2, fft.fftfreq(self.pixels, 1 / self.pixels)
        intensity = np.abs(fft.ifft2(self._wave())) ** 2
        # the probe is even, so correlation with it is convolution
        transfer = fft.fft2(intensity / intensity.sum())
        places = self.places()
        down, right = (np.exp(2j * np.pi * places[:, n : n + 1] * order) for n in (0, 1))

        def at_places(values: Array) -> Array:
            found = np.einsum("sy,yx,sx->s", down, values, right, optimize=True)
            return found.real.reshape(self.scan_y, self.scan_x)

        blurred = spectrum * transfer
        row, col = at_places(1j * order[:, None] * blurred), at_places(1j * order * blurred)
        return ThinObject(at_places(spectrum), at_places(blurred), -row if self.flip else row, col)

    def scan(self) -> Scan:
        """What the scan looks like."""
        axes = ("scan_y", "scan_x", "row", "col")
        sizes = {"scan_y": self.scan_y, "scan_x": self.scan_x, "row": self.pixels, "col": self.pixels}
        known = {
            "energy": Quantity(self.energy, "keV"),
            "aperture": Quantity(self.aperture, "mrad"),
            "detector_angle": Quantity(self.pixel_angle * 1e3, "mrad"),
            "step_y": Quantity(self.field / self.scan_y, "nm"),
            "step_x": Quantity(self.field / self.scan_x, "nm"),
        }
        told = {"simulated": "yes: thin phase object of firstlight, no measured data"}
        stream = Stream(axes, sizes, "uint16", 2, unit="counts")
        return Scan({MAIN: stream}, "phantom_stem", known, order=(MAIN,), metadata=told)

    def open(self) -> Scan:
        """Prepare probe and object.

        Raises:
            FirstlightError: The detector is too small for the probe.
        """
        self._made, self._stopped = (self._wave(), np.exp(1j * self._phase())), False
        return self.scan()

    def items(self) -> Iterator[Item]:
        """The frames, line by line."""
        return line_by_line(self.scan().main, self.chunk, self._frames, lambda: self._stopped)

    def _frames(self, ids: Ids) -> Array:
        wave, transmission = self._made = self._made or (self._wave(), np.exp(1j * self._phase()))
        mean = self.dose * exit_patterns(wave, transmission, self.places()[ids])
        out = np.empty(mean.shape, np.uint16)
        for number, frame in enumerate(ids.tolist()):
            out[number] = counted(mean[number], self.seed, frame, noise=self.noise)
        return out[:, ::-1] if self.flip else out

    def read(self, where: Mapping[str, slice], stream: str = MAIN) -> Array:
        """One block of the scan.

        Raises:
            UnknownName: There is no such stream or axis.
        """
        return block(self.scan(), where, stream, self._frames)

    def stop(self) -> None:
        """End `items` after the chunk in hand."""
        self._stopped = True

    def close(self) -> None:
        """Forget the object."""
        self._made = None

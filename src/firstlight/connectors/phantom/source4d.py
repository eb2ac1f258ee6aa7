"""Simulated 4-D scan of a phase object: at each scan point a diffraction disk, shifted by the gradient of the phase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import MAIN, Item, Scan, Stream
from firstlight.core.source import Source
from firstlight.core.units import Bytes

from .points import block, counted, line_by_line

_BUMPS = ((0.35, 0.30, 0.12, 1.0), (0.65, 0.60, 0.16, -0.8), (0.30, 0.75, 0.10, 0.6))
"""Gaussian bumps of the phase: place (y, x) and width as parts of the field, and height."""
_HOLE = (0.7, 0.25, 0.12, 0.4)
"""Place, width and depth of the absorbing part."""


@dataclass(frozen=True, slots=True)
class PhaseObject:
    """The truth behind a simulated 4-D scan; all arrays have the axes (scan_y, scan_x)."""

    phase: Array
    """Phase in radian."""
    shift_row: Array
    """Shift of the disk along the rows, in pixels: `camera` times the gradient of the phase along scan_y."""
    shift_col: Array
    """Likewise along the columns and scan_x."""
    transmission: Array
    """Part of the dose that passes the sample: what a detector that collects everything shows."""


class Phantom4DSource(Source):
    """Simulates a 4-D scan (scan_y scan_x row col) of a known phase, for virtual detectors and centre of mass.

    The pattern at each scan point is an evenly lit disk, shifted by the gradient of the phase, with Poisson noise. There
    is no diffraction within the disk, so that centre of mass and sum have closed forms. Every frame depends on its id
    and the seed alone.
    """

    use: ClassVar[str] = "phantom4d"

    scan_y: Annotated[int, Field(ge=1)] = 16
    """Lines of the scan."""
    scan_x: Annotated[int, Field(ge=1)] = 16
    """Points in a line."""
    rows: Annotated[int, Field(ge=4)] = 64
    """Rows of the detector."""
    columns: Annotated[int, Field(ge=4)] = 64
    """Columns of the detector."""
    radius: Annotated[float, Field(gt=0)] = 12.0
    """Radius of the disk in pixels."""
    strength: float = 1.5
    """Height of the phase in radian."""
    camera: Annotated[float, Field(ge=0)] = 8.0
    """Shift of the disk in pixels for a gradient of one radian per scan step."""
    dose: Annotated[float, Field(gt=0)] = 5000.0
    """Particles per pattern on average, where nothing is absorbed."""
    noise: bool = True
    """Draw particles (Poisson); false gives rounded mean values."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Another seed gives other noise."""
    chunk: Annotated[Bytes, Field(gt=0)] = 2.0**20
    """Size of a chunk: as many whole frames as fit, at least one."""

    _stopped: bool = PrivateAttr(False)
    _truth: PhaseObject | None = PrivateAttr(None)

    def truth(self) -> PhaseObject:
        """Phase, disk shifts and transmission at every scan point."""
        y, x = np.mgrid[0 : self.scan_y, 0 : self.scan_x].astype(np.float64)
        field = max(self.scan_y, self.scan_x)
        phase, down, right = np.zeros_like(y), np.zeros_like(y), np.zeros_like(y)
        for y0, x0, width, height in _BUMPS:
            dy, dx, w = y - y0 * self.scan_y, x - x0 * self.scan_x, width * field
            bump = self.strength * height * np.exp(-(dy**2 + dx**2) / (2 * w * w))
            phase += bump
            down -= bump * dy / w**2
            right -= bump * dx / w**2
        y0, x0, width, depth = _HOLE
        hole = np.exp(-((y - y0 * self.scan_y) ** 2 + (x - x0 * self.scan_x) ** 2) / (2 * (width * field) ** 2))
        return PhaseObject(phase, self.camera * down, self.camera * right, 1 - depth * hole)

    def scan(self) -> Scan:
        """What the scan looks like."""
        axes = ("scan_y", "scan_x", "row", "col")
        sizes = {"scan_y": self.scan_y, "scan_x": self.scan_x, "row": self.rows, "col": self.columns}
        told = {"simulated": "yes: phase object of firstlight, no measured data"}
        return Scan({MAIN: Stream(axes, sizes, "uint16", 2, unit="counts")}, "phantom4d", order=(MAIN,), metadata=told)

    def open(self) -> Scan:
        """Prepare the object."""
        self._truth, self._stopped = self.truth(), False
        return self.scan()

    def items(self) -> Iterator[Item]:
        """The frames, line by line."""
        return line_by_line(self.scan().main, self.chunk, self._frames, lambda: self._stopped)

    def _frames(self, ids: Ids) -> Array:
        truth = self._truth = self._truth or self.truth()
        row = np.arange(self.rows)[:, None] - (self.rows - 1) / 2
        col = np.arange(self.columns)[None, :] - (self.columns - 1) / 2
        out = np.empty((len(ids), self.rows, self.columns), np.uint16)
        for number, frame in enumerate(ids.tolist()):
            down, right = truth.shift_row.flat[frame], truth.shift_col.flat[frame]
            # a disk whose edge falls off over one pixel keeps its centre of mass where it belongs
            disk = np.clip(self.radius + 0.5 - np.hypot(row - down, col - right), 0, 1)
            mean = disk * (self.dose * truth.transmission.flat[frame] / (np.pi * self.radius**2))
            out[number] = counted(mean, self.seed, frame, noise=self.noise)
        return out

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
        self._truth = None

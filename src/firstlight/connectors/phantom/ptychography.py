"""Simulated ptychography: patterns of a Siemens star in a complex texture, and where they were taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Chunk, End, Item, Scan, Stream
from firstlight.core.errors import UnknownName
from firstlight.core.source import Source
from firstlight.core.units import KeV, Metre, Micrometre, Quantity
from firstlight.kernels.ptycho.phantom import Truth, simulate

POSITIONS = "positions"
_HC = 1.239841984e-9
"""Planck's constant times the speed of light, in keV m."""
_CHUNK = 32
"""Frames of a chunk."""


class PhantomPtychographySource(Source):
    """Simulates a ptychographic scan of known object and probe: a jittered raster over a Siemens star, with photon noise.

    The probe is the defocused focus of a zone plate with a central stop. Positions are those of the beam, in micrometre;
    energy, distance and pixel of the detector are told, so that the pixel of the object follows.
    """

    use: ClassVar[str] = "phantom_ptychography"

    scan_y: Annotated[int, Field(ge=1, le=200)] = 12
    """Lines of the scan."""
    scan_x: Annotated[int, Field(ge=1, le=200)] = 12
    """Points in a line."""
    window: Annotated[int, Field(ge=16, le=512)] = 64
    """Rows and columns of the detector."""
    step: Annotated[float, Field(gt=0)] = 6.0
    """Step of the raster in pixels of the object; it is jittered by a quarter of it."""
    photons: Annotated[float, Field(gt=0)] = 1e6
    """On the sample in each frame."""
    modes: Annotated[int, Field(ge=1, le=5)] = 1
    """Incoherent modes of the probe."""
    energy: Annotated[KeV, Field(gt=0)] = 9.0
    """Of a photon."""
    distance: Annotated[Metre, Field(gt=0)] = 2.0
    """From the sample to the detector."""
    pixel: Annotated[Micrometre, Field(gt=0)] = 75.0
    """Of the detector."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Another seed gives another texture, jitter and noise."""

    _truth: Truth | None = PrivateAttr(None)
    _stopped: bool = PrivateAttr(False)

    def truth(self) -> Truth:
        """Object, probe, and the photons that are expected; the same at every call."""
        if self._truth is None:
            self._truth = simulate(
                window=self.window,
                scan=(self.scan_y, self.scan_x),
                step=self.step,
                photons=self.photons,
                modes=self.modes,
                seed=self.seed,
            )
        return self._truth

    @property
    def object_pixel(self) -> float:
        """Pixel of the object in micrometre: ``λ z / (N p)``."""
        return _HC / self.energy * self.distance / (self.window * self.pixel * 1e-6) * 1e6

    def open(self) -> Scan:
        """Simulate the scan."""
        self._stopped = False
        count = self.scan_y * self.scan_x
        sizes = {"position": count, "row": self.window, "col": self.window}
        calibration = {
            "energy": Quantity(self.energy, "keV"),
            "distance": Quantity(self.distance, "m"),
            "pixel": Quantity(self.pixel, "um"),
        }
        streams = {
            MAIN: Stream(tuple(sizes), sizes, "uint32", unit="counts"),
            POSITIONS: Stream(("position", "yx"), {"position": count, "yx": 2}, "float64", unit="um"),
        }
        self.truth()
        told = {"simulated": "yes: ptychography phantom of firstlight, no measured data"}
        return Scan(streams, self.use, calibration, order=(), metadata=told)

    def items(self) -> Iterator[Item]:
        """Positions and frames, by turns, as they come at a beamline."""
        frames, places = self._frames(), self._places()
        for start in range(0, len(frames), _CHUNK):
            if self._stopped:
                return
            ids = np.arange(start, min(start + _CHUNK, len(frames)), dtype=np.int64)
            yield Chunk(places[ids], ("yx",), ids, stream=POSITIONS)
            yield Chunk(frames[ids], ("row", "col"), ids)
        yield End(POSITIONS)
        yield End(MAIN)

    def _frames(self) -> Array:
        """Counts with the zero frequency in the middle, shape (position, row, col)."""
        return np.fft.fftshift(self.truth().counts, axes=(1, 2)).astype(np.uint32)

    def _places(self) -> Array:
        return self.truth().corners * self.object_pixel

    def read(self, where: Mapping[str, slice], stream: str = MAIN) -> Array:
        """One block of a stream.

        Raises:
            UnknownName: There is no such stream or axis.
        """
        axes: dict[str, tuple[tuple[str, ...], Any]] = {
            MAIN: (("position", "row", "col"), self._frames),
            POSITIONS: (("position", "yx"), self._places),
        }
        if stream not in axes:
            raise UnknownName(
                f"The scan has no stream '{stream}'.", field="stream", value=stream, expected=f"one of {list(axes)}"
            )
        labels, made = axes[stream]
        if unknown := set(where) - set(labels):
            expected = "axes out of " + " ".join(labels)
            raise UnknownName(
                f"The scan has no axis '{min(unknown)}'.", field="where", value=sorted(where), expected=expected
            )
        return made()[tuple(where.get(label, slice(None)) for label in labels)]

    def stop(self) -> None:
        """End `items` after the chunk in hand."""
        self._stopped = True

    def close(self) -> None:
        """Forget the scan."""
        self._truth = None

"""Tilt-corrected bright field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.held import Held
from firstlight.core.units import Nanometre
from firstlight.kernels.electron_optics import astigmatism_parts
from firstlight.kernels.parallax import Numbers, best_aberrations, corrected, gradients

from .bright_field import BrightField
from .scan_map import ScanMap

_LOOKED_AT = 64
"""Pixels of the bright field that defocus is found from."""


@dataclass(slots=True)
class Images:
    """An image of the scan for each pixel of the bright field."""

    map: ScanMap
    size: tuple[int, int]
    """Rows and columns of a frame."""
    found: tuple[int, Parallax, Numbers] | None = None
    """The aberrations that were found of so many points, by a step with some parameters, so that they are not looked for twice."""


class Parallax(BrightField[Images]):
    """Put the bright-field images of a defocused scan over each other: tilt-corrected bright field, or parallax.

    Each pixel of the bright field sees the sample under its own angle, so that defocus shifts its image; their sum, shifted back, has the
    dose of the whole bright field and the resolution of one pixel. Defocus, and if wanted astigmatism, are found as those under which a weak phase
    explains most of the images.
    """

    use: ClassVar[str] = "parallax"
    signature: ClassVar[Any] = "[*] row col -> image: scan_y scan_x"
    cites: ClassVar[tuple[str, ...]] = ("10.1038/s41592-025-02834-9",)
    sentence: ClassVar[str] = (
        "Bright-field images were shifted by {defocus:defocus}, {astigmatism:astigmatism} and {spherical:spherical aberration}, and summed."
    )

    defocus: Annotated[Nanometre, Field(ge=-1e6, le=1e6)] | None = None
    """Defocus (C1) that shifts the images, positive over focus. Default: found."""
    find_astigmatism: bool = False
    """Find twofold astigmatism and its direction as well, where defocus is found; instead of those that are given. Takes a second or two for
    each picture, so let these be rare while a scan runs."""
    search: Annotated[Nanometre, Field(gt=0, le=1e6)] | None = None
    """Largest defocus that is tried. Default: what shifts the outermost image by a quarter of the scan."""

    def unit(self, scan: Scan) -> None:
        """None: 1 is the mean of the bright field."""
        return

    def workspace(self, scan: Scan, frames: int) -> int:
        """The bright field of every frame, and the transforms of some."""
        made = self.calibrated(scan)
        size = (scan.main.size("row"), scan.main.size("col"))
        return int((len(made.places(size)[0]) * 4 + 4 * _LOOKED_AT * 8) * (scan.main.frames or 0))

    def empty(self, scan: Scan) -> Images:
        """The state before the first frame."""
        made = self.calibrated(scan)
        size = (scan.main.size("row"), scan.main.size("col"))
        return Images(ScanMap.empty(scan, (len(made.places(size)[0]),), self.use, "float32"), size)

    def add(self, state: Images, chunk: Chunk, *held: Held) -> None:
        """Keep the bright field of each frame."""
        found = self.digest(chunk)
        state.map.take(found.ids, found.data)

    def ready(self, state: Images) -> bool:
        """True once a frame has come."""
        return bool(state.map.covered.any())

    def coverage(self, state: Images) -> float:
        """The share of the scan that has come."""
        return state.map.share

    def findings(self, state: Images) -> dict[str, Any]:
        """The defocus in nm; where it was looked for, astigmatism in nm and its direction in degree."""
        c1, along, across = self._aberrations(state, self._images(state))
        found = {"parallax.defocus": c1}
        if self.defocus is None and self.find_astigmatism:
            found["parallax.astigmatism"] = float(np.hypot(along, across))
            found["parallax.astigmatism_angle"] = float(np.rad2deg(np.arctan2(across, along)) / 2 % 180)
        return found

    def result(self, state: Images) -> dict[str, Array]:
        """The image, float32 of shape (scan_y, scan_x), about 1; points that have not come count as 1."""
        images = self._images(state)
        length, _, angle, _, _ = self.optics()
        _, rows, cols = self.places(state.size)
        c1, along, across = (number * 1e-9 for number in self._aberrations(state, images))
        known = {"length": length, "pixel_angle": angle, "spherical": self.spherical * 1e-3}
        slopes = gradients(rows, cols, defocus=c1, astigmatism=(along, across), **known)
        found = 1 + corrected(images, slopes, *self.frequencies(*state.map.shape))
        return {"image": found.astype(np.float32)}

    def _images(self, state: Images) -> Array:
        """What each image differs from its own mean, in parts of the mean of all: (place, line, point)."""
        values, covered = state.map.values, state.map.covered
        mean = values[covered].mean(axis=0, dtype=np.float64) if covered.any() else np.zeros(values.shape[1])
        found = np.where(covered[:, None], values - mean, 0.0) / (float(mean.mean()) or 1.0)
        return found.T.reshape(-1, *state.map.shape)

    def _aberrations(self, state: Images, images: Array) -> Numbers:
        """C1, A1 cos 2φ₁ and A1 sin 2φ₁ in nm."""
        if self.defocus is not None:
            return self.defocus, *astigmatism_parts(self.astigmatism, self.astigmatism_angle)
        count = int(state.map.covered.sum())
        if state.found is None or state.found[:2] != (count, self):
            state.found = (count, self, self._search(state, images))
        return state.found[2]

    def _search(self, state: Images, images: Array) -> Numbers:
        length, aperture, angle, step_y, step_x = self.optics()
        field = min(step_y * state.map.lines, step_x * state.map.points)
        most = field / 4 / aperture if self.search is None else self.search * 1e-9
        _, rows, cols = self.places(state.size)
        # three numbers ask for more than one does
        some = np.unique(
            np.linspace(0, len(rows) - 1, _LOOKED_AT * (5 if self.find_astigmatism else 1)).round().astype(int)
        )
        given = astigmatism_parts(self.astigmatism * 1e-9, self.astigmatism_angle)
        c1, along, across = best_aberrations(
            images[some],
            rows[some],
            cols[some],
            *self.frequencies(*state.map.shape),
            radius=aperture / angle,
            length=length,
            pixel_angle=angle,
            spherical=self.spherical * 1e-3,
            astigmatism=None if self.find_astigmatism else given,
            most=most,
        )
        return c1 * 1e9, along * 1e9, across * 1e9

    def adapt(self, state: Images, old: Any) -> Images:
        """Other aberrations, or another direction: the images are the same."""
        return state if self.digests_like(old) else super().adapt(state, old)

    def merge(self, state: Images, other: Images) -> Images:
        """Both."""
        return Images(state.map.merged(other.map), state.size)

    def save(self, state: Images) -> dict[str, Any]:
        """The bright field of what has come."""
        return {"values": state.map.values.copy(), "covered": state.map.covered.copy()}

    def load(self, saved: dict[str, Any], scan: Scan) -> Images:
        """The state that `save` wrote."""
        state = self.empty(scan)
        state.map.values[:], state.map.covered[:] = saved["values"], saved["covered"]
        return state

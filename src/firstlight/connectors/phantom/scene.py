"""What the simulated tomography detector sees: beam, sample, defects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from firstlight.core.arrays import Array
from firstlight.kernels.ellipsoids import (
    SHEPP_LOGAN,
    SHEPP_LOGAN_CYLINDERS,
    ellipsoid_table,
    line_integrals,
    plane_coordinates,
    ray_integrals,
    voxels,
)
from firstlight.kernels.geometry import Motion, rays_of

from .noise import BLOCK, expose, generator

if TYPE_CHECKING:
    from .source import PhantomSource

STREAMS = {"data": 0, "dark": 1, "flat": 2}
_MAPS = 3
"""Number of the random sequence for what does not change from frame to frame."""
_SAMPLES = {"head": SHEPP_LOGAN, "cylinders": SHEPP_LOGAN_CYLINDERS}


@dataclass(frozen=True)
class Scene:
    """Frames of one simulated scan, each a function of its stream and id alone."""

    settings: PhantomSource

    @cached_property
    def table(self) -> Array:
        """The ellipsoids in pixels."""
        return ellipsoid_table(_SAMPLES[self.settings.sample], self.settings.columns / 2)

    @cached_property
    def heights(self) -> Array:
        """(row,) height of each detector row above the middle, in pixels."""
        return plane_coordinates(self.settings.rows, descending=True)

    @cached_property
    def beam(self) -> Array:
        """(row, col) float32: open-beam photons, with the beam's profile, stripes and the gain of each pixel."""
        s = self.settings
        rows, cols = np.mgrid[-1 : 1 : s.rows * 1j, -1 : 1 : s.columns * 1j].astype(np.float32)
        profile = np.exp(-0.5 * s.structure * (rows**2 + 0.3 * cols**2)) * (
            1 + 0.3 * s.structure * np.sin(25 * rows + 2 * cols)
        )
        gain = 1 + 0.1 * s.structure * self._maps.standard_normal((s.rows, s.columns), dtype=np.float32)
        return (s.counts * profile * np.clip(gain, 0.1, None)).astype(np.float32)

    @property
    def _maps(self) -> np.random.Generator:
        return generator(self.settings.seed, _MAPS, 0)

    @cached_property
    def defects(self) -> tuple[Array, Array]:
        """(col,) float32 gain that projections have and flats lack, which makes rings; (col,) True where columns are dead."""
        s = self.settings
        draw = generator(s.seed, _MAPS, 1)
        chosen = draw.permutation(s.columns)[: s.rings + s.dead]
        gain = np.ones(s.columns, np.float32)
        gain[chosen[: s.rings]] += draw.uniform(0.02, 0.06, s.rings).astype(np.float32) * draw.choice([-1, 1], s.rings)
        dead = np.zeros(s.columns, bool)
        dead[chosen[s.rings :]] = True
        return gain, dead

    def intensity(self, frame: int) -> float:
        """Strength of the beam when a frame is taken; falls along the scan by `drift`."""
        s = self.settings
        return 1.0 - s.drift * min(max(frame / max(s.angles - 1, 1), 0.0), 1.0)

    def frame(self, stream: str, frame: int, start: int, stop: int, out: Array) -> None:
        """Rows `start` to `stop` of one frame.

        Args:
            stream: data, dark or flat.
            frame: Id.
            start: First row.
            stop: One past the last row.
            out: (row, col) uint16 to fill.
        """
        for block in range(start // BLOCK, -(-stop // BLOCK)):
            first, last = block * BLOCK, min((block + 1) * BLOCK, self.settings.rows)
            counts = self._block(stream, frame, block, first, last)
            low, high = max(first, start), min(last, stop)
            out[low - start : high - start] = counts[low - first : high - first]

    def _block(self, stream: str, frame: int, block: int, first: int, last: int) -> Array:
        s = self.settings
        draw = generator(s.seed, STREAMS[stream], frame, block)
        gain, dead = self.defects
        mean = (
            self.beam[first:last] * np.float32(self.intensity(frame))
            if stream != "dark"
            else np.zeros((last - first, s.columns), np.float32)
        )
        if stream == "data":
            mean *= gain
            mean *= self._transmission(frame, first, last)
        mean[:, dead] = 0
        counts = expose(mean, draw, offset=s.dark, readout=s.readout, noise=s.noise)
        hits = draw.poisson(s.zingers * (last - first) / s.rows) if s.zingers and stream == "data" else 0
        if hits:
            counts[draw.integers(0, last - first, hits), draw.integers(0, s.columns, hits)] = 65535
        return counts

    def _transmission(self, frame: int, first: int, last: int) -> Array:
        s = self.settings
        angle = np.deg2rad(s.start + s.range * frame / s.angles)
        if s.upright:
            path = line_integrals(self.table, angle, self.heights[first:last], s.columns, center=s.axis, rays=(2, 2))[0]
        else:
            path = self._oblique(float(np.rad2deg(angle)), first, last)
        return np.exp(np.multiply(path, np.float32(-s.mu), out=path), out=path)

    def _oblique(self, degrees: float, first: int, last: int) -> Array:
        """(row, col) line integrals in cone beam or with an axis that leans."""
        s = self.settings
        distance = np.inf if s.source_distance is None or s.pixel is None else s.source_distance / (s.pixel * 1e-3)
        motion = Motion(s.axis, (s.rows - 1) / 2, tilt=s.tilt, roll=s.roll, source_distance=distance)
        rays = rays_of([degrees], motion)
        corner = rays.corner + first * rays.down
        shape = (last - first, s.columns)
        return ray_integrals(self.table, rays.source, corner, rays.across, rays.down, shape, parallel=rays.parallel)[0]

    def truth(self, planes: Array) -> Array:
        """(z, y, x) float32: attenuation, averaged over 4 × 4 × 4 points of each voxel."""
        n = self.settings.columns
        return voxels(
            self.table, self.heights[planes], plane_coordinates(n, descending=True), plane_coordinates(n)
        ) * np.float32(self.settings.scale)

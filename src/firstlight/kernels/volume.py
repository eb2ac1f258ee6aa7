"""Projection of volumes along any rays, and its exact adjoint: the pair that iterative methods use."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .geometry import F64, Rays, Region
from .pause import pieces
from .ray_driven import follow

F32 = NDArray[Any]  # float32 throughout; the stubs lose that in arithmetic


class VolumeProjector:
    """Projects a volume (z, y, x, 1) to projections (angle, row, col, 1) and back; for `firstlight.kernels.iterate`."""

    def __init__(self, rays: Rays, rows: int, columns: int, region: Region) -> None:
        """Keep the geometry.

        Args:
            rays: source and detector of each projection.
            rows: of the detector.
            columns: of the detector.
            region: the voxels.
        """
        self.rays, self.rows, self.columns, self.region = rays, rows, columns, region

    def subset(self, chosen: Any) -> VolumeProjector:
        """The projector of some of the projections."""
        return VolumeProjector(self.rays.take(chosen), self.rows, self.columns, self.region)

    def project(self, volume: F32) -> F32:
        """Line integrals, float32 (angle, row, col, 1), in values times voxels of the whole volume."""
        self._check(volume, self.region.shape, "volume")
        out = np.zeros((len(self.rays), self.rows, self.columns, 1), np.float32)
        self._follow(np.ascontiguousarray(volume[..., 0]), out[..., 0], adjoint=False)
        return out

    def backproject(self, projections: F32) -> F32:
        """The adjoint of `project`, float32 (z, y, x, 1)."""
        self._check(projections, (len(self.rays), self.rows, self.columns), "projections")
        out = np.zeros((*self.region.shape, 1), np.float32)
        self._follow(out[..., 0], np.ascontiguousarray(projections[..., 0]), adjoint=True)
        return out

    def _follow(self, volume: F32, projections: F32, *, adjoint: bool) -> None:
        source, corner, across, down, lengths, parallel = self._lines()
        planes = max(volume.shape)
        for part in pieces(len(projections), float(projections[0].size) * planes):
            rays = (source[part], corner[part], across[part], down[part])
            follow(volume, projections[part], *rays, lengths, parallel, adjoint)

    def _check(self, data: F32, shape: tuple[int, ...], name: str) -> None:
        if data.shape != (*shape, 1) or data.dtype != np.float32:
            raise ValueError(f"{name} is {data.dtype} {data.shape}, expected float32 {(*shape, 1)}.")

    def _lines(self) -> tuple[F64, F64, F64, F64, F64, bool]:
        """The rays in voxel indices (z, y, x), and the length of a voxel along each axis."""
        inverse = np.linalg.inv(self.region.frame())

        def point(values: F64) -> F64:
            return (values @ inverse[:3, :3].T + inverse[:3, 3])[:, ::-1].copy()

        def step(values: F64) -> F64:
            return (values @ inverse[:3, :3].T)[:, ::-1].copy()

        rays = self.rays
        source = step(rays.source) if rays.parallel else point(rays.source)
        lengths = np.asarray(self.region.step, np.float64)
        return source, point(rays.corner), step(rays.across), step(rays.down), lengths, rays.parallel

"""Projection of volumes along any rays, its exact adjoint, and the back-projection of filtered projections.

`VolumeProjector` follows each ray from plane to plane across its steepest axis and interpolates bilinearly in each plane
(Joseph in three dimensions): line integrals, and as adjoint the same numbers written instead of read. Iterative methods
use that pair. `backproject_voxels` goes the other way round, from each voxel to the detector: what filtered
back-projection (Feldkamp, Davis and Kress, J. Opt. Soc. Am. A 1 (1984) 612) asks for.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .geometry import F64, Rays, Region

F32 = NDArray[Any]  # float32 throughout; the stubs lose that in arithmetic

_TURNS = 16
"""Projections that are added to a line of voxels while it stays in the first-level cache."""


def backproject_voxels(filtered: F32, rays: Rays, region: Region, weights: F64, out: F32) -> None:
    """Add filtered projections to a volume.

    Args:
        filtered: float32 (angle, row, col), 2 rows and columns or more.
        rays: geometry of the same projections.
        region: which voxels.
        weights: (angle,) share of each projection in radian.
        out: float32 (z, y, x) to add to. With cone beam each voxel counts by the inverse square of its distance from the
            source, in units of the detector's. Rays that miss the detector add nothing.

    Raises:
        ValueError: shapes that do not fit.
    """
    if filtered.shape[0] != len(rays) or min(filtered.shape[1:]) < 2 or filtered.dtype != np.float32:
        raise ValueError(f"filtered is {filtered.dtype} {filtered.shape}, expected float32 ({len(rays)}, ≥ 2, ≥ 2).")
    if out.shape != region.shape or out.dtype != np.float32:
        raise ValueError(f"out is {out.dtype} {out.shape}, expected float32 {region.shape}.")
    matrices = rays.matrices() @ region.frame()
    share = np.asarray(weights, np.float64)
    _gather(np.ascontiguousarray(filtered), matrices, share, rays.parallel, out)


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def _gather(filtered: Any, matrices: Any, weights: Any, parallel: Any, out: Any) -> None:
    angles = filtered.shape[0]
    for early in range(0, angles, _TURNS):
        for iz in range(out.shape[0]):
            for iy in range(out.shape[1]):
                for a in range(early, min(early + _TURNS, angles)):
                    m = matrices[a]
                    col = m[0, 1] * iy + m[0, 2] * iz + m[0, 3]
                    row = m[1, 1] * iy + m[1, 2] * iz + m[1, 3]
                    far = m[2, 1] * iy + m[2, 2] * iz + m[2, 3]
                    weight = np.float32(weights[a])
                    if parallel:
                        _along(out[iz, iy], filtered[a], col, m[0, 0], row, m[1, 0], weight)
                    else:
                        _across(out[iz, iy], filtered[a], col, m[0, 0], row, m[1, 0], far, m[2, 0], weight)


@numba.njit(nogil=True, cache=True, inline="always")
def _look(image: Any, col: Any, row: Any) -> Any:
    """Bilinear interpolation; 0 off the detector."""
    rows, columns = image.shape
    if col < 0 or row < 0 or col > columns - 1 or row > rows - 1:
        return np.float32(0)
    k, r = min(int(col), columns - 2), min(int(row), rows - 2)
    u, v = np.float32(col - k), np.float32(row - r)
    upper = image[r, k] + u * (image[r, k + 1] - image[r, k])
    lower = image[r + 1, k] + u * (image[r + 1, k + 1] - image[r + 1, k])
    return upper + v * (lower - upper)


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def _along(line: Any, image: Any, col: Any, col_step: Any, row: Any, row_step: Any, weight: Any) -> None:
    """Parallel beam: equal steps on the detector."""
    for ix in range(line.size):
        line[ix] += weight * _look(image, col + ix * col_step, row + ix * row_step)


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def _across(
    line: Any, image: Any, col: Any, col_step: Any, row: Any, row_step: Any, far: Any, far_step: Any, weight: Any
) -> None:
    """Cone beam: divide by the distance from the source; what lies behind the source is not seen."""
    for ix in range(line.size):
        distance = far + ix * far_step
        if distance > 1e-6:
            near = 1.0 / distance
            value = _look(image, (col + ix * col_step) * near, (row + ix * row_step) * near)
            line[ix] += weight * np.float32(near * near) * value


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
        _follow(np.ascontiguousarray(volume[..., 0]), out[..., 0], *self._lines(), False)
        return out

    def backproject(self, projections: F32) -> F32:
        """The adjoint of `project`, float32 (z, y, x, 1)."""
        self._check(projections, (len(self.rays), self.rows, self.columns), "projections")
        out = np.zeros((*self.region.shape, 1), np.float32)
        _follow(out[..., 0], np.ascontiguousarray(projections[..., 0]), *self._lines(), True)
        return out

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


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _follow(
    volume: Any,
    projections: Any,
    source: Any,
    corner: Any,
    across: Any,
    down: Any,
    lengths: Any,
    parallel: Any,
    adjoint: Any,
) -> None:
    """Follow every ray; read along it, or write (`adjoint`)."""
    angles, rows, columns = projections.shape
    flat = volume.reshape(-1)
    start, slope = np.empty(3), np.empty(3)
    for a in range(angles):
        for row in range(rows):
            for col in range(columns):
                squared = 0.0
                axis, steepest = 0, -1.0
                for d in range(3):
                    start[d] = corner[a, d] + row * down[a, d] + col * across[a, d]
                    slope[d] = source[a, d] if parallel else start[d] - source[a, d]
                    squared += (slope[d] * lengths[d]) ** 2
                    if abs(slope[d]) > steepest:
                        axis, steepest = d, abs(slope[d])
                each = np.sqrt(squared) / steepest  # length of the ray from one plane to the next
                if adjoint:
                    _write(flat, volume.shape, start, slope, axis, np.float32(each * projections[a, row, col]))
                else:
                    projections[a, row, col] = each * _read(flat, volume.shape, start, slope, axis)


@numba.njit(nogil=True, cache=True, inline="always")
def _others(axis: Any) -> Any:
    """The other two axes."""
    return (1 if axis == 0 else 0), (1 if axis == 2 else 2)


@numba.njit(nogil=True, cache=True, inline="always")
def _planes(shape: Any, start: Any, slope: Any, axis: Any) -> Any:
    """First and one past the last plane on which a ray may touch a voxel."""
    low, high = 0.0, shape[axis] - 1.0
    for d in _others(axis):
        rate = slope[d] / slope[axis]
        begin = start[d] - rate * start[axis]
        if abs(rate) < 1e-12:
            if begin <= -1.0 or begin >= shape[d]:
                high = -1.0
            continue
        one, two = (-1.0 - begin) / rate, (shape[d] - begin) / rate
        low, high = max(low, np.floor(min(one, two))), min(high, np.ceil(max(one, two)))
    return int(low), int(high) + 1


@numba.njit(nogil=True, cache=True, inline="always")
def _stride(shape: Any, axis: Any) -> Any:
    """Numbers from one voxel to the next along an axis of a contiguous volume."""
    return shape[1] * shape[2] if axis == 0 else (shape[2] if axis == 1 else 1)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _read(flat: Any, shape: Any, start: Any, slope: Any, axis: Any) -> Any:
    """Sum along a ray of what lies between the four voxels around it in each plane."""
    one, two = _others(axis)
    m, n = shape[one], shape[two]
    deep, high, wide = _stride(shape, axis), _stride(shape, one), _stride(shape, two)
    p_step, q_step = slope[one] / slope[axis], slope[two] / slope[axis]
    p_first, q_first = start[one] - p_step * start[axis], start[two] - q_step * start[axis]
    first, last = _planes(shape, start, slope, axis)
    total = 0.0
    for plane in range(first, last):
        p, q = p_first + plane * p_step, q_first + plane * q_step
        i, j = int(np.floor(p)), int(np.floor(q))
        u, v = p - i, q - j
        at = plane * deep + i * high + j * wide
        if 0 <= i < m - 1 and 0 <= j < n - 1:
            upper = (1.0 - v) * flat[at] + v * flat[at + wide]
            lower = (1.0 - v) * flat[at + high] + v * flat[at + high + wide]
            total += (1.0 - u) * upper + u * lower
        elif -1 <= i < m and -1 <= j < n:  # on the rim: some of the four are outside
            for di in range(2):
                for dj in range(2):
                    if 0 <= i + di < m and 0 <= j + dj < n:
                        total += abs(1 - di - u) * abs(1 - dj - v) * flat[at + di * high + dj * wide]
    return total


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _write(flat: Any, shape: Any, start: Any, slope: Any, axis: Any, value: Any) -> None:
    """The adjoint of `_read`: same places, same weights."""
    one, two = _others(axis)
    m, n = shape[one], shape[two]
    deep, high, wide = _stride(shape, axis), _stride(shape, one), _stride(shape, two)
    p_step, q_step = slope[one] / slope[axis], slope[two] / slope[axis]
    p_first, q_first = start[one] - p_step * start[axis], start[two] - q_step * start[axis]
    first, last = _planes(shape, start, slope, axis)
    for plane in range(first, last):
        p, q = p_first + plane * p_step, q_first + plane * q_step
        i, j = int(np.floor(p)), int(np.floor(q))
        u, v = p - i, q - j
        at = plane * deep + i * high + j * wide
        if 0 <= i < m - 1 and 0 <= j < n - 1:
            flat[at] += (1.0 - u) * (1.0 - v) * value
            flat[at + wide] += (1.0 - u) * v * value
            flat[at + high] += u * (1.0 - v) * value
            flat[at + high + wide] += u * v * value
        elif -1 <= i < m and -1 <= j < n:
            for di in range(2):
                for dj in range(2):
                    if 0 <= i + di < m and 0 <= j + dj < n:
                        flat[at + di * high + dj * wide] += abs(1 - di - u) * abs(1 - dj - v) * value

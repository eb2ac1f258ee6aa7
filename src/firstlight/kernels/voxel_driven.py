"""Back-projection of filtered projections in any geometry, from each voxel to the detector.

This is what filtered back-projection asks for (Feldkamp, Davis and Kress, J. Opt. Soc. Am. A 1 (1984) 612): a voxel
(ix, iy, iz) of the region is seen at the pixel

    col = w_col / w,   row = w_row / w,   where   (w_col, w_row, w) = M (ix, iy, iz, 1)

with the 3 × 4 matrix M of the projection (`Rays.matrices`), and gets what lies there, bilinearly, over w². Each of the three
numbers takes equal steps along a line of voxels, so a line costs three multiply-adds and a division a voxel.

Voxels are visited in tiles of a slice that stay in the first-level cache while projections are added; the narrow strip of each
projection that a tile sees does so too. Places are counted in float32 from a pixel near the tile, which keeps them within 1e-5
of a pixel on any detector. Bound by the processor: about 35 instructions of sixteen voxels for the places and 75 to look them up.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .bilinear import PLACES, add_bilinear
from .geometry import F64, Rays, Region
from .pause import pieces

F32 = NDArray[Any]  # float32 throughout; the stubs lose that in arithmetic

_TURNS = 16
"""Projections that are added to a slice in one go: what it sees of them stays in the second-level cache."""
_LINES = 16
_TILE = 64
"""Lines of a tile and voxels of each, a multiple of the places that are looked up at once."""
_NEAREST = 1e-6
"""What is closer to the source, in parts of the distance from source to detector, is not seen; nor is what lies behind it."""
_RIM = 1e-4
"""Pixels within which a place beside the detector counts as on its rim: rounding must not decide."""


def backproject_voxels(filtered: F32, rays: Rays, region: Region, weights: F64, out: F32) -> None:
    """Add filtered projections to a volume.

    Args:
        filtered: float32 (angle, row, col), 2 rows and columns or more, finite.
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
    angles, rows, columns = filtered.shape
    images = np.ascontiguousarray(filtered).reshape(angles, rows * columns)
    matrices, shares = rays.matrices() @ region.frame(), np.asarray(weights, np.float32)
    for early in range(0, angles, _TURNS):
        few = slice(early, early + _TURNS)
        for part in pieces(len(out), float(out[0].size) * _TURNS):
            _add_projections(images[few], rows, columns, matrices[few], shares[few], part.start, out[part])


@numba.njit(nogil=True, cache=True)
def _add_projections(
    images: Any, rows: Any, columns: Any, matrices: Any, weights: Any, first_slice: Any, out: Any
) -> None:
    """Slice by slice, tile by tile."""
    sums = np.empty((_LINES, _TILE), np.float32)
    for iz in range(out.shape[0]):
        for top in range(0, out.shape[1], _LINES):
            for left in range(0, out.shape[2], _TILE):
                tile, corner = out[iz, top : top + _LINES, left : left + _TILE], (left, top, first_slice + iz)
                sums[:] = 0
                _add_to_tile(images, rows, columns, matrices, weights, corner, tile.shape, sums)
                tile += sums[: tile.shape[0], : tile.shape[1]]


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _add_to_tile(
    images: Any, rows: Any, columns: Any, matrices: Any, weights: Any, corner: Any, shape: Any, sums: Any
) -> None:
    """Add projections to the first lines and voxels of a tile, as many as `shape` says."""
    at, totals = np.empty(_TILE, np.int32), sums.reshape(-1)
    right, down, share = np.empty(_TILE, np.float32), np.empty(_TILE, np.float32), np.empty(_TILE, np.float32)
    near = np.empty((3, 3))
    for a in range(len(images)):
        image = images[a]
        base = _see_from_near(matrices[a], corner, rows, columns, near)
        for line in range(shape[0]):
            _weigh(near, line, base, weights[a], rows, columns, at, right, down, share)
            for first in range(0, shape[1], PLACES):
                add_bilinear(totals, line * _TILE + first, image, 0, 1, columns, at, right, down, share, first)


@numba.njit(nogil=True, cache=True, inline="always")
def _see_from_near(m: Any, corner: Any, rows: Any, columns: Any, near: Any) -> Any:
    """Choose a pixel near the corner of a tile, and count columns and rows from it.

    Writes w_col, w_row and w to `near`: their values at the corner, their steps along a line, their steps from line to line.
    """
    for k in range(3):
        near[k, 0] = m[k, 0] * corner[0] + m[k, 1] * corner[1] + m[k, 2] * corner[2] + m[k, 3]
        near[k, 1], near[k, 2] = m[k, 0], m[k, 1]
    far = max(near[2, 0], _NEAREST)
    col = min(max(np.floor(near[0, 0] / far), 0.0), columns - 1.0)
    row = min(max(np.floor(near[1, 0] / far), 0.0), rows - 1.0)
    for n in range(3):  # w (col - c) = w_col - c w
        near[0, n] -= col * near[2, n]
        near[1, n] -= row * near[2, n]
    return int(row), int(col)


@numba.njit(nogil=True, cache=True, inline="always")
def _weigh(
    near: Any, line: Any, base: Any, weight: Any, rows: Any, columns: Any, at: Any, right: Any, down: Any, share: Any
) -> None:
    """Where a line of voxels is seen: the upper left pixel, the way from it to the right and down, and how much it counts."""
    x, x_step = np.float32(near[0, 0] + line * near[0, 2]), np.float32(near[0, 1])
    y, y_step = np.float32(near[1, 0] + line * near[1, 2]), np.float32(near[1, 1])
    w, w_step = np.float32(near[2, 0] + line * near[2, 2]), np.float32(near[2, 1])
    row, col = base
    left, last_left = np.float32(-col), np.float32(columns - 2 - col)
    upper, last_upper = np.float32(-row), np.float32(rows - 2 - row)
    one, rim, nearest, nothing = np.float32(1), np.float32(_RIM), np.float32(_NEAREST), np.float32(0)
    start, pitch = np.int32(row * columns + col), np.int32(columns)
    for j in range(at.size):
        n = np.float32(j)
        distance = w + n * w_step
        over = one / max(distance, nearest)
        p, q = (x + n * x_step) * over, (y + n * y_step) * over
        u = min(max(p, left - rim), last_left + one + rim)
        v = min(max(q, upper - rim), last_upper + one + rim)
        k, r = min(max(np.floor(u), left), last_left), min(max(np.floor(v), upper), last_upper)
        seen = (p == u) & (q == v) & (distance > nearest)
        at[j] = start + np.int32(r) * pitch + np.int32(k)
        right[j], down[j] = u - k, v - r
        share[j] = weight * over * over if seen else nothing

"""Ellipsoid phantoms: exact parallel-beam line integrals and voxel truth.

Coordinates are in pixels about the rotation axis: ``x`` to the right, ``y`` up, ``z`` up. The ray that meets detector
column ``col`` at angle ``theta`` is the line ``x cos(theta) + y sin(theta) = col - center``. Row 0 is the top of the
detector, so a caller passes falling ``z`` for rising rows.

Within the plane at height ``z`` an ellipsoid (a, b, c) is an ellipse with both semi-axes shrunk by
``k = sqrt(1 - ((z - z0) / c)^2)``, which gives the chord ``2 a b sqrt(g k^2 - s^2) / g`` with
``g = a^2 cos^2(theta - phi) + b^2 sin^2(theta - phi)`` and ``s`` the distance of the ray from the projected centre
(Kak and Slaney, Principles of Computerized Tomographic Imaging, 1988, eq. 3.6).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "SHEPP_LOGAN",
    "SHEPP_LOGAN_CYLINDERS",
    "Ellipsoid",
    "ellipsoid_table",
    "line_integrals",
    "plane_coordinates",
    "ray_integrals",
    "voxels",
]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Ellipsoid:
    """One ellipsoid of constant density that adds to what it overlaps.

    Lengths are fractions of half the field of view, so that the same list serves every detector size; ``phi`` turns the
    ellipsoid about the vertical axis, in degree, counter-clockwise seen from above. ``c = inf`` makes a cylinder.
    """

    density: float
    a: float
    b: float
    c: float = math.inf
    x0: float = 0.0
    y0: float = 0.0
    z0: float = 0.0
    phi: float = 0.0

    def __post_init__(self) -> None:
        """Refuse sizes that are not positive."""
        for name in ("a", "b", "c"):
            if not getattr(self, name) > 0:
                raise ValueError(f"ellipsoid {name} is {getattr(self, name)}: semi-axes must be larger than 0")


SHEPP_LOGAN: tuple[Ellipsoid, ...] = (
    Ellipsoid(1.0, 0.6900, 0.9200, 0.810, 0.00, 0.0000, 0.00, 0.0),
    Ellipsoid(-0.8, 0.6624, 0.8740, 0.780, 0.00, -0.0184, 0.00, 0.0),
    Ellipsoid(-0.2, 0.1100, 0.3100, 0.220, 0.22, 0.0000, 0.00, -18.0),
    Ellipsoid(-0.2, 0.1600, 0.4100, 0.280, -0.22, 0.0000, 0.00, 18.0),
    Ellipsoid(0.1, 0.2100, 0.2500, 0.410, 0.00, 0.3500, -0.15, 0.0),
    Ellipsoid(0.1, 0.0460, 0.0460, 0.050, 0.00, 0.1000, 0.25, 0.0),
    Ellipsoid(0.1, 0.0460, 0.0460, 0.050, 0.00, -0.1000, 0.25, 0.0),
    Ellipsoid(0.1, 0.0460, 0.0230, 0.050, -0.08, -0.6050, 0.00, 0.0),
    Ellipsoid(0.1, 0.0230, 0.0230, 0.020, 0.00, -0.6060, 0.00, 0.0),
    Ellipsoid(0.1, 0.0230, 0.0460, 0.020, 0.06, -0.6050, 0.00, 0.0),
)
"""The 3-D Shepp-Logan head (Kak and Slaney) in the modified contrast, where the skull is 1."""

SHEPP_LOGAN_CYLINDERS: tuple[Ellipsoid, ...] = tuple(
    Ellipsoid(e.density, e.a, e.b, math.inf, e.x0, e.y0, 0.0, e.phi) for e in SHEPP_LOGAN
)
"""The 2-D modified Shepp-Logan head, the same in every slice."""


def ellipsoid_table(ellipsoids: Sequence[Ellipsoid], scale: float) -> F64:
    """Turn ellipsoids into the array that the kernels read.

    Args:
        ellipsoids: the phantom.
        scale: pixels in one unit of length, normally half the number of detector columns.

    Returns:
        Array (ellipsoid, 8): density, a, b, c, x0, y0, z0 in pixels, phi in radian.

    Raises:
        ValueError: if ``scale`` is not larger than 0.
    """
    if not scale > 0:
        raise ValueError(f"scale is {scale}: expected the number of pixels in half the field of view, larger than 0")
    table = np.array([astuple(e) for e in ellipsoids], dtype=np.float64).reshape(-1, 8)
    table[:, 1:7] *= scale
    table[:, 7] = np.deg2rad(table[:, 7])
    return table


def plane_coordinates(count: int, *, descending: bool = False) -> F64:
    """Coordinates of ``count`` pixel centres about the middle of an axis, in pixels.

    Rows of the detector and rows of a slice run downwards while ``z`` and ``y`` point up: use ``descending`` there.
    """
    offset = np.arange(count, dtype=np.float64) - (count - 1) / 2
    return -offset if descending else offset


def line_integrals(
    table: F64,
    angles: ArrayLike,
    z: ArrayLike,
    columns: int,
    *,
    center: ArrayLike | None = None,
    first_column: int = 0,
    rays: tuple[int, int] = (4, 4),
    out: F32 | None = None,
) -> F32:
    """Line integrals of ellipsoids through a parallel-beam detector, averaged over each pixel.

    Args:
        table: ellipsoids, from :func:`ellipsoid_table`.
        angles: (angle,) in radian.
        z: (row,) height of each detector row in pixels, upwards; see :func:`plane_coordinates`.
        columns: number of detector columns to compute.
        center: column of the rotation axis counted from 0, one value or one per angle (a stage that shakes);
            default the middle of ``columns``; a block that does not start at column 0 must state it.
        first_column: column at which the block starts.
        rays: sub-rays a pixel along row and column, over which the integral is averaged.
        out: array (angle, row, col) float32 to fill.

    Returns:
        ``out``: (angle, row, col), density times pixels.

    Raises:
        ValueError: if ``rays`` holds a number below 1, or ``center`` or ``out`` does not fit or is missing.
    """
    angle = np.atleast_1d(np.asarray(angles, dtype=np.float64))
    height = np.atleast_1d(np.asarray(z, dtype=np.float64))
    if min(rays) < 1:
        raise ValueError(f"rays is {rays}: expected at least one ray along row and column")
    if center is None and first_column:
        raise ValueError(f"center is missing: a block from column {first_column} needs the column of the rotation axis")
    axis = np.asarray((columns - 1) / 2 if center is None else center, dtype=np.float64)
    if axis.ndim > 1 or axis.size not in (1, angle.size):
        raise ValueError(f"center has shape {axis.shape}: expected one value or one for each of {angle.size} angles")
    shape = (angle.size, height.size, columns)
    if out is None:
        out = np.empty(shape, np.float32)
    elif out.shape != shape or out.dtype != np.float32:
        raise ValueError(f"out is {out.dtype}{out.shape}: expected float32{shape}")
    axis = np.ascontiguousarray(np.broadcast_to(axis.ravel(), angle.shape))
    _line_integrals(table, angle, height, axis, first_column, rays[0], rays[1], out)
    return out


def voxels(
    table: F64,
    z: ArrayLike,
    y: ArrayLike,
    x: ArrayLike,
    *,
    points: tuple[int, int, int] = (4, 4, 4),
) -> F32:
    """Density of ellipsoids in a block of voxels, averaged over sub-points of each voxel.

    Args:
        table: ellipsoids, from :func:`ellipsoid_table`.
        z: (z,) heights of the planes in pixels, upwards.
        y: (y,) coordinates of the rows in pixels, upwards: falling, for rows that run downwards.
        x: (x,) coordinates of the columns in pixels, one pixel apart.
        points: sub-points a voxel along z, y and x.

    Returns:
        Array (z, y, x) float32. One ``y`` or one ``x`` gives a vertical plane.

    Raises:
        ValueError: if ``points`` holds a number below 1, or ``x`` does not rise in steps of one pixel.
    """
    planes, rows, cols = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (z, y, x))
    if min(points) < 1:
        raise ValueError(f"points is {points}: expected at least one point along z, y and x")
    if cols.size > 1 and not np.allclose(np.diff(cols), 1.0):
        raise ValueError("x does not rise in steps of 1: expected neighbouring columns, in pixels")
    out = np.zeros((planes.size, rows.size, cols.size), np.float32)
    if out.size:
        _voxels(table, planes, rows, cols[0], points[0], points[1], points[2], out)
    return out


def ray_integrals(
    table: F64,
    source: F64,
    corner: F64,
    across: F64,
    down: F64,
    shape: tuple[int, int],
    *,
    parallel: bool,
    rays: tuple[int, int] = (2, 2),
) -> F32:
    """Line integrals of ellipsoids along any rays, averaged over each pixel of a detector that may stand anywhere.

    Args:
        table: ellipsoids, from :func:`ellipsoid_table`.
        source: (angle, 3) where the source is, or the direction of a parallel beam; x, y, z in pixels, as the table.
        corner: (angle, 3) middle of the detector's pixel (0, 0).
        across: (angle, 3) from one column to the next.
        down: (angle, 3) from one row to the next.
        shape: rows and columns.
        parallel: whether `source` is a direction.
        rays: sub-rays a pixel along row and column.

    Returns:
        float32 (angle, row, col), density times pixels.

    Raises:
        ValueError: if ``rays`` holds a number below 1.
    """
    if min(rays) < 1:
        raise ValueError(f"rays is {rays}: expected at least one ray along row and column")
    out = np.zeros((len(corner), *shape), np.float32)
    _ray_integrals(table, source, corner, across, down, parallel, rays[0], rays[1], out)
    return out


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _chord(ellipsoid: F64, start: F64, way: F64) -> float:
    """Length of a line inside an ellipsoid: in coordinates that make it the unit sphere, and back."""
    _, a, b, c, x0, y0, z0, phi = ellipsoid
    cp, sp = math.cos(phi), math.sin(phi)
    px, py, pz = start[0] - x0, start[1] - y0, (start[2] - z0) / c
    px, py = (px * cp + py * sp) / a, (py * cp - px * sp) / b
    dx, dy, dz = (way[0] * cp + way[1] * sp) / a, (way[1] * cp - way[0] * sp) / b, way[2] / c
    squared = dx * dx + dy * dy + dz * dz
    along = px * dx + py * dy + pz * dz
    room = along * along - squared * (px * px + py * py + pz * pz - 1.0)
    if room <= 0.0:
        return 0.0
    return 2 * math.sqrt(room) / squared * math.sqrt(way[0] * way[0] + way[1] * way[1] + way[2] * way[2])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _ray_integrals(
    table: F64,
    source: F64,
    corner: F64,
    across: F64,
    down: F64,
    parallel: bool,
    row_rays: int,
    col_rays: int,
    out: F32,
) -> None:
    place, way = np.empty(3), np.empty(3)
    for i in range(out.shape[0]):
        for row in range(out.shape[1]):
            for col in range(out.shape[2]):
                total = 0.0
                for p in range(row_rays):
                    r = row + (p + 0.5) / row_rays - 0.5
                    for q in range(col_rays):
                        s = col + (q + 0.5) / col_rays - 0.5
                        for d in range(3):
                            place[d] = corner[i, d] + r * down[i, d] + s * across[i, d]
                            way[d] = source[i, d] if parallel else place[d] - source[i, d]
                        for e in range(table.shape[0]):
                            total += table[e, 0] * _chord(table[e], place, way)
                out[i, row, col] = np.float32(total / (row_rays * col_rays))


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _add_chords(strip: F64, start: int, stop: int, shift: float, room: float, weight: float) -> None:
    """Add weight * sqrt(room - s^2) for every column from start to stop, with s = column + shift."""
    for col in range(start, stop):
        s = col + shift
        strip[col] += weight * math.sqrt(max(room - s * s, 0.0))


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _line_integrals(
    table: F64, angles: F64, z: F64, center: F64, first_column: int, row_rays: int, col_rays: int, out: F32
) -> None:
    columns = out.shape[2]
    strip = np.empty(columns, np.float64)
    for i in range(angles.size):
        for row in range(z.size):
            strip[:] = 0.0
            for e in range(table.shape[0]):
                density, a, b, c, x0, y0, z0, phi = table[e]
                ca, sa = math.cos(angles[i] - phi), math.sin(angles[i] - phi)
                g = a * a * ca * ca + b * b * sa * sa
                middle = x0 * math.cos(angles[i]) + y0 * math.sin(angles[i]) + center[i] - first_column
                weight = density * 2 * a * b / g / (row_rays * col_rays)
                for p in range(row_rays):
                    dz = (z[row] + (p + 0.5) / row_rays - 0.5 - z0) / c
                    room = g * (1.0 - dz * dz)
                    if room <= 0.0:
                        continue
                    reach = math.sqrt(room)
                    for q in range(col_rays):
                        # the sub-ray of column col lies at col - shift from the projected centre of the ellipsoid
                        shift = (q + 0.5) / col_rays - 0.5 - middle
                        start = min(max(math.ceil(-shift - reach), 0), columns)
                        stop = max(min(math.floor(-shift + reach) + 1, columns), 0)
                        _add_chords(strip, start, stop, shift, room, weight)
            for col in range(columns):
                out[i, row, col] = np.float32(strip[col])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _row_of_points(ellipsoid: F64, z: float, y: float, x_first: float, points: int, step: float, strip: F64) -> None:
    """Mark where one line of sub-points along x enters (+step) and leaves (-step) the ellipsoid."""
    _, a, b, c, x0, y0, z0, phi = ellipsoid
    cp, sp = math.cos(phi), math.sin(phi)
    dz, dy = (z - z0) / c, y - y0
    # inside is A x^2 + 2 B x + C <= 0, with x counted from the centre of the ellipsoid
    qa = cp * cp / (a * a) + sp * sp / (b * b)
    qb = dy * cp * sp * (1 / (a * a) - 1 / (b * b))
    qc = dy * dy * (sp * sp / (a * a) + cp * cp / (b * b)) + dz * dz - 1.0
    room = qb * qb - qa * qc
    if room < 0.0:
        return
    half = math.sqrt(room) / qa
    middle = x0 - qb / qa - x_first
    columns = strip.size - 1
    for q in range(points):
        offset = (q + 0.5) / points - 0.5
        start = min(max(math.ceil(middle - half - offset), 0), columns)
        stop = min(max(math.floor(middle + half - offset) + 1, 0), columns)
        if stop > start:
            strip[start] += step
            strip[stop] -= step


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _voxels(table: F64, z: F64, y: F64, x_first: float, z_points: int, y_points: int, x_points: int, out: F32) -> None:
    edges = np.empty(out.shape[2] + 1, np.float64)
    for k in range(z.size):
        for row in range(y.size):
            edges[:] = 0.0
            for e in range(table.shape[0]):
                step = table[e, 0] / (z_points * y_points * x_points)
                for p in range(z_points):
                    height = z[k] + (p + 0.5) / z_points - 0.5
                    for r in range(y_points):
                        line = y[row] + (r + 0.5) / y_points - 0.5
                        _row_of_points(table[e], height, line, x_first, x_points, step, edges)
            level = 0.0
            for col in range(out.shape[2]):
                level += edges[col]
                out[k, row, col] = np.float32(level)

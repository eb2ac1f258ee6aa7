"""Sums along any rays through a volume, and the exact adjoint: Joseph's projector in three dimensions.

A ray is followed from plane to plane across its steepest axis (IEEE Trans. Med. Imaging 1 (1982) 192). On plane s it crosses at

    p = p0 + s dp,   q = q0 + s dq

in the two axes across, and the four voxels around that place are interpolated bilinearly; each sum counts by the length of the
ray from one plane to the next. The adjoint writes with the same weights instead of reading.

Neighbouring rays are followed some planes at a time, so that the voxels around them stay in the first-level cache; sixteen
planes of a ray are looked up at once, with places counted in float32 from the voxel where that part begins. Their voxels differ,
so that it is also the order that writing wants. Bound by the way from the second-level cache.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from .bilinear import PLACES, add_bilinear

_RAYS = 16
_PLANES = 64
"""Rays and planes of one part; the planes a multiple of the places that are looked up at once."""


@numba.njit(nogil=True, cache=True, error_model="numpy")
def follow(
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
    """Follow every ray; read along it, or add to what it meets (`adjoint`).

    Args:
        volume: float32 (z, y, x), contiguous.
        projections: float32 (angle, row, col).
        source: (angle, 3) place of the source in voxels (z, y, x); for parallel beam the direction of the rays.
        corner: (angle, 3) place of the pixel (0, 0).
        across: (angle, 3) step from one column to the next.
        down: (angle, 3) step from one row to the next.
        lengths: (3,) of a voxel along each axis.
        parallel: true for parallel beam.
        adjoint: true to write to the volume, false to write to the projections.
    """
    angles, rows, columns = projections.shape
    flat = volume.reshape(-1)
    point, slope, lines = np.empty(3), np.empty(3), np.empty((_RAYS, 4))
    spans, values, sums = np.empty((_RAYS, 5), np.int64), np.empty(_RAYS, np.float32), np.empty(_RAYS)
    for a in range(angles):
        for row in range(rows):
            for left in range(0, columns, _RAYS):
                part = projections[a, row, left : left + _RAYS]
                for n in range(part.size):
                    squared, axis = 0.0, 0
                    for d in range(3):
                        point[d] = corner[a, d] + row * down[a, d] + (left + n) * across[a, d]
                        slope[d] = source[a, d] if parallel else point[d] - source[a, d]
                        squared += (slope[d] * lengths[d]) ** 2
                        if abs(slope[d]) > abs(slope[axis]):
                            axis = d
                    each = np.sqrt(squared) / abs(slope[axis])  # length of the ray from one plane to the next
                    values[n] = each * part[n] if adjoint else each
                    _enter(volume.shape, point, slope, axis, lines[n], spans[n])
                _cross(flat, volume.shape, lines, spans, values, part.size, adjoint, sums)
                if not adjoint:
                    for n in range(part.size):
                        part[n] = values[n] * sums[n]


@numba.njit(nogil=True, cache=True, inline="always")
def _others(axis: Any) -> Any:
    """The other two axes."""
    return (1 if axis == 0 else 0), (1 if axis == 2 else 2)


@numba.njit(nogil=True, cache=True, inline="always")
def _stride(shape: Any, axis: Any) -> Any:
    """Numbers from one voxel to the next along an axis of a contiguous volume."""
    return shape[1] * shape[2] if axis == 0 else (shape[2] if axis == 1 else 1)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _enter(shape: Any, point: Any, slope: Any, axis: Any, line: Any, span: Any) -> None:
    """Write the places of a ray to `line` (p0, dp, q0, dq), its axis and which planes it crosses to `span`.

    That is (axis, first, begin, end, last): from first to last it may touch voxels, from begin to end there are voxels on all
    its sides; ends are left out.
    """
    one, two = _others(axis)
    depth, m, n = shape[axis], shape[one], shape[two]
    line[1], line[3] = slope[one] / slope[axis], slope[two] / slope[axis]
    line[0], line[2] = point[one] - line[1] * point[axis], point[two] - line[3] * point[axis]
    low, high = _between(line, depth, m, n, 1.0)
    first = int(np.floor(low))
    last = max(int(np.ceil(high)) + 1, first)
    low, high = _between(line, depth, m, n, 0.0)
    begin, end = int(np.ceil(low)), int(np.floor(high)) + 1
    if end <= begin or min(m, n) < 2:
        begin, end = last, last
    span[0], span[1], span[2], span[3], span[4] = axis, first, begin, end, last


@numba.njit(nogil=True, cache=True, inline="always")
def _between(line: Any, depth: Any, m: Any, n: Any, beyond: Any) -> Any:
    """The first and last place along a ray that is no more than `beyond` voxels beside the volume."""
    low, high = 0.0, depth - 1.0
    for d, size in ((0, m), (2, n)):
        start, rate, near, far = line[d], line[d + 1], -beyond, size - 1 + beyond
        if abs(rate) < 1e-12:
            if start < near or start > far:
                high = -1.0
        else:
            one, two = (near - start) / rate, (far - start) / rate
            low, high = max(low, min(one, two)), min(high, max(one, two))
    return low, high


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"})
def _cross(flat: Any, shape: Any, lines: Any, spans: Any, values: Any, count: Any, adjoint: Any, sums: Any) -> None:
    """Follow so many rays and write their sums, or add their values to the volume."""
    parts = np.zeros(_RAYS * PLACES, np.float32)
    at, share = np.empty(_PLANES, np.int32), np.empty(_PLANES, np.float32)
    right, down = np.empty(_PLANES, np.float32), np.empty(_PLANES, np.float32)
    nearest, farthest = spans[0, 1], spans[0, 4]
    for n in range(count):
        nearest, farthest, sums[n] = min(nearest, spans[n, 1]), max(farthest, spans[n, 4]), 0.0
    for low in range(nearest, farthest, _PLANES):
        for n in range(count):
            axis, line = spans[n, 0], lines[n]
            first, last = max(low, spans[n, 1]), min(low + _PLANES, spans[n, 4])
            begin, end = max(low, spans[n, 2]), min(low + _PLANES, spans[n, 3])
            sums[n] += _touch(flat, shape, axis, line, first, min(begin, last), values[n], adjoint)
            sums[n] += _touch(flat, shape, axis, line, max(end, first), last, values[n], adjoint)
            if begin >= end:
                continue
            one, two = _others(axis)
            below, beside = _stride(shape, one), _stride(shape, two)
            origin = _weigh(shape, axis, line, begin, end - begin, at, right, down, share)
            if adjoint:
                _spread(flat, origin, beside, below, at, right, down, end - begin, values[n])
            elif beside == 1:
                for k in range(0, end - begin, PLACES):
                    add_bilinear(parts, n * PLACES, flat, origin, 1, below, at, right, down, share, k)
            else:
                for k in range(0, end - begin, PLACES):
                    add_bilinear(parts, n * PLACES, flat, origin, beside, below, at, right, down, share, k)
    for n in range(count):
        for k in range(PLACES):
            sums[n] += parts[n * PLACES + k]


@numba.njit(nogil=True, cache=True, inline="always")
def _weigh(shape: Any, axis: Any, line: Any, begin: Any, count: Any, at: Any, right: Any, down: Any, share: Any) -> Any:
    """Where a ray crosses planes that have voxels on all its sides: the first of the four, and the way to the others.

    Returns the place from which `at` counts. What is behind the last plane repeats it, and has no share.
    """
    one, two = _others(axis)
    p, q = line[0] + begin * line[1], line[2] + begin * line[3]
    i, j = int(np.floor(p)), int(np.floor(q))
    y, y_step, x, x_step = np.float32(p - i), np.float32(line[1]), np.float32(q - j), np.float32(line[3])
    upper, lower = np.float32(-i), np.float32(shape[one] - 2 - i)
    near, far = np.float32(-j), np.float32(shape[two] - 2 - j)
    deep, below, beside = np.int32(_stride(shape, axis)), np.int32(_stride(shape, one)), np.int32(_stride(shape, two))
    last, whole, nothing = np.int32(count - 1), np.float32(1), np.float32(0)
    for k in range(-(-count // PLACES) * PLACES):
        plane = min(np.int32(k), last)
        u, v = y + np.float32(plane) * y_step, x + np.float32(plane) * x_step
        r, c = min(max(np.floor(u), upper), lower), min(max(np.floor(v), near), far)
        at[k] = plane * deep + np.int32(r) * below + np.int32(c) * beside
        down[k], right[k] = u - r, v - c
        share[k] = whole if k < count else nothing
    return begin * np.int64(deep) + i * np.int64(below) + j * np.int64(beside)


@numba.njit(nogil=True, cache=True, inline="always")
def _spread(
    flat: Any, origin: Any, beside: Any, below: Any, at: Any, right: Any, down: Any, count: Any, value: Any
) -> None:
    """The adjoint of looking up: same places, same weights."""
    for k in range(count):
        o = np.uint64(origin + at[k])
        lower = down[k] * value
        upper = value - lower
        flat[o] += upper - right[k] * upper
        flat[o + np.uint64(beside)] += right[k] * upper
        flat[o + np.uint64(below)] += lower - right[k] * lower
        flat[o + np.uint64(below + beside)] += right[k] * lower


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _touch(flat: Any, shape: Any, axis: Any, line: Any, first: Any, last: Any, value: Any, adjoint: Any) -> Any:
    """On planes at the rim, where some of the four voxels around a place may be missing: their sum, or `value` added."""
    one, two = _others(axis)
    total = 0.0
    for plane in range(first, last):
        p, q = line[0] + plane * line[1], line[2] + plane * line[3]
        for i in range(int(np.floor(p)), int(np.floor(p)) + 2):
            for j in range(int(np.floor(q)), int(np.floor(q)) + 2):
                if 0 <= i < shape[one] and 0 <= j < shape[two]:
                    weight = (1.0 - abs(p - i)) * (1.0 - abs(q - j))
                    o = plane * _stride(shape, axis) + i * _stride(shape, one) + j * _stride(shape, two)
                    if adjoint:
                        flat[o] += weight * value
                    else:
                        total += weight * flat[o]
    return total

"""Three orthogonal planes of a sample, kept up to date one projection at a time.

Filtered projections lie in a cache (slot, col, row): *transposed*, because a vertical plane reads, for each of its
columns, two neighbouring detector columns over all rows, and then adds contiguous memory. A projection that leaves the
window is taken back by adding it with a negative weight, in the same pass over the plane as the one that replaces it.

Layouts are what the loops want; :func:`assemble` turns them into images:

- ``xy``: (2, line, pixel). Half 0 is (y, x) and takes the angles with ``|cos| >= |sin|``, half 1 is (x, y) and takes the
  others, so that along a line the detector column always moves by 0.7 to 1 pixel a step. Then all lines of one
  projection are stretches of the same resampled row, started at different fractions of a step; the row is resampled
  once for ``LEVELS`` fractions, and a line interpolates between two of them. That needs no gather, and differs from plain
  linear interpolation only in the pixels next to a detector column, by less than ``second difference / (4 LEVELS)``.
- ``xz``: (x, row) and ``yz``: (y, row).

Coordinates: ``x`` to the right, ``y`` up, in pixels about the rotation axis; rows of an image run downwards, so pixel
``iy`` lies at ``y = (n - 1) / 2 - iy``. Column of the detector: ``x cos + y sin + center``. What the detector does not see
adds nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import ArrayLike, NDArray

__all__ = ["LEVELS", "add_to_xy", "add_to_xz", "add_to_yz", "assemble", "every_kth"]

LEVELS = 64
"""Fractions of a step for which a projection's row is resampled."""

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "reassoc"},
}
# resampled rows that are worked on together stay within a second-level cache
_TABLE_BYTES = 1 << 20
# pixels of the plane by which rounding may carry a ray over the rim of the detector: a whole row of the image would
# vanish at 90 degree; the same as in kernels/radon
_RIM = 1e-4

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def add_to_xy(
    xy: F32,
    cache: NDArray[Any],
    slots: ArrayLike,
    angles_degrees: ArrayLike,
    weights: ArrayLike,
    *,
    row: float,
    center: float,
    step: int = 1,
) -> None:
    """Add projections to the horizontal plane at detector row ``row``.

    Args:
        xy: (2, n / step, n / step) float32, changed in place; see the module for its layout.
        cache: (slot, col, row) filtered projections, float32 or float16.
        slots: (projection,) where in the cache each one lies.
        angles_degrees: (projection,).
        weights: (projection,) share of the half turn in radian; negative takes a projection back, and a slot of weight
            0 is not read, whatever it holds.
        row: height of the plane as a detector row; fractions are interpolated.
        center: column of the rotation axis, from 0.
        step: pixels of the volume per pixel of the plane: larger than 1 for a quick coarse plane. Pixel ``i`` of the
            plane then lies in the middle of the pixels ``i step`` to ``i step + step - 1``.

    Raises:
        ValueError: if the arrays do not fit, or ``row`` lies outside the detector.
    """
    if xy.ndim != 3 or xy.shape[0] != 2 or xy.shape[1] != xy.shape[2] or xy.dtype != np.float32:
        raise ValueError(f"xy is {xy.dtype}{xy.shape}: expected float32 (2, n, n)")
    stored, slot, angle, weight = _projections(cache, slots, angles_degrees, weights)
    columns, rows = stored.shape[1:]
    if not 0 <= row <= rows - 1:
        raise ValueError(f"row is {row}: expected a detector row from 0 to {rows - 1}")
    lines = np.zeros((slot.size, columns + 2), np.float32)
    _rows_at(stored, slot, weight, int(row), float(row - int(row)), lines)
    length = math.ceil(math.sqrt(2) * columns / step) + 4
    group = max(1, min(slot.size, _TABLE_BYTES // (4 * length * (LEVELS + 1))))
    tables = np.empty((group, LEVELS + 1, length), np.float32)
    cos, sin = np.cos(angle), np.sin(angle)
    steep = np.abs(cos) < np.abs(sin)
    for half in (0, 1):
        chosen = np.flatnonzero(steep == bool(half))
        for first in range(0, chosen.size, group):
            part = chosen[first : first + group]
            _add_lines(xy[half], lines[part], cos[part], sin[part], half, float(step), center, tables)


def add_to_xz(
    xz: F32,
    cache: NDArray[Any],
    slots: ArrayLike,
    angles_degrees: ArrayLike,
    weights: ArrayLike,
    *,
    y: float,
    center: float,
    size: int | None = None,
    step: int = 1,
) -> None:
    """Add projections to the vertical plane at height ``y`` in the slices.

    Args:
        xz: (x, row) float32, changed in place: the image transposed.
        cache: (slot, col, row) filtered projections, float32 or float16.
        slots: (projection,) where in the cache each one lies.
        angles_degrees: (projection,).
        weights: (projection,) share of the half turn in radian, as in :func:`add_to_xy`.
        y: row of the slice that the plane cuts, from 0 at the top.
        center: column of the rotation axis, from 0.
        size: pixels of the volume along x and y; default ``xz.shape[0] * step``.
        step: pixels of the volume per pixel of the plane, along x alone.

    Raises:
        ValueError: if the arrays do not fit.
    """
    _add_vertical(xz, cache, slots, angles_degrees, weights, y, center, size, step, along_x=True)


def add_to_yz(
    yz: F32,
    cache: NDArray[Any],
    slots: ArrayLike,
    angles_degrees: ArrayLike,
    weights: ArrayLike,
    *,
    x: float,
    center: float,
    size: int | None = None,
    step: int = 1,
) -> None:
    """Add projections to the vertical plane at column ``x`` of the slices.

    Args:
        yz: (y, row) float32, changed in place: the image transposed.
        cache: (slot, col, row) filtered projections, float32 or float16.
        slots: (projection,) where in the cache each one lies.
        angles_degrees: (projection,).
        weights: (projection,) share of the half turn in radian, as in :func:`add_to_xy`.
        x: column of the slice that the plane cuts, from 0 at the left.
        center: column of the rotation axis, from 0.
        size: pixels of the volume along x and y; default ``yz.shape[0] * step``.
        step: pixels of the volume per pixel of the plane, along y alone.

    Raises:
        ValueError: if the arrays do not fit.
    """
    _add_vertical(yz, cache, slots, angles_degrees, weights, x, center, size, step, along_x=False)


def assemble(xy: F32, xz: F32, yz: F32) -> tuple[F32, F32, F32]:
    """New images ``y x``, ``z x`` and ``z y`` of the three planes."""
    return xy[0] + xy[1].T, np.ascontiguousarray(xz.T), np.ascontiguousarray(yz.T)


def every_kth(angles_degrees: ArrayLike, weights: ArrayLike, k: int) -> F64:
    """Weights with which every k-th projection stands for its neighbours: for a quick answer after a plane moved.

    Args:
        angles_degrees: (projection,), in any order.
        weights: (projection,); projections of weight 0 are left out.
        k: how many neighbours in angle, modulo half a turn, one projection replaces.

    Returns:
        (projection,) weights of the same sum, 0 for all but about 1 in k.

    Raises:
        ValueError: if ``k`` is below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}: expected 1 or more")
    weight = np.asarray(weights, dtype=np.float64)
    used = np.flatnonzero(weight)
    order = used[np.argsort(np.mod(np.asarray(angles_degrees, dtype=np.float64)[used], 180.0), kind="stable")]
    coarse = np.zeros_like(weight)
    if order.size:
        # the middle one of each group of neighbours takes the weight of all
        first = np.arange(0, order.size, k)
        middle = np.minimum(first + k // 2, (first + np.append(first[1:], order.size) - 1) // 2)
        coarse[order[middle]] = np.add.reduceat(weight[order], first)
    return coarse


def _add_vertical(
    plane: F32,
    cache: NDArray[Any],
    slots: ArrayLike,
    angles_degrees: ArrayLike,
    weights: ArrayLike,
    position: float,
    center: float,
    size: int | None,
    step: int,
    *,
    along_x: bool,
) -> None:
    stored, slot, angle, weight = _projections(cache, slots, angles_degrees, weights)
    if plane.ndim != 2 or plane.shape[1] != stored.shape[2] or plane.dtype != np.float32:
        raise ValueError(f"plane is {plane.dtype}{plane.shape}: expected float32 (pixel, {stored.shape[2]} rows)")
    middle = ((size or plane.shape[0] * step) - 1) / 2
    first = (step - 1) / 2 - middle
    cos, sin = np.cos(angle), np.sin(angle)
    if along_x:
        start, along = first * cos + (middle - position) * sin + center, step * cos
    else:
        start, along = (position - middle) * cos - first * sin + center, -step * sin
    _add_columns(plane, stored, slot, weight, start, along)


def _projections(
    cache: NDArray[Any], slots: ArrayLike, angles_degrees: ArrayLike, weights: ArrayLike
) -> tuple[NDArray[Any], NDArray[np.int64], F64, F64]:
    """Check the arguments that all planes share; a float16 cache is seen as its bits."""
    slot = np.atleast_1d(np.asarray(slots, dtype=np.int64))
    angle = np.deg2rad(np.atleast_1d(np.asarray(angles_degrees, dtype=np.float64)))
    weight = np.atleast_1d(np.asarray(weights, dtype=np.float64))
    if cache.ndim != 3 or cache.shape[1] < 2 or cache.dtype not in (np.float32, np.float16):
        raise ValueError(f"cache is {cache.dtype}{cache.shape}: expected float32 or float16 (slot, col, row)")
    if not slot.shape == angle.shape == weight.shape or slot.ndim != 1:
        raise ValueError(f"slots {slot.shape}, angles {angle.shape}, weights {weight.shape}: expected one of each")
    if slot.size and not (slot.min() >= 0 and slot.max() < cache.shape[0]):
        raise ValueError(f"slots run from {slot.min()} to {slot.max()}: expected 0 to {cache.shape[0] - 1}")
    used = weight != 0
    stored = cache.view(np.uint16) if cache.dtype == np.float16 else cache
    return stored, slot[used], angle[used], weight[used]


@intrinsic
def _float_intrinsic(typingctx: Any, pixel: Any) -> Any:
    """Value of a cached pixel: float32, or the bits of a float16."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if signature.args[0] == types.float32:
            return args[0]
        return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())

    return types.float32(pixel), codegen


# numba gives the first argument itself, which a type checker cannot know
_float: Any = _float_intrinsic


@numba.njit(**_OPTIONS)
def _rows_at(
    cache: NDArray[Any], slots: NDArray[np.int64], weights: F64, row: int, fraction: float, lines: F32
) -> None:
    """Weighted detector row of each projection, with its last value repeated once behind the end."""
    columns = cache.shape[1]
    below = min(row + 1, cache.shape[2] - 1)
    for m in range(slots.size):
        upper, lower = np.float32(weights[m] * (1 - fraction)), np.float32(weights[m] * fraction)
        projection = cache[slots[m]]
        for col in range(columns):
            lines[m, col] = upper * _float(projection[col, row])
            if fraction > 0:
                lines[m, col] += lower * _float(projection[col, below])
        lines[m, columns:] = lines[m, columns - 1]


@numba.njit(**_OPTIONS)
def _resample(line: F32, step: float, lowest: int, table: F32) -> None:
    """Fill table[level, n] with the line at column (lowest + n + level / LEVELS) * step, clamped at the ends."""
    last = np.float64(line.size - 3)
    for level in range(table.shape[0]):
        for n in range(table.shape[1]):
            s = min(max((lowest + n + level / LEVELS) * step, 0.0), last)
            i = np.uint32(s)
            table[level, n] = line[i] + np.float32(s - i) * (line[i + np.uint32(1)] - line[i])


@numba.njit(**_OPTIONS)
def _blend(line: F32, first: F32, second: F32, share: np.float32) -> None:
    """Add (1 - share) first + share second."""
    rest = np.float32(1) - share
    for i in range(line.size):
        line[i] += rest * first[i] + share * second[i]


@numba.njit(**_OPTIONS)
def _add_lines(plane: F32, lines: F32, cos: F64, sin: F64, half: int, pitch: float, center: float, tables: F32) -> None:
    """Add projections to one half of the horizontal plane, a few at a time while a line is in the cache."""
    size, columns = plane.shape[0], lines.shape[1] - 2
    count = lines.shape[0]
    origin, along, across, lowest = np.empty(count), np.empty(count), np.empty(count), np.empty(count, np.int64)
    for m in range(count):
        middle = pitch * (size - 1) / 2
        origin[m] = middle * (sin[m] - cos[m]) + center
        along[m] = pitch * (cos[m] if half == 0 else -sin[m])
        across[m] = pitch * (-sin[m] if half == 0 else cos[m])
        lowest[m] = math.floor(min(0.0, (columns - 1) / along[m])) - 1
        _resample(lines[m], along[m], lowest[m], tables[m])
    for k in range(size):
        for m in range(count):
            start = origin[m] + k * across[m]
            one, two = -start / along[m], (columns - 1 - start) / along[m]
            first = min(max(math.ceil(min(one, two) - _RIM), 0), size)
            stop = max(min(math.floor(max(one, two) + _RIM) + 1, size), first)
            if stop == first:
                continue
            u = start / along[m]
            whole = math.floor(u)
            part = (u - whole) * LEVELS
            level = min(int(part), LEVELS - 1)
            n = whole + first - lowest[m]
            length = stop - first
            table = tables[m]
            share = np.float32(part - level)
            _blend(plane[k, first:stop], table[level, n : n + length], table[level + 1, n : n + length], share)


@numba.njit(**_OPTIONS)
def _add_two(line: F32, left: NDArray[Any], right: NDArray[Any], a: np.float32, b: np.float32) -> None:
    for i in range(line.size):
        line[i] += a * _float(left[i]) + b * _float(right[i])


@numba.njit(**_OPTIONS)
def _add_columns(
    plane: F32, cache: NDArray[Any], slots: NDArray[np.int64], weights: F64, start: F64, along: F64
) -> None:
    """Add to each line of a vertical plane the two detector columns that its ray passes between."""
    last = cache.shape[1] - 1
    for k in range(plane.shape[0]):
        for m in range(slots.size):
            s = start[m] + k * along[m]
            if s < -_RIM * abs(along[m]) or s > last + _RIM * abs(along[m]):
                continue
            i = min(max(int(s), 0), last - 1)
            f = s - i
            projection = cache[slots[m]]
            left, right = np.float32(weights[m] * (1 - f)), np.float32(weights[m] * f)
            _add_two(plane[k], projection[i], projection[i + 1], left, right)

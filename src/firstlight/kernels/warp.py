"""Frames sampled at other places: turned, shifted, and freed from the distortion of a lens.

Every pixel of the result says where in the frame it comes from, and is interpolated there. Places are computed on the
way, which costs less than reading them from memory.
"""

from __future__ import annotations

from typing import Any, Literal

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Interpolation", "affine", "unwarp"]

Interpolation = Literal["linear", "cubic"]
"""Between four pixels, or sixteen (Catmull and Rom): sharper, and up to 12 % beyond the values of the pixels."""

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
_H = np.float32(0.5)


def affine(
    frames: ArrayLike,
    rows: tuple[float, float, float],
    columns: tuple[float, float, float],
    *,
    interpolation: Interpolation = "linear",
    fill: float | None = None,
) -> NDArray[np.float32]:
    """Sample each frame at a place that is linear in the pixel's own place.

    Args:
        frames: (frame, row, col), integers or floats.
        rows: (a, b, c): pixel (i, j) comes from row a + b i + c j.
        columns: (a, b, c): and from column a + b i + c j.
        interpolation: "linear" or "cubic".
        fill: what lies outside the frame; None: the outermost pixels go on.

    Returns:
        float32 of the same shape.
    """
    values, out = _prepared(frames)
    places = np.array([*rows, *columns], np.float64)
    _affine(values, out, places, interpolation == "cubic", fill is None, np.float32(0 if fill is None else fill))
    return out


def unwarp(
    frames: ArrayLike,
    center: tuple[float, float],
    coefficients: tuple[float, ...],
    *,
    interpolation: Interpolation = "linear",
    fill: float | None = None,
) -> NDArray[np.float32]:
    """Undo a radial distortion: a pixel at distance r from the center comes from r (k0 + k1 r + k2 r^2 + ...).

    Args:
        frames: (frame, row, col), integers or floats.
        center: (row, column) of the distortion.
        coefficients: k0, k1, ...; lengths in pixels.
        interpolation: "linear" or "cubic".
        fill: what lies outside the frame; None: the outermost pixels go on.

    Returns:
        float32 of the same shape.
    """
    values, out = _prepared(frames)
    factors = np.array(coefficients, np.float64)
    number = np.float32(0 if fill is None else fill)
    _unwarp(values, out, float(center[0]), float(center[1]), factors, interpolation == "cubic", fill is None, number)
    return out


def _prepared(frames: ArrayLike) -> tuple[NDArray[Any], NDArray[np.float32]]:
    values = np.asarray(frames)
    if values.ndim != 3:
        raise ValueError(f"frames has shape {values.shape}: expected (frame, row, col)")
    if not values.dtype.isnative or values.dtype.itemsize > 4 or values.dtype == np.float16:
        values = values.astype(np.float32)
    return values, np.empty(values.shape, np.float32)


@numba.njit(inline="always", **_OPTIONS)
def _linear(frame: NDArray[Any], v: float, u: float) -> np.float32:
    rows, columns = frame.shape
    v, u = min(max(v, 0.0), rows - 1.0), min(max(u, 0.0), columns - 1.0)
    i, j = int(v), int(u)
    down, right = np.float32(v - i), np.float32(u - j)
    below, after = min(i + 1, rows - 1), min(j + 1, columns - 1)
    first, second = np.float32(frame[i, j]), np.float32(frame[i, after])
    third, fourth = np.float32(frame[below, j]), np.float32(frame[below, after])
    above = first + right * (second - first)
    return above + down * (third + right * (fourth - third) - above)


@numba.njit(inline="always", **_OPTIONS)
def _along(a: np.float32, b: np.float32, c: np.float32, d: np.float32, t: np.float32) -> np.float32:
    """Catmull and Rom's cubic between b and c."""
    return b + _H * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


@numba.njit(**_OPTIONS)
def _cubic(frame: NDArray[Any], v: float, u: float) -> np.float32:
    rows, columns = frame.shape
    v, u = min(max(v, 0.0), rows - 1.0), min(max(u, 0.0), columns - 1.0)
    i, j = int(v), int(u)
    down, right = np.float32(v - i), np.float32(u - j)
    j0, j2, j3 = max(j - 1, 0), min(j + 1, columns - 1), min(j + 2, columns - 1)
    lines = np.empty(4, np.float32)
    for k in range(4):
        line = frame[min(max(i + k - 1, 0), rows - 1)]
        a, b, c, d = np.float32(line[j0]), np.float32(line[j]), np.float32(line[j2]), np.float32(line[j3])
        lines[k] = _along(a, b, c, d, right)
    return _along(lines[0], lines[1], lines[2], lines[3], down)


@numba.njit(inline="always", **_OPTIONS)
def _sample(frame: NDArray[Any], v: float, u: float, cubic: bool, goes_on: bool, fill: np.float32) -> np.float32:
    # a place may miss the outermost pixel by rounding
    outside = v < -1e-6 or u < -1e-6 or v > frame.shape[0] - 1 + 1e-6 or u > frame.shape[1] - 1 + 1e-6
    if outside and not goes_on:
        return fill
    return _cubic(frame, v, u) if cubic else _linear(frame, v, u)


@numba.njit(**_OPTIONS)
def _affine(
    frames: NDArray[Any],
    out: NDArray[np.float32],
    places: NDArray[np.float64],
    cubic: bool,
    goes_on: bool,
    fill: np.float32,
) -> None:
    for n in range(frames.shape[0]):
        for i in range(frames.shape[1]):
            for j in range(frames.shape[2]):
                v, u = places[0] + places[1] * i + places[2] * j, places[3] + places[4] * i + places[5] * j
                out[n, i, j] = _sample(frames[n], v, u, cubic, goes_on, fill)


@numba.njit(**_OPTIONS)
def _unwarp(
    frames: NDArray[Any],
    out: NDArray[np.float32],
    row: float,
    column: float,
    factors: NDArray[np.float64],
    cubic: bool,
    goes_on: bool,
    fill: np.float32,
) -> None:
    for i in range(frames.shape[1]):
        for j in range(frames.shape[2]):
            y, x = i - row, j - column
            radius = np.sqrt(y * y + x * x)
            factor = 0.0
            for k in range(factors.size - 1, -1, -1):
                factor = factor * radius + factors[k]
            for n in range(frames.shape[0]):
                out[n, i, j] = _sample(frames[n], row + factor * y, column + factor * x, cubic, goes_on, fill)

"""Discrete wavelet transforms with Daubechies' filters, as far as the removal of stripes needs them.

Of a transform over two axes only the low-pass part and the part with vertical detail (low along the angles, high across
the columns) are made and inverted: the others leave the removal of stripes as they are. Borders are mirrored with the
outermost value repeated; lengths are those of the usual transform, (n + taps - 1) // 2.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["coarser", "daubechies", "finer", "largest_level"]

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
Plane = NDArray[np.float32]


@lru_cache(maxsize=32)
def daubechies(moments: int) -> tuple[Plane, Plane]:
    """Low-pass and high-pass synthesis filters, 2 x `moments` taps, with that many vanishing moments (minimal phase).

    From the roots of the polynomial sum_k C(moments - 1 + k, k) y^k, with y = (2 - z - 1/z)/4 and |z| < 1 (Daubechies,
    Ten Lectures on Wavelets, section 6.1). The analysis filters are the same, reversed.

    Args:
        moments: 1 (Haar) to 20; beyond that the roots lose their precision.

    Raises:
        ValueError: `moments` is outside that range.
    """
    if not 1 <= moments <= 20:
        raise ValueError(f"moments is {moments}: expected 1 to 20 vanishing moments")
    roots = np.roots([comb(moments - 1 + k, k) for k in range(moments - 1, -1, -1)]) if moments > 1 else np.empty(0)
    middle = 1 - 2 * roots.astype(complex)
    root = np.sqrt(middle**2 - 1)
    inside = np.where(np.abs(middle + root) < 1, middle + root, middle - root)
    filtered = np.array([1.0 + 0j])
    for each in sorted(inside, key=lambda value: (abs(value), value.imag)):
        filtered = np.convolve(filtered, [1, -each])
    for _ in range(moments):
        filtered = np.convolve(filtered, [1, 1])
    low = np.real(filtered)
    low *= np.sqrt(2) / low.sum()
    high = low[::-1] * (-1.0) ** np.arange(low.size)
    return low.astype(np.float32), high.astype(np.float32)


def largest_level(angles: int, columns: int) -> int:
    """How often a sinogram can be halved so that sixteen values are left along both axes."""
    return max(0, int(np.floor(np.log2(min(angles, columns) / 16)))) if min(angles, columns) else 0


def coarser(plane: Plane, moments: int) -> tuple[Plane, Plane]:
    """One level of analysis: the low-pass part and the part with vertical detail.

    Args:
        plane: (angle, col) float32.
        moments: of the wavelet.

    Returns:
        Both of shape ((angle + taps - 1) // 2, (col + taps - 1) // 2).
    """
    low, high = (np.ascontiguousarray(each[::-1]) for each in daubechies(moments))
    taps = low.size
    angles, columns = plane.shape
    across = np.empty((angles, 2, (columns + taps - 1) // 2), np.float32)
    _split_columns(plane, low, high, across)
    halved = np.empty(((angles + taps - 1) // 2, 2 * across.shape[2]), np.float32)
    _low_angles(across.reshape(angles, -1), low, halved)
    parts = halved.reshape(-1, 2, across.shape[2])
    return np.ascontiguousarray(parts[:, 0]), np.ascontiguousarray(parts[:, 1])


def finer(low_part: Plane, detail: Plane, moments: int, shape: tuple[int, int]) -> Plane:
    """One level of synthesis from the low-pass part and the vertical detail alone.

    Args:
        low_part: as `coarser` gave it.
        detail: likewise.
        moments: of the wavelet.
        shape: of the finer level, (angle, col).

    Returns:
        float32 of that shape.
    """
    low, high = daubechies(moments)
    angles, columns = shape
    together = np.concatenate([low_part, detail], axis=1)
    along = np.empty((angles, together.shape[1]), np.float32)
    _join_angles(together, low, along)
    out = np.empty((angles, columns), np.float32)
    _join_columns(along.reshape(angles, 2, -1), low, high, out)
    return out


@numba.njit(**_OPTIONS)
def _mirrored(place: int, count: int) -> int:
    folded = place % (2 * count)
    return folded if folded < count else 2 * count - 1 - folded


@numba.njit(**_OPTIONS)
def _add_scaled(line: NDArray[np.float32], factor: np.float32, out: NDArray[np.float32]) -> None:
    for i in range(out.size):
        out[i] += factor * line[i]


@numba.njit(**_OPTIONS)
def _split_columns(plane: Plane, low: Plane, high: Plane, across: NDArray[np.float32]) -> None:
    """across[a, 0, j] = sum_k low[k] plane[a, 2j + 1 - k]: even and odd columns apart, so that both are read in line."""
    columns, taps, wide = plane.shape[1], low.size, across.shape[2]
    parts = np.empty((2, wide + taps), np.float32)
    for angle in range(plane.shape[0]):
        line = plane[angle]
        for i in range(2 * (wide + taps)):
            place = i - taps + 1
            inside = 0 <= place < columns
            parts[i % 2, i // 2] = line[place] if inside else line[_mirrored(place, columns)]
        across[angle, :, :] = np.float32(0)
        for k in range(taps):
            shift = (taps - k) // 2
            source = parts[(taps - k) % 2, shift : shift + wide]
            _add_scaled(source, low[k], across[angle, 0])
            _add_scaled(source, high[k], across[angle, 1])


@numba.njit(**_OPTIONS)
def _low_angles(plane: Plane, low: Plane, halved: Plane) -> None:
    for i in range(halved.shape[0]):
        halved[i] = np.float32(0)
        for k in range(low.size):
            _add_scaled(plane[_mirrored(2 * i + 1 - k, plane.shape[0])], low[k], halved[i])


@numba.njit(**_OPTIONS)
def _join_angles(plane: Plane, low: Plane, out: Plane) -> None:
    """out[n] = sum_i plane[i] low[n - 2i + taps - 2]."""
    half = low.size // 2
    for n in range(out.shape[0]):
        out[n] = np.float32(0)
        for t in range(half):
            _add_scaled(plane[n // 2 + half - 1 - t], low[2 * t + n % 2], out[n])


@numba.njit(**_OPTIONS)
def _join_columns(parts: NDArray[np.float32], low: Plane, high: Plane, out: Plane) -> None:
    half, columns = low.size // 2, out.shape[1]
    wide = (columns + 1) // 2
    halves = np.empty((2, wide), np.float32)
    for angle in range(out.shape[0]):
        for odd in range(2):
            halves[odd] = np.float32(0)
            for t in range(half):
                first = half - 1 - t
                _add_scaled(parts[angle, 0, first : first + wide], low[2 * t + odd], halves[odd])
                _add_scaled(parts[angle, 1, first : first + wide], high[2 * t + odd], halves[odd])
        for col in range(columns):
            out[angle, col] = halves[col % 2, col // 2]

"""Sums of frames: under masks (virtual detectors) and over frames (mean images).

Integer frames are summed in 64-bit integers and float frames in double precision, so that the answer does not depend on
how the frames were cut into chunks (to rounding, for floats).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["add_frames", "annulus", "disk", "sum_dtype", "sum_under_masks"]

# sums may be taken in any order, which lets them vectorise; NaN and infinity keep their meaning
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "reassoc"},
}


def disk(shape: tuple[int, int], center: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    """Pixels whose centre lies within ``radius`` pixels of ``center``.

    Args:
        shape: rows and columns of the frame.
        center: row and column, from 0, in pixels.
        radius: in pixels; the edge belongs to the disk.

    Returns:
        Mask (row, col).

    Raises:
        ValueError: if ``radius`` is negative or NaN.
    """
    return annulus(shape, center, 0.0, radius)


def annulus(shape: tuple[int, int], center: tuple[float, float], inner: float, outer: float) -> NDArray[np.bool_]:
    """Pixels whose centre lies between two radii about ``center``.

    Args:
        shape: rows and columns of the frame.
        center: row and column, from 0, in pixels.
        inner: smallest radius in pixels, included.
        outer: largest radius in pixels, included.

    Returns:
        Mask (row, col).

    Raises:
        ValueError: unless 0 <= inner <= outer.
    """
    if not 0 <= inner <= outer:
        raise ValueError(f"inner = {inner}, outer = {outer}: expected radii with 0 <= inner <= outer, in pixels")
    rows = np.arange(shape[0], dtype=np.float64)[:, None] - center[0]
    cols = np.arange(shape[1], dtype=np.float64)[None, :] - center[1]
    squared = rows**2 + cols**2
    return (squared >= inner**2) & (squared <= outer**2)


def sum_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """The number type in which frames of ``dtype`` are summed: uint64, int64 or float64.

    Raises:
        ValueError: if ``dtype`` is neither integer, bool nor float.
    """
    kind = np.dtype(dtype).kind
    if kind not in "buif":
        raise ValueError(f"dtype is {np.dtype(dtype)}: expected integers or floats")
    return np.dtype({"b": np.uint64, "u": np.uint64, "i": np.int64, "f": np.float64}[kind])


def add_frames(total: NDArray[Any], frames: ArrayLike) -> None:
    """Add every frame to a running sum; the mean image is the sum divided by the number of frames.

    Args:
        total: (row, col) of type :func:`sum_dtype`, changed in place.
        frames: (frame, row, col).

    Raises:
        ValueError: if the shapes or the number types do not fit.
    """
    values = _readable(frames)
    if values.ndim != 3 or values.shape[1:] != total.shape:
        raise ValueError(f"frames has shape {values.shape}: expected (frame, {', '.join(map(str, total.shape))})")
    if total.dtype != sum_dtype(values.dtype):
        raise ValueError(f"total is {total.dtype}: expected {sum_dtype(values.dtype)} for frames of {values.dtype}")
    if values.dtype.kind != "f" and values.dtype.itemsize <= 2:
        _add_small_integers(total, values)
    else:
        _add_frames(total, values)


def sum_under_masks(frames: ArrayLike, masks: ArrayLike) -> NDArray[Any]:
    """Sum each frame under each mask: one virtual-detector value a frame and mask.

    Args:
        frames: (frame, row, col), integers or floats.
        masks: (mask, row, col): bool for a plain sum, numbers for a weighted one.

    Returns:
        (frame, mask): uint64 or int64 for integer frames under bool masks, else float64.

    Raises:
        ValueError: if the shapes do not fit.
    """
    values, weights = _readable(frames), np.asarray(masks)
    if values.ndim != 3 or weights.ndim != 3 or values.shape[1:] != weights.shape[1:]:
        raise ValueError(f"frames has shape {values.shape} and masks {weights.shape}: expected the same (.., row, col)")
    if weights.dtype.kind == "b":
        bits = np.ascontiguousarray(weights).view(np.uint8)
        out = np.zeros((values.shape[0], weights.shape[0]), sum_dtype(values.dtype))
        if values.dtype.kind == "f":
            _sum_floats(values, bits, _spans(bits), out)
        elif values.dtype.itemsize <= 2:
            _sum_small_integers(values, bits, _spans(bits), out)
        else:
            _sum_integers(values, bits, _spans(bits), out)
        return out
    out = np.zeros((values.shape[0], weights.shape[0]), np.float64)
    weights = np.ascontiguousarray(weights, dtype=np.float64)
    _sum_floats(values, weights, _spans(weights), out)
    return out


def _readable(frames: ArrayLike) -> NDArray[Any]:
    """Give numba a type that it reads: native byte order, no half precision, no bool."""
    values = np.asarray(frames)
    sum_dtype(values.dtype)
    if values.dtype.kind == "b":
        return values.view(np.uint8)
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float32)
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


@numba.njit(**_OPTIONS)
def _spans(masks: NDArray[Any]) -> NDArray[np.int64]:
    """First column and column behind the last one that each mask uses in each row: (mask, row, 2)."""
    spans = np.zeros((masks.shape[0], masks.shape[1], 2), np.int64)
    for m in range(masks.shape[0]):
        for row in range(masks.shape[1]):
            for col in range(masks.shape[2]):
                if masks[m, row, col] != 0:
                    if spans[m, row, 1] == 0:
                        spans[m, row, 0] = col
                    spans[m, row, 1] = col + 1
    return spans


@numba.njit(**_OPTIONS)
def _sum_floats(frames: NDArray[Any], masks: NDArray[Any], spans: NDArray[np.int64], out: NDArray[Any]) -> None:
    for n in range(frames.shape[0]):
        for row in range(frames.shape[1]):
            for m in range(masks.shape[0]):
                start, stop = spans[m, row]
                pixels, weights = frames[n, row, start:stop], masks[m, row, start:stop]
                total = 0.0
                for i in range(pixels.size):
                    # a pixel outside the mask counts nothing even if it is NaN
                    total += weights[i] * np.float64(pixels[i]) if weights[i] != 0 else 0.0
                out[n, m] += total


@numba.njit(**_OPTIONS)
def _sum_integers(frames: NDArray[Any], masks: NDArray[Any], spans: NDArray[np.int64], out: NDArray[Any]) -> None:
    for n in range(frames.shape[0]):
        for row in range(frames.shape[1]):
            for m in range(masks.shape[0]):
                start, stop = spans[m, row]
                pixels, weights = frames[n, row, start:stop], masks[m, row, start:stop]
                total = out[n, m]
                for i in range(pixels.size):
                    total += out.dtype.type(pixels[i]) if weights[i] != 0 else out.dtype.type(0)
                out[n, m] = total


@numba.njit(**_OPTIONS)
def _sum_small_integers(frames: NDArray[Any], masks: NDArray[Any], spans: NDArray[np.int64], out: NDArray[Any]) -> None:
    """Sum 8- and 16-bit integers: up to 32768 of them fit in 32 bits, twice as many a vector as in 64."""
    for n in range(frames.shape[0]):
        for row in range(frames.shape[1]):
            for m in range(masks.shape[0]):
                start, stop = spans[m, row]
                for first in range(start, stop, 32768):
                    last = min(first + 32768, stop)
                    pixels, weights = frames[n, row, first:last], masks[m, row, first:last]
                    total = np.int32(0)
                    for i in range(pixels.size):
                        total = np.int32(total + np.int32(pixels[i]) * np.int32(weights[i]))
                    out[n, m] += out.dtype.type(total)


@numba.njit(**_OPTIONS)
def _add_frames(total: NDArray[Any], frames: NDArray[Any]) -> None:
    # rows outermost: the row of the sum stays in cache for all frames of the chunk
    for row in range(frames.shape[1]):
        line = total[row]
        for n in range(frames.shape[0]):
            pixels = frames[n, row]
            for col in range(pixels.size):
                line[col] += pixels[col]


@numba.njit(**_OPTIONS)
def _add_small_integers(total: NDArray[Any], frames: NDArray[Any]) -> None:
    """Add 8- and 16-bit integers: up to 32768 frames fit in 32 bits, twice as many pixels a vector as in 64."""
    line = np.empty(frames.shape[2], np.int32)
    for row in range(frames.shape[1]):
        for first in range(0, frames.shape[0], 32768):
            line[:] = 0
            for n in range(first, min(first + 32768, frames.shape[0])):
                pixels = frames[n, row]
                for col in range(pixels.size):
                    line[col] = np.int32(line[col] + np.int32(pixels[col]))
            for col in range(line.size):
                total[row, col] += total.dtype.type(line[col])

"""Sums of frames: under masks (virtual detectors) and over frames (mean images).

Integer frames are summed in 64-bit integers and float frames in double precision, so that the answer does not depend on
how the frames were cut into chunks (to rounding, for floats).
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .mask_products import Masks, frame_sums, readable, sum_dtype, weighted_sums

__all__ = ["add_frames", "annulus", "disk", "keep_disk", "sum_dtype", "sum_under_masks"]


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


def keep_disk(images: NDArray[Any], center: tuple[float, float], radius: float, value: float) -> NDArray[np.float32]:
    """Images with one value outside a disk.

    Args:
        images: (image, row, col), any number type.
        center: row and column, from 0, in pixels.
        radius: in pixels; the edge belongs to the disk.
        value: what stands outside.

    Returns:
        float32 of the same shape.
    """
    out = np.empty(images.shape, np.float32)
    _keep_disk(readable(images), *center, radius**2, np.float32(value), out)
    return out


@numba.njit(nogil=True, cache=True)
def _keep_disk(images: Any, row: Any, col: Any, squared: Any, value: Any, out: Any) -> None:
    count, height, width = images.shape
    for i in range(height):
        rest = squared - (i - row) ** 2
        reach = math.sqrt(rest) if rest >= 0 else -1.0
        first, behind = int(max(math.ceil(col - reach), 0)), int(min(math.floor(col + reach) + 1, width))
        # the root is rounded: the pixels at its ends are asked themselves
        while first > 0 and (first - 1 - col) ** 2 <= rest:
            first -= 1
        while first < behind and (first - col) ** 2 > rest:
            first += 1
        while 0 < behind < width and (behind - col) ** 2 <= rest:
            behind += 1
        while behind > first and (behind - 1 - col) ** 2 > rest:
            behind -= 1
        for n in range(count):
            out[n, i, :first] = value
            out[n, i, first:behind] = images[n, i, first:behind]
            out[n, i, max(first, behind) :] = value


def add_frames(total: NDArray[Any], frames: ArrayLike) -> None:
    """Add every frame to a running sum; the mean image is the sum divided by the number of frames.

    Args:
        total: (row, col) of type :func:`sum_dtype`, changed in place.
        frames: (frame, row, col).

    Raises:
        ValueError: if the shapes or the number types do not fit.
    """
    values = readable(frames)
    if values.ndim != 3 or values.shape[1:] != total.shape:
        raise ValueError(f"frames has shape {values.shape}: expected (frame, {', '.join(map(str, total.shape))})")
    if total.dtype != sum_dtype(values.dtype):
        raise ValueError(f"total is {total.dtype}: expected {sum_dtype(values.dtype)} for frames of {values.dtype}")
    total += frame_sums(values, image=True).image


def sum_under_masks(frames: ArrayLike, masks: ArrayLike) -> NDArray[Any]:
    """Sum each frame under each mask: one virtual-detector value a frame and mask.

    Args:
        frames: (frame, row, col), integers or floats.
        masks: (mask, row, col): bool for a plain sum, real or complex numbers for a weighted one.

    Returns:
        (frame, mask): uint64 or int64 for integer frames under bool masks, else float64 or complex128.

    Raises:
        ValueError: if the shapes do not fit.
    """
    weights = np.asarray(masks)
    if weights.dtype.kind != "b":
        return weighted_sums(frames, weights)
    found = frame_sums(frames, Masks(weights)).masks
    return np.zeros((0, 0)) if found is None else found

"""Wavelet transforms on a CUDA device, as far as the removal of stripes needs them: as `firstlight.kernels.wavelets`."""

from __future__ import annotations

from typing import Any

import numpy as np

from firstlight.kernels.cuda.arrays import Device, cuda, empty, on_device
from firstlight.kernels.cuda.grids import over
from firstlight.kernels.cuda.rims import mirrored
from firstlight.kernels.wavelets import daubechies

__all__ = ["coarser", "finer"]


def coarser(planes: Device, moments: int) -> tuple[Device, Device]:
    """One level of analysis: the low-pass part and the part with vertical detail.

    Args:
        planes: (row, angle, col) float32.
        moments: of the wavelet.

    Returns:
        Both of shape (row, (angle + taps - 1) // 2, (col + taps - 1) // 2).
    """
    filters = tuple(on_device(np.ascontiguousarray(each[::-1])) for each in daubechies(moments))
    rows, angles, columns = planes.shape
    taps = 2 * moments
    high, wide = (angles + taps - 1) // 2, (columns + taps - 1) // 2
    parts: list[Device] = []
    for chosen in filters:
        across, halved = empty((rows, angles, wide)), empty((rows, high, wide))
        over(_halve_columns, across.shape, planes, chosen, across)
        over(_halve_angles, halved.shape, across, filters[0], halved)
        parts.append(halved)
    return parts[0], parts[1]


def finer(low_parts: Device, details: Device, moments: int, shape: tuple[int, int]) -> Device:
    """One level of synthesis from the low-pass part and the vertical detail alone.

    Args:
        low_parts: as `coarser` gave it, or larger.
        details: likewise, no larger.
        moments: of the wavelet.
        shape: of the finer level, (angle, col).

    Returns:
        float32 (row, angle, col) of that shape.
    """
    low, high = (on_device(each) for each in daubechies(moments))
    rows, _, wide = details.shape
    along = tuple(empty((rows, shape[0], wide)) for _ in range(2))
    for source, target in zip((low_parts, details), along, strict=True):
        over(_join_angles, target.shape, source, low, target)
    out = empty((rows, *shape))
    over(_join_columns, out.shape, *along, low, high, out)
    return out


@cuda.jit
def _halve_columns(planes: Any, taps: Any, out: Any) -> None:
    """out[a, j] = sum_k taps[k] planes[a, 2j + 1 - k]."""
    col, angle, row = cuda.grid(3)
    if col >= out.shape[2] or angle >= out.shape[1] or row >= out.shape[0]:
        return
    total = np.float32(0)
    for k in range(taps.shape[0]):
        total += taps[k] * planes[row, angle, mirrored(2 * col + 1 - k, planes.shape[2])]
    out[row, angle, col] = total


@cuda.jit
def _halve_angles(planes: Any, taps: Any, out: Any) -> None:
    """out[i, col] = sum_k taps[k] planes[2i + 1 - k, col]."""
    col, angle, row = cuda.grid(3)
    if col >= out.shape[2] or angle >= out.shape[1] or row >= out.shape[0]:
        return
    total = np.float32(0)
    for k in range(taps.shape[0]):
        total += taps[k] * planes[row, mirrored(2 * angle + 1 - k, planes.shape[1]), col]
    out[row, angle, col] = total


@cuda.jit
def _join_angles(parts: Any, low: Any, out: Any) -> None:
    """out[n] = sum_i parts[i] low[n - 2i + taps - 2]."""
    col, angle, row = cuda.grid(3)
    if col >= out.shape[2] or angle >= out.shape[1] or row >= out.shape[0]:
        return
    half, total = low.shape[0] // 2, np.float32(0)
    for t in range(half):
        total += parts[row, angle // 2 + half - 1 - t, col] * low[2 * t + angle % 2]
    out[row, angle, col] = total


@cuda.jit
def _join_columns(low_parts: Any, details: Any, low: Any, high: Any, out: Any) -> None:
    """The same across the columns, of both parts."""
    col, angle, row = cuda.grid(3)
    if col >= out.shape[2] or angle >= out.shape[1] or row >= out.shape[0]:
        return
    half, odd, total = low.shape[0] // 2, col % 2, np.float32(0)
    for t in range(half):
        place = col // 2 + half - 1 - t
        total += low_parts[row, angle, place] * low[2 * t + odd] + details[row, angle, place] * high[2 * t + odd]
    out[row, angle, col] = total

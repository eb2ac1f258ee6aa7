"""Filters of whole frames on a CUDA device: `firstlight.kernels.frame_filter`, with the same tables.

A kernel pads the frames (the gap goes smoothly from rim to rim), cuFFT transforms several of them at once, a kernel
multiplies, and after the way back one kernel cuts the frames out and gives them their unit, or takes their logarithm.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstlight.kernels.cuda import fourier
from firstlight.kernels.cuda.arrays import Device, cuda, empty
from firstlight.kernels.cuda.grids import over
from firstlight.kernels.cuda.tables import tables
from firstlight.kernels.frame_filter import FrameFilter, padded_shape

__all__ = ["filter_frames", "workspace_bytes"]

_BATCH_BYTES = 1 << 30
"""Memory of the padded frames and spectra that are on their way together, where more than one frame fits."""
_PLAIN = np.float32(-1)
"""In place of a floor: no logarithm."""


def filter_frames(
    frames: Device,
    chosen: FrameFilter,
    *,
    empty_value: float = 1.0,
    offset: float = 0.0,
    log_floor: float | None = None,
    factor: float = 1.0,
    out: Device | None = None,
) -> Device:
    """Filter every frame, and make of it what is wanted.

    Args:
        frames: (frame, row, col), of the size that the filter was made for; need not be contiguous.
        chosen: the filter.
        empty_value: what counts where a value is not finite.
        offset: subtracted from the frames first.
        log_floor: if given, minus the logarithm of the filtered frame is taken, raised to this first.
        factor: the result is multiplied by it.
        out: float32 like `frames`, to which the result is added; a new array by default.

    Returns:
        float32 device array like `frames`.

    Raises:
        ValueError: frames of another size.
        ModuleNotFoundError: CuPy is missing on a real device.
    """
    count, shape = frames.shape[0], tuple(frames.shape[1:])
    if shape != chosen.shape:
        raise ValueError(
            f"frames have shape {tuple(frames.shape)}; expected (frame, {chosen.shape[0]}, {chosen.shape[1]})."
        )
    values, across, down = tables(chosen, lambda: _host_tables(chosen))
    result = empty(frames.shape) if out is None else out
    floor = _PLAIN if log_floor is None else np.float32(log_floor)
    size = (chosen.rows, chosen.columns)
    step = _together(size)
    for first in range(0, count, step):
        part = slice(first, min(first + step, count))
        padded = empty((part.stop - first, *size))
        over(_pad, padded.shape, frames[part], across, down, np.float32(empty_value), np.float32(offset), padded)
        spectrum = fourier.rfft(padded, (1, 2))
        over(_multiply, spectrum.shape, spectrum, values)
        images = fourier.irfft(spectrum, (1, 2), size)
        over(_finish, result[part].shape, images, floor, np.float32(factor), out is not None, result[part])
    return result


def _host_tables(chosen: FrameFilter) -> tuple[NDArray[np.float32], ...]:
    # one value more, since there may be no gap, and an array of nothing has no place on a device
    gaps = (np.append(np.ravel(gap), np.float32(0)).astype(np.float32) for gap in (chosen.across, chosen.down))
    return (chosen.values, *gaps)


def workspace_bytes(shape: tuple[int, int], gap: int, frames: int) -> int:
    """Device memory in byte that a filter needs beside `frames` frames and their results."""
    size = padded_shape(shape, gap)
    return min(frames, _together(size)) * _bytes(size)


def _bytes(size: tuple[int, int]) -> int:
    """Padded frame, spectrum and the frame back, and a spectrum that cuFFT works in."""
    return 4 * (2 * size[0] * size[1] + 4 * size[0] * (size[1] // 2 + 1))


def _together(size: tuple[int, int]) -> int:
    return max(1, _BATCH_BYTES // _bytes(size))


@cuda.jit(device=True)
def _along_row(frames: Any, n: Any, row: Any, col: Any, across: Any, instead: Any, offset: Any) -> Any:
    """A value of a row, or of the gap behind it."""
    width = frames.shape[2]
    if col < width:
        value = np.float32(frames[n, row, col])
        return (value if math.isfinite(value) else instead) - offset
    left, right = np.float32(frames[n, row, 0]), np.float32(frames[n, row, width - 1])
    left = (left if math.isfinite(left) else instead) - offset
    right = (right if math.isfinite(right) else instead) - offset
    return right + (left - right) * across[col - width]


@cuda.jit
def _pad(frames: Any, across: Any, down: Any, instead: Any, offset: Any, padded: Any) -> None:
    col, row, n = cuda.grid(3)
    if col >= padded.shape[2] or row >= padded.shape[1] or n >= padded.shape[0]:
        return
    height = frames.shape[1]
    if row < height:
        padded[n, row, col] = _along_row(frames, n, row, col, across, instead, offset)
    else:
        first = _along_row(frames, n, 0, col, across, instead, offset)
        last = _along_row(frames, n, height - 1, col, across, instead, offset)
        padded[n, row, col] = last + (first - last) * down[row - height]


@cuda.jit
def _multiply(spectrum: Any, values: Any) -> None:
    k, row, n = cuda.grid(3)
    if k < spectrum.shape[2] and row < spectrum.shape[1] and n < spectrum.shape[0]:
        spectrum[n, row, k] *= values[row, k]


@cuda.jit
def _finish(images: Any, floor: Any, factor: Any, add: Any, out: Any) -> None:
    col, row, n = cuda.grid(3)
    if col >= out.shape[2] or row >= out.shape[1] or n >= out.shape[0]:
        return
    value = images[n, row, col]
    if floor > np.float32(0):
        # a comparison with NaN is false, so NaN stays
        value = -np.float32(math.log(floor if value < floor else value))
    value *= factor
    out[n, row, col] = out[n, row, col] + value if add else value

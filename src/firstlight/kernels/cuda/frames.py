"""What is simple on every frame or slice, on a CUDA device: cut, pad, bin, mask, scale, polynomials and grey values."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from firstlight.kernels.cuda.arrays import Device, cuda, empty, launch, on_device, to_host
from firstlight.kernels.cuda.grids import over
from firstlight.kernels.cuda.rims import mirrored, nearest

__all__ = [
    "bin_frames",
    "crop_frames",
    "mask_disk",
    "pad_frames",
    "polynomial",
    "region_means",
    "scale_frames",
    "to_integers",
]

_THREADS = 256


def crop_frames(frames: Device, rows: slice, columns: slice) -> Device:
    """A rectangle of every frame (frame, row, col), C-contiguous, in the type of the frames."""
    out = empty((frames.shape[0], rows.stop - rows.start, columns.stop - columns.start), frames.dtype)
    over(_crop, out.shape, frames, np.int32(rows.start), np.int32(columns.start), out)
    return out


def pad_frames(
    frames: Device, rows: tuple[int, int], columns: tuple[int, int], *, mirror: bool, value: float | None
) -> Device:
    """Put rows and columns around every frame (frame, row, col), in its type.

    Args:
        frames: of any number type.
        rows: above and below.
        columns: on the left and on the right.
        mirror: the frame mirrored at its rim, the outermost pixels repeated; otherwise these alone.
        value: a constant instead of both.
    """
    count, height, width = frames.shape
    out = empty((count, height + sum(rows), width + sum(columns)), frames.dtype)
    constant = np.dtype(frames.dtype).type(0 if value is None else value)
    over(_pad, out.shape, frames, np.int32(rows[0]), np.int32(columns[0]), mirror, value is not None, constant, out)
    return out


def polynomial(values: Device, coefficients: tuple[float, ...]) -> Device:
    """c0 + c1 v + c2 v^2 + ... of every value: float32 of the same shape."""
    size = int(np.prod(values.shape))
    out = empty((size,))
    over(_horner, (size,), values.reshape((size,)), on_device(np.array(coefficients, np.float32)), out)
    return out.reshape(values.shape)


def bin_frames(frames: Device, rows: int, columns: int, kind: str, *, mean: bool) -> Device:
    """Sum or mean of blocks of pixels.

    Args:
        frames: (frame, row, col).
        rows: rows of a block.
        columns: columns of a block.
        kind: type in which sums are exact.
        mean: the mean in float32, instead of the sum in that type.

    Returns:
        (frame, row // rows, col // columns).
    """
    count, height, width = frames.shape
    out = empty((count, height // rows, width // columns), np.float32 if mean else kind)
    over(_binner(rows, columns, kind, mean), out.shape, frames, out)
    return out


def mask_disk(slices: Device, center: tuple[float, float], radius: float, value: float) -> Device:
    """Replace what lies outside a disk.

    Args:
        slices: (slice, y, x).
        center: row and column of its middle.
        radius: in pixels; the edge belongs to the disk.
        value: what stands outside.

    Returns:
        float32 of the same shape.
    """
    out = empty(slices.shape)
    over(_mask, out.shape, slices, *center, radius * radius, np.float32(value), out)
    return out


def to_integers(values: Device, *, low: float, high: float, bits: int) -> Device:
    """Map values from `low` to `high` to 0 … 2^bits - 1, rounded; see `firstlight.kernels.grey.to_integers`."""
    kind = "float64" if values.dtype == np.float64 else "float32"
    top = (1 << bits) - 1
    size = int(np.prod(values.shape))
    out = empty((size,), np.uint8 if bits == 8 else np.uint16)
    real: Any = getattr(np, kind)
    over(_grey(kind), (size,), values.reshape((size,)), real(low), real(top / (high - low)), real(top), out)
    return out.reshape(values.shape)


def region_means(frames: Device, rows: slice, columns: slice) -> NDArray[np.float64]:
    """Mean of what is finite in a region of each frame, on the host: (frame,); NaN where nothing is."""
    region = np.array([rows.start, rows.stop, columns.start, columns.stop], np.int64)
    count = frames.shape[0]
    means = empty((count,), np.float64)
    threads = min(_THREADS, 1 << max(0, (rows.stop - rows.start) * (columns.stop - columns.start) - 1).bit_length())
    if count:
        launch(_region(), count, threads, frames, on_device(region), means)
    return to_host(means)


def scale_frames(frames: Device, factors: NDArray[np.float32], offsets: NDArray[np.float32]) -> Device:
    """Each frame times its factor plus its offset: float32."""
    out = empty(frames.shape)
    over(_scale, out.shape, frames, on_device(factors), on_device(offsets), out)
    return out


@cuda.jit
def _crop(frames: Any, top: Any, left: Any, out: Any) -> None:
    col, row, n = cuda.grid(3)
    if col < out.shape[2] and row < out.shape[1] and n < out.shape[0]:
        out[n, row, col] = frames[n, row + top, col + left]


@cuda.jit
def _pad(frames: Any, top: Any, left: Any, mirror: Any, fixed: Any, constant: Any, out: Any) -> None:
    col, row, n = cuda.grid(3)
    if col >= out.shape[2] or row >= out.shape[1] or n >= out.shape[0]:
        return
    i, j = row - top, col - left
    if fixed and not (0 <= i < frames.shape[1] and 0 <= j < frames.shape[2]):
        out[n, row, col] = constant
    elif mirror:
        out[n, row, col] = frames[n, mirrored(i, frames.shape[1]), mirrored(j, frames.shape[2])]
    else:
        out[n, row, col] = frames[n, nearest(i, frames.shape[1]), nearest(j, frames.shape[2])]


@cuda.jit
def _horner(values: Any, factors: Any, out: Any) -> None:
    n = cuda.grid(1)
    if n >= out.shape[0]:
        return
    value, total = np.float32(values[n]), factors[factors.shape[0] - 1]
    for k in range(factors.shape[0] - 2, -1, -1):
        total = total * value + factors[k]
    out[n] = total


@lru_cache(maxsize=32)
def _binner(rows: int, columns: int, kind: str, mean: bool) -> Any:
    number: Any = getattr(np, kind)

    @cuda.jit
    def combine(frames: Any, out: Any) -> None:
        col, row, n = cuda.grid(3)
        if col >= out.shape[2] or row >= out.shape[1] or n >= out.shape[0]:
            return
        total = number(0)
        for i in range(rows):
            for j in range(columns):
                total = number(total + number(frames[n, row * rows + i, col * columns + j]))
        if mean:
            out[n, row, col] = np.float32(total / number(rows * columns))
        else:
            out[n, row, col] = total

    return combine


@cuda.jit
def _mask(slices: Any, middle_row: Any, middle_column: Any, square: Any, value: Any, out: Any) -> None:
    col, row, n = cuda.grid(3)
    if col >= out.shape[2] or row >= out.shape[1] or n >= out.shape[0]:
        return
    # in double precision: the CPU's mask has the same rim
    down, across = row - middle_row, col - middle_column
    inside = down * down + across * across <= square
    out[n, row, col] = np.float32(slices[n, row, col]) if inside else value


@lru_cache(maxsize=2)
def _grey(kind: str) -> Any:
    number: Any = getattr(np, kind)

    @cuda.jit
    def to_grey(values: Any, low: Any, factor: Any, top: Any, out: Any) -> None:
        n = cuda.grid(1)
        if n >= out.shape[0]:
            return
        grey = (number(values[n]) - low) * factor
        grey = grey if grey > number(0) else number(0)  # NaN too
        out[n] = int((grey if grey < top else top) + number(0.5))

    return to_grey


@lru_cache(maxsize=1)
def _region() -> Any:
    @cuda.jit
    def region_mean(frames: Any, region: Any, means: Any) -> None:
        """A block adds up the region of a frame, in double precision; its threads are a power of two."""
        sums = cuda.shared.array(_THREADS, numba.float64)
        counts = cuda.shared.array(_THREADS, numba.int64)
        thread, n = cuda.threadIdx.x, cuda.blockIdx.x
        total, count, width = 0.0, 0, region[3] - region[2]
        for place in range(thread, (region[1] - region[0]) * width, cuda.blockDim.x):
            value = np.float32(frames[n, region[0] + place // width, region[2] + place % width])
            if abs(value) < np.float32(np.inf):
                total += float(value)
                count += 1
        sums[thread], counts[thread] = total, count
        cuda.syncthreads()
        reach = cuda.blockDim.x // 2
        while reach > 0:
            if thread < reach:
                sums[thread] += sums[thread + reach]
                counts[thread] += counts[thread + reach]
            cuda.syncthreads()
            reach //= 2
        if thread == 0:
            means[n] = sums[0] / counts[0] if counts[0] else np.nan

    return region_mean


@cuda.jit
def _scale(frames: Any, factors: Any, offsets: Any, out: Any) -> None:
    col, row, n = cuda.grid(3)
    if col < out.shape[2] and row < out.shape[1] and n < out.shape[0]:
        out[n, row, col] = np.float32(frames[n, row, col]) * factors[n] + offsets[n]

"""Columns of sinograms on a CUDA device: mended where they are not finite, averaged, sorted by value and back.

Sorting is a bitonic network of our own over one key for each value, as on the CPU: the bits of the value, ordered like the
number, in the upper half and the place in the lower, so that the order of the places comes along and equal values keep
theirs. CuPy could sort such keys too, but it sorts many lines of one array as one long array, and is not needed in the
simulator. Stretches of up to 2048 keys are sorted in shared memory; the few steps that reach farther go through global memory.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from firstlight.kernels.cuda.arrays import Device, cuda, empty, launch, on_device
from firstlight.kernels.cuda.grids import over

__all__ = ["column_means", "fill_gaps", "interpolate_columns", "restore_gaps", "sorted_columns", "unsorted_columns"]

_TILE = 16
"""Side of a square that is turned round in shared memory: a row of it fills whole sectors of memory."""
_SQUARE = (_TILE, _TILE + 1)
"""The square with a column more, so that reading down it comes by all banks."""
_SHARED_KEYS = 2048
_SIGN = np.uint32(0x80000000)
_LAST = np.uint64(0xFFFFFFFFFFFFFFFF)
_LOWER = np.uint64(0xFFFFFFFF)


def fill_gaps(sinograms: Device) -> tuple[Device, Device]:
    """As float32 without gaps: see `firstlight.kernels.columns.fill_gaps`.

    Args:
        sinograms: (row, angle, col), integers or floats.

    Returns:
        A new float32 array, and (row, col) int32: 0 for columns without any finite value.
    """
    rows, _, columns = sinograms.shape
    filled, alive = empty(sinograms.shape), empty((rows, columns), np.int32)
    over(_fill_along, (rows, columns), sinograms, filled, alive)
    over(_bridge, filled.shape, filled, alive)
    return filled, alive


def restore_gaps(sinograms: Device, out: Device, alive: Device | None = None) -> None:
    """Set NaN in `out` where the sinograms were not finite; not in columns that have no life, if these are given."""
    over(_restore, out.shape, sinograms, out, alive is not None, out[:, 0] if alive is None else alive)


def column_means(sinograms: Device, ends: NDArray[np.int32]) -> Device:
    """Mean over parts of the angles of every column, in double precision.

    Args:
        sinograms: (row, angle, col) float32.
        ends: where the parts begin, and where the last one ends.

    Returns:
        float64 (row, part, col).
    """
    rows, _, columns = sinograms.shape
    means = empty((rows, len(ends) - 1, columns), np.float64)
    over(_means, means.shape, sinograms, on_device(ends), means)
    return means


def interpolate_columns(sinograms: Device, bad: NDArray[np.bool_]) -> None:
    """Replace columns, in place, by what lies on the line between the nearest good ones; at the rim by the nearest.

    Args:
        sinograms: (row, angle, col) float32.
        bad: (row, col), not all of any row.
    """
    over(_bridge, sinograms.shape, sinograms, on_device((~bad).astype(np.int32)))


def sorted_columns(sinograms: Device) -> tuple[Device, Device]:
    """Sort the values of every column, turned round.

    Args:
        sinograms: (row, angle, col) float32, C-contiguous, without NaN.

    Returns:
        The values in rising order, (row, col, rank) float32, and the keys that `unsorted_columns` needs.
    """
    rows, angles, columns = sinograms.shape
    length = max(2, 1 << (angles - 1).bit_length())
    keys = empty((rows, columns, length), np.uint64)
    _tiles(_make_keys, (rows, length, columns), sinograms.view(np.uint32), keys)
    _sort(keys)
    values = empty((rows, columns, angles))
    over(_read_keys, values.shape, keys, values.view(np.uint32))
    return values, keys


def unsorted_columns(values: Device, keys: Device) -> Device:
    """Put values by rank back to the angles that they came from.

    Args:
        values: (row, col, rank) float32.
        keys: what `sorted_columns` gave.

    Returns:
        (row, angle, col) float32.
    """
    rows, columns, angles = values.shape
    placed, out = empty(values.shape), empty((rows, angles, columns))
    over(_put_back, values.shape, values, keys, placed)
    _tiles(_turn_round, (rows, columns, angles), placed, out)
    return out


def _tiles(kernel: Any, shape: tuple[int, int, int], *arguments: Any) -> None:
    """Start a kernel with a block for each square of (row, column) of a stack, the squares along x as they lie in memory."""
    depth, height, width = shape
    if depth and height and width:
        launch(kernel, (-(-width // _TILE), -(-height // _TILE), depth), (_TILE, _TILE, 1), *arguments)


def _sort(keys: Device) -> None:
    """Sort each line; the lines are a power of two long and lie one behind the other."""
    total, length = int(np.prod(keys.shape)), keys.shape[2]
    if total == 0:
        return
    flat = keys.reshape((total,))
    tile = min(length, _SHARED_KEYS)
    blocks, threads = total // tile, tile // 2
    launch(_sort_tiles(tile), blocks, threads, flat, length, 0)
    run = 2 * tile
    while run <= length:
        reach = run // 2
        while reach >= tile:
            over(_exchange, (total // 2,), flat, length, run, reach)
            reach //= 2
        launch(_sort_tiles(tile), blocks, threads, flat, length, run)
        run *= 2


@lru_cache(maxsize=16)
def _sort_tiles(tile: int) -> Any:
    @cuda.jit(device=True)
    def exchange(shared: Any, thread: Any, first: Any, run: Any, reach: Any) -> None:
        low = 2 * thread - (thread & (reach - 1))
        one, other = shared[low], shared[low + reach]
        rising = ((first + low) & run) == 0
        if (one > other) == rising:
            shared[low], shared[low + reach] = other, one

    @cuda.jit
    def sort_tiles(keys: Any, length: Any, merged: Any) -> None:
        """Sort tiles, rising and falling in turn; or, in the middle of longer runs, do what remains within the tile."""
        shared = cuda.shared.array(tile, numba.uint64)
        thread = cuda.threadIdx.x
        base = cuda.blockIdx.x * tile
        first = base & (length - 1)
        shared[thread] = keys[base + thread]
        shared[thread + tile // 2] = keys[base + thread + tile // 2]
        cuda.syncthreads()
        run = merged if merged > 0 else 2
        while True:
            reach = tile // 2 if merged > 0 else run // 2
            while reach > 0:
                exchange(shared, thread, first, run, reach)
                cuda.syncthreads()
                reach //= 2
            run *= 2
            if merged > 0 or run > tile:
                break
        keys[base + thread] = shared[thread]
        keys[base + thread + tile // 2] = shared[thread + tile // 2]

    return sort_tiles


@cuda.jit
def _exchange(keys: Any, length: Any, run: Any, reach: Any) -> None:
    """One step of the network between keys far apart."""
    pair = cuda.grid(1)
    if pair >= keys.shape[0] // 2:
        return
    low = 2 * pair - (pair & (reach - 1))
    one, other = keys[low], keys[low + reach]
    rising = ((low & (length - 1)) & run) == 0
    if (one > other) == rising:
        keys[low], keys[low + reach] = other, one


@cuda.jit
def _make_keys(bits: Any, keys: Any) -> None:
    """Keys (row, col, place) of values (row, angle, col), by squares; places behind the last angle get the largest key."""
    square = cuda.shared.array(_SQUARE, numba.uint64)
    x, y, row = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockIdx.z
    col, angle = cuda.blockIdx.x * _TILE + x, cuda.blockIdx.y * _TILE + y
    key = _LAST
    if col < bits.shape[2] and angle < bits.shape[1]:
        value = np.uint32(bits[row, angle, col])
        # floats order like whole numbers once the sign is turned, and all bits of negative ones
        ordered = np.uint32(~value) if value & _SIGN else np.uint32(value | _SIGN)
        key = (np.uint64(ordered) << np.uint64(32)) | np.uint64(angle)
    square[y, x] = key
    cuda.syncthreads()
    place, column = cuda.blockIdx.y * _TILE + x, cuda.blockIdx.x * _TILE + y
    if place < keys.shape[2] and column < keys.shape[1]:
        keys[row, column, place] = square[x, y]


@cuda.jit
def _turn_round(values: Any, out: Any) -> None:
    """(row, a, b) to (row, b, a), by squares."""
    square = cuda.shared.array(_SQUARE, numba.float32)
    x, y, row = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockIdx.z
    b, a = cuda.blockIdx.x * _TILE + x, cuda.blockIdx.y * _TILE + y
    if b < values.shape[2] and a < values.shape[1]:
        square[y, x] = values[row, a, b]
    cuda.syncthreads()
    a, b = cuda.blockIdx.y * _TILE + x, cuda.blockIdx.x * _TILE + y
    if b < values.shape[2] and a < values.shape[1]:
        out[row, b, a] = square[x, y]


@cuda.jit
def _read_keys(keys: Any, bits: Any) -> None:
    rank, col, row = cuda.grid(3)
    if rank >= bits.shape[2] or col >= bits.shape[1] or row >= bits.shape[0]:
        return
    ordered = np.uint32(keys[row, col, rank] >> np.uint64(32))
    bits[row, col, rank] = np.uint32(ordered ^ _SIGN) if ordered & _SIGN else np.uint32(~ordered)


@cuda.jit
def _put_back(values: Any, keys: Any, out: Any) -> None:
    rank, col, row = cuda.grid(3)
    if rank < values.shape[2] and col < values.shape[1] and row < values.shape[0]:
        out[row, col, np.int64(keys[row, col, rank] & _LOWER)] = values[row, col, rank]


@cuda.jit
def _fill_along(sinograms: Any, filled: Any, alive: Any) -> None:
    """A thread walks down a column: gaps get the value before, those at its head the first value."""
    col, row = cuda.grid(2)
    if col >= filled.shape[2] or row >= filled.shape[0]:
        return
    last, known = np.float32(0), np.int32(0)
    for angle in range(filled.shape[1]):
        value = np.float32(sinograms[row, angle, col])
        if math.isfinite(value):
            if known == 0:
                for head in range(angle):
                    filled[row, head, col] = value
            last, known = value, np.int32(1)
        filled[row, angle, col] = last
    alive[row, col] = known


@cuda.jit
def _bridge(sinograms: Any, good: Any) -> None:
    """Put what lies between the nearest good columns into the others."""
    col, angle, row = cuda.grid(3)
    columns = sinograms.shape[2]
    if col >= columns or angle >= sinograms.shape[1] or row >= sinograms.shape[0] or good[row, col]:
        return
    left, right = col - 1, col + 1
    while left >= 0 and not good[row, left]:
        left -= 1
    while right < columns and not good[row, right]:
        right += 1
    if left < 0 and right >= columns:
        return  # no good column in this row
    if left < 0:
        sinograms[row, angle, col] = sinograms[row, angle, right]
    elif right >= columns:
        sinograms[row, angle, col] = sinograms[row, angle, left]
    else:
        weight = np.float32(col - left) / np.float32(right - left)
        before = sinograms[row, angle, left] * (np.float32(1) - weight)
        sinograms[row, angle, col] = before + sinograms[row, angle, right] * weight


@cuda.jit
def _restore(sinograms: Any, out: Any, some: Any, alive: Any) -> None:
    col, angle, row = cuda.grid(3)
    if col >= out.shape[2] or angle >= out.shape[1] or row >= out.shape[0]:
        return
    value = np.float32(sinograms[row, angle, col])
    if not math.isfinite(value) and (not some or alive[row, col]):
        out[row, angle, col] = np.float32(np.nan)


@cuda.jit
def _means(sinograms: Any, ends: Any, means: Any) -> None:
    col, part, row = cuda.grid(3)
    if col >= means.shape[2] or part >= means.shape[1] or row >= means.shape[0]:
        return
    total = 0.0  # thousands of values: in double precision, as on the CPU
    for angle in range(ends[part], ends[part + 1]):
        total += float(sinograms[row, angle, col])
    means[row, part, col] = total / float(ends[part + 1] - ends[part])

"""Filtered back-projection by Fourier slice on a CUDA device: `firstlight.kernels.fourier`, with the same tables.

The steps are those of the CPU: two slices travel as real and imaginary part of one transform; rows are filtered and
transformed (cuFFT), every sample is spread over a regular grid, and an inverse transform makes slices of it. Spreading is one
thread for each sample, which adds to the grid by atomic additions, native in the second-level cache: neighbouring threads
hold neighbouring samples of a line, so they seldom meet. Sums in another order differ by rounding.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from firstlight.kernels.cuda import fourier
from firstlight.kernels.cuda.arrays import Device, cuda, empty, on_device, zeros
from firstlight.kernels.cuda.grids import over, over_columns
from firstlight.kernels.cuda.tables import tables
from firstlight.kernels.fourier import FourierFBP

__all__ = ["reconstruct", "workspace_bytes"]

_BATCH_BYTES = 2 << 30
"""Memory of the pairs of slices that are on their way together, where more than one fits."""


def reconstruct(plan: FourierFBP, sinograms: Device, *, center: ArrayLike | None = None, factor: float = 1.0) -> Device:
    """Reconstruct slices; see `FourierFBP.reconstruct`.

    Args:
        plan: of the scan.
        sinograms: (slice, angle, col), integers or floats: line integrals; what is not finite counts as 0.
        center: rotation axis of these slices, one number or one per slice; that of the plan by default.
        factor: the slices are multiplied by it.

    Returns:
        float32 device array (slice, y, x): attenuation per pixel, times the factor.

    Raises:
        ValueError: shapes that do not fit the plan, or a center the plan was not made for.
        ModuleNotFoundError: CuPy is missing on a real device.
    """
    count = sinograms.shape[0]
    if tuple(sinograms.shape[1:]) != (plan.angles.size, plan.columns):
        raise ValueError(
            f"sinograms has shape {tuple(sinograms.shape)}, the plan expects (slice, {plan.angles.size}, {plan.columns})."
        )
    centers = plan.centers(center, count)
    out = empty((count, plan.size, plan.size))
    step = 2 * _together(plan.angles.size, plan.length, plan.grid.points)
    for first in range(0, count, step):
        part = slice(first, min(first + step, count))
        grid = _gridded(plan, sinograms[part], centers[part])
        images = fourier.ifft(grid, (1, 2), scaled=False)
        correction = tables(plan, lambda: _host_tables(plan))[-1]
        over(_write, out[part].shape, images, correction, plan.circle, np.float32(factor), out[part])
    return out


def workspace_bytes(slices: int, angles: int, length: int, points: int) -> int:
    """Device memory in byte beside sinograms and slices: for lines of `length`, on a grid of `points` along either side."""
    together = min((slices + 1) // 2, _together(angles, length, points))
    return together * _bytes(angles, length, points) + 8 * angles * length


def _bytes(angles: int, length: int, points: int) -> int:
    """Of a pair of slices: two sets of lines and two in a transform, the grid and two in its transform."""
    return 8 * (4 * angles * length + 3 * points * points)


def _together(angles: int, length: int, points: int) -> int:
    return max(1, _BATCH_BYTES // _bytes(angles, length, points))


def _host_tables(plan: FourierFBP) -> tuple[NDArray[Any], ...]:
    grid = plan.grid
    return (plan.twist, plan.odd, plan.even, plan.edges, plan.wave, grid.steps, grid.table, plan.correction)


def _gridded(plan: FourierFBP, sinograms: Device, centers: NDArray[np.float64]) -> Device:
    """Filter and transform the rows, and spread them: complex64 (pair, grid row, grid column)."""
    twist, odd, even, edges, wave, steps, table, _ = tables(plan, lambda: _host_tables(plan))
    count, angles, length = sinograms.shape[0], plan.angles.size, plan.length
    pairs = (count + 1) // 2
    plain, twisted = empty((pairs, angles, length), np.complex64), empty((pairs, angles, length), np.complex64)
    over(_pack, plain.shape, sinograms, np.int32(plan.first), twist, plain, twisted)
    plain, twisted = fourier.fft(plain, (2,)), fourier.fft(twisted, (2,))
    over(_scale, twisted.shape, twisted, odd)
    twisted = fourier.ifft(twisted, (2,))
    over(_scale, twisted.shape, twisted, twist)
    twisted = fourier.fft(twisted, (2,))
    # centers that are all the same take one pair's phases
    lanes = 2 * pairs if np.ptp(centers) else 2
    turn, swap = (np.moveaxis(each, -1, 0) for each in plan.turns(centers[:lanes], lanes))
    padded = bool(np.any(plan.edges[0] != 0))
    points = plan.grid.points
    grid = zeros((pairs, points, 2 * points))
    shape = (pairs, angles, length)
    lines = (sinograms, plain, twisted, even, edges, padded)
    phases = (wave, on_device(turn), on_device(swap))
    over_columns(_spread, shape, *lines, *phases, steps, table, np.int32(plan.grid.margin), grid)
    return grid.view(np.complex64)


@cuda.jit(device=True)
def _finite(value: Any) -> Any:
    """A float32, 0 for what is no number."""
    number = np.float32(value)
    return number if math.isfinite(number) else np.float32(0)


@cuda.jit(device=True)
def _pair(sinograms: Any, pair: Any, angle: Any, col: Any) -> Any:
    """The values of two slices as one complex number."""
    one, other = _finite(sinograms[2 * pair, angle, col]), np.float32(0)
    if 2 * pair + 1 < sinograms.shape[0]:
        other = _finite(sinograms[2 * pair + 1, angle, col])
    return np.complex64(complex(one, other))


@cuda.jit
def _pack(sinograms: Any, first: Any, twist: Any, plain: Any, twisted: Any) -> None:
    """Two slices side by side in rows with empty columns around, and the same times conj(twist)."""
    n, angle, pair = cuda.grid(3)
    if n >= plain.shape[2] or angle >= plain.shape[1] or pair >= plain.shape[0]:
        return
    col = n - first
    value = np.complex64(0)
    if 0 <= col < sinograms.shape[2]:
        value = _pair(sinograms, pair, angle, col)
    plain[pair, angle, n] = value
    twisted[pair, angle, n] = value * twist[n].conjugate()


@cuda.jit
def _scale(block: Any, factor: Any) -> None:
    k, angle, pair = cuda.grid(3)
    if k < block.shape[2] and angle < block.shape[1] and pair < block.shape[0]:
        block[pair, angle, k] *= factor[k]


@cuda.jit(device=True)
def _filtered(
    sinograms: Any, plain: Any, twisted: Any, even: Any, edges: Any, padded: Any, pair: Any, angle: Any, k: Any
) -> Any:
    """Twice the filtered spectrum at a frequency, with what repeated edges add."""
    value = plain[pair, angle, k] * even[k] + twisted[pair, angle, k]
    if padded:
        value += _pair(sinograms, pair, angle, 0) * edges[0, k]
        value += _pair(sinograms, pair, angle, sinograms.shape[2] - 1) * edges[1, k]
    return value


@cuda.jit
def _spread(
    sinograms: Any,
    plain: Any,
    twisted: Any,
    even: Any,
    edges: Any,
    padded: Any,
    wave: Any,
    turn: Any,
    swap: Any,
    steps: Any,
    table: Any,
    margin: Any,
    grid: Any,
) -> None:
    """A thread for each sample, from the lowest frequency to the highest; it does that sample of many pairs."""
    place, angle, group = cuda.grid(3)
    length, points, width = plain.shape[2], grid.shape[1], table.shape[1]
    if place >= length or angle >= plain.shape[1] or (place == 0 and length % 2 == 0):
        return  # the lowest frequency of an even number has no partner, and no weight
    # in double precision: thousands of grid points, and a thousandth between them
    x, y = steps[0, angle] + place * steps[1, angle], steps[2, angle] + place * steps[3, angle]
    column, row = int(x), int(y)
    scale = np.float32(table.shape[0] - 1)
    across, down = int(np.float32(x - column) * scale), int(np.float32(y - row) * scale)
    k = place - length // 2
    k += length if k < 0 else 0
    for pair in range(group, plain.shape[0], cuda.gridDim.z):
        value = _filtered(sinograms, plain, twisted, even, edges, padded, pair, angle, k)
        own = pair if turn.shape[0] > 1 else 0
        c, s = swap[own, 0, place], swap[own, 1, place]
        if s != np.float32(0) or c != np.float32(1):
            opposite = length - k if k else 0
            back = _filtered(sinograms, plain, twisted, even, edges, padded, pair, angle, opposite)
            value = np.complex64(complex(value.real * c + back.imag * s, value.imag * c + back.real * s))
        value = value * wave[angle, place] * turn[own, place]
        for i in range(width):
            to_row = row - margin + i
            to_row += points if to_row < 0 else 0
            to_row -= points if to_row >= points else 0
            for j in range(width):
                to_column = column - margin + j
                to_column += points if to_column < 0 else 0
                to_column -= points if to_column >= points else 0
                weight = table[down, i] * table[across, j]
                cuda.atomic.add(grid, (pair, to_row, 2 * to_column), weight * value.real)
                cuda.atomic.add(grid, (pair, to_row, 2 * to_column + 1), weight * value.imag)


@cuda.jit
def _write(images: Any, correction: Any, circle: Any, factor: Any, out: Any) -> None:
    """Cut the slices out of the transformed grid, whose origin lies at its corner; 0 outside the circle."""
    j, i, n = cuda.grid(3)
    size, points = out.shape[1], images.shape[1]
    if j >= size or i >= size or n >= out.shape[0]:
        return
    # twice the distances from the middle: whole numbers
    x, y = 2 * j - size + 1, 2 * i - size + 1
    if circle and x * x + y * y > size * size:
        out[n, i, j] = np.float32(0)
        return
    row, column = i - size // 2, j - size // 2
    row += points if row < 0 else 0
    column += points if column < 0 else 0
    value = images[n // 2, row, column]
    part = value.imag if n % 2 else value.real
    out[n, i, j] = part * (correction[i] * correction[j] * factor)

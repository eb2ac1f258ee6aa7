"""Stripes of sinograms found and removed on a CUDA device, as in `firstlight.kernels.stripes`.

The sinograms stay on the device. What a column's stripe is decided by, one number for each, goes to the host and a mask comes
back: the decisions are those of the CPU's own functions. Sinograms are (row, angle, col) float32, C-contiguous and finite.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from firstlight.kernels import stripes as decide
from firstlight.kernels.cuda import fourier
from firstlight.kernels.cuda.arrays import Device, cuda, empty, launch, on_device, to_host
from firstlight.kernels.cuda.columns import interpolate_columns, sorted_columns, unsorted_columns
from firstlight.kernels.cuda.grids import over
from firstlight.kernels.cuda.rims import mirrored
from firstlight.kernels.cuda.running_median import running_median

__all__ = [
    "low_passed",
    "remove_by_filtering",
    "remove_by_interpolation",
    "remove_by_sorting",
    "remove_dead",
    "remove_large",
]

Profiles = NDArray[np.float64]
Masks = NDArray[np.bool_]
_SUMMING = 128
"""Threads that add up the ranks of one column."""


def remove_by_sorting(sinograms: Device, size: int) -> Device:
    """Even out the sorted columns by a median over `size` of them (algorithm 3)."""
    values, keys = sorted_columns(sinograms)
    return unsorted_columns(running_median(values, size), keys)


def remove_by_filtering(sinograms: Device, sigma: float, size: int) -> Device:
    """Even out the slow part of each column alone (algorithm 2)."""
    rows, angles, columns = sinograms.shape
    gap = decide.slow_gap(angles)
    padded = empty((rows, angles + 2 * gap, columns))
    over(_reflect, padded.shape, sinograms, np.int32(gap), padded)
    slow = empty(sinograms.shape)
    over(_cut, slow.shape, low_passed(padded, sigma), np.int32(gap), slow)
    out = remove_by_sorting(slow, size)
    over(_add_rest, out.shape, sinograms, slow, out)
    return out


def low_passed(sinograms: Device, sigma: float) -> Device:
    """What changes slowly along the angles: a Gaussian window of `sigma` periods in the whole."""
    spectrum = fourier.rfft(sinograms, (1,))
    window = decide.low_pass(spectrum.shape[1], sigma)
    over(_weigh, spectrum.shape, spectrum, on_device(window))
    return fourier.irfft(spectrum, (1,), (sinograms.shape[1],))


def remove_large(sinograms: Device, size: int, ratio: float, drop: float, normalize: bool = True) -> Device:
    """Find columns of another response and replace them by their evened-out sorted values (algorithm 5)."""
    values, keys = sorted_columns(sinograms)
    smooth = running_median(values, size)
    factors = _responses(values, smooth, drop)
    found = _each_row(factors, lambda row: decide.other_columns(row, ratio))
    out = unsorted_columns(smooth, keys)
    over(_keep_others, out.shape, sinograms, on_device(_divisors(factors, normalize)), on_device(found), out)
    return out


def remove_by_interpolation(sinograms: Device, size: int, ratio: float, drop: float, normalize: bool = True) -> Device:
    """Find columns of another response and interpolate across them (algorithms 4 to 6 combined)."""
    values, _ = sorted_columns(sinograms)
    factors = _responses(values, running_median(values, size), drop)
    found = _each_row(factors, lambda row: decide.inner_columns(row, ratio))
    return _interpolated(sinograms, _divisors(factors, normalize), found)


def remove_dead(sinograms: Device, size: int, ratio: float, smooth: int, lost: Masks) -> Device:
    """Find columns that do not follow the sample, or jump, and interpolate across them (algorithm 6).

    Args:
        sinograms: (row, angle, col).
        size: columns of the median that the fluctuation is compared with.
        ratio: how far beyond the noise a column must be.
        smooth: angles of the mean that a column's jumps are measured against.
        lost: (row, col) columns that are known to be dead.
    """
    rows, _, columns = sinograms.shape
    total = empty((rows, columns), np.float64)
    over(_fluctuation, total.shape, sinograms, np.int32(smooth), total)
    bad = np.array([decide.dead_columns(*each) for each in _with(to_host(total), size, ratio, lost)], np.bool_)
    return _interpolated(sinograms, np.ones((rows, columns), np.float32), bad.reshape(rows, columns))


def _with(profiles: Profiles, size: int, ratio: float, lost: Masks) -> list[tuple[Profiles, int, float, Masks]]:
    return [(profile, size, ratio, known) for profile, known in zip(profiles, lost, strict=True)]


def _interpolated(sinograms: Device, divisors: NDArray[np.float32], bad: Masks) -> Device:
    nothing = np.zeros(bad.shape, np.bool_)
    out = empty(sinograms.shape)
    over(_keep_others, out.shape, sinograms, on_device(divisors), on_device(nothing), out)
    some = bad & ~np.all(bad, axis=1, keepdims=True)
    if some.any():
        interpolate_columns(out, some)
    return out


def _each_row(profiles: Profiles, find: Callable[[Profiles], Masks]) -> Masks:
    found = np.zeros(profiles.shape, np.bool_)
    for row, profile in enumerate(profiles):
        found[row] = find(profile)
    return found


def _divisors(factors: Profiles, normalize: bool) -> NDArray[np.float32]:
    return decide.divisors(factors) if normalize else np.ones(factors.shape, np.float32)


def _responses(values: Device, smooth: Device, drop: float) -> Profiles:
    """The response of each column beside its neighbours, on the host: (row, col)."""
    rows, columns, ranks = values.shape
    middle = decide.middle_ranks(ranks, drop)
    own, usual = (_sums(each, middle.start, middle.stop) / (middle.stop - middle.start) for each in (values, smooth))
    return decide.relative_response(own, usual).reshape(rows, columns)


def _sums(values: Device, start: int, stop: int) -> Profiles:
    """Sum over some ranks of each column, in double precision."""
    rows, columns, ranks = values.shape
    sums = empty((rows * columns,), np.float64)
    threads = min(_SUMMING, 1 << max(0, stop - start - 1).bit_length())
    if rows * columns:
        launch(_line_sums(), rows * columns, threads, values.reshape((rows * columns, ranks)), start, stop, sums)
    return to_host(sums)


@lru_cache(maxsize=1)
def _line_sums() -> Any:
    @cuda.jit
    def line_sums(lines: Any, start: Any, stop: Any, sums: Any) -> None:
        """A block adds up a line; its threads are a power of two."""
        shared = cuda.shared.array(_SUMMING, numba.float64)
        thread, line = cuda.threadIdx.x, cuda.blockIdx.x
        total = 0.0
        for place in range(start + thread, stop, cuda.blockDim.x):
            total += float(lines[line, place])
        shared[thread] = total
        cuda.syncthreads()
        reach = cuda.blockDim.x // 2
        while reach > 0:
            if thread < reach:
                shared[thread] += shared[thread + reach]
            cuda.syncthreads()
            reach //= 2
        if thread == 0:
            sums[line] = shared[0]

    return line_sums


@cuda.jit
def _reflect(sinograms: Any, gap: Any, padded: Any) -> None:
    """Mirror the angles about the first and the last one."""
    col, place, row = cuda.grid(3)
    if col >= padded.shape[2] or place >= padded.shape[1] or row >= padded.shape[0]:
        return
    angle, last = abs(place - gap), sinograms.shape[1] - 1
    if angle > last:
        angle = 2 * last - angle
    padded[row, place, col] = sinograms[row, angle, col]


@cuda.jit
def _cut(padded: Any, gap: Any, out: Any) -> None:
    col, angle, row = cuda.grid(3)
    if col < out.shape[2] and angle < out.shape[1] and row < out.shape[0]:
        out[row, angle, col] = padded[row, angle + gap, col]


@cuda.jit
def _add_rest(sinograms: Any, slow: Any, out: Any) -> None:
    col, angle, row = cuda.grid(3)
    if col < out.shape[2] and angle < out.shape[1] and row < out.shape[0]:
        out[row, angle, col] += sinograms[row, angle, col] - slow[row, angle, col]


@cuda.jit
def _weigh(spectrum: Any, window: Any) -> None:
    col, k, row = cuda.grid(3)
    if col < spectrum.shape[2] and k < spectrum.shape[1] and row < spectrum.shape[0]:
        weight = window[k] if k < window.shape[0] else np.float32(0)
        spectrum[row, k, col] *= weight


@cuda.jit
def _keep_others(sinograms: Any, divisors: Any, found: Any, out: Any) -> None:
    """Columns that were not found get their own values, over a divisor."""
    col, angle, row = cuda.grid(3)
    if col >= out.shape[2] or angle >= out.shape[1] or row >= out.shape[0]:
        return
    if not found[row, col]:
        out[row, angle, col] = sinograms[row, angle, col] / divisors[row, col]


@cuda.jit
def _fluctuation(sinograms: Any, smooth: Any, total: Any) -> None:
    """A thread walks down a column with a running mean, in double precision as on the CPU."""
    col, row = cuda.grid(2)
    if col >= total.shape[1] or row >= total.shape[0]:
        return
    angles, before = sinograms.shape[1], smooth // 2
    running, jumps, share = 0.0, 0.0, 1.0 / smooth
    for angle in range(-before, smooth - before):
        running += float(sinograms[row, mirrored(angle, angles), col])
    for angle in range(angles):
        jumps += abs(float(sinograms[row, angle, col]) - running * share)
        running += float(sinograms[row, mirrored(angle + smooth - before, angles), col])
        running -= float(sinograms[row, mirrored(angle - before, angles), col])
    total[row, col] = jumps

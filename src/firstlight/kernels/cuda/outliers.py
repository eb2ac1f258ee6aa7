"""Outliers on a CUDA device: pixels and voxels that stand out of their neighbourhood, and known bad pixels.

As on the CPU (`firstlight.kernels.median`, `firstlight.kernels.outliers_3d`) a thread first counts the neighbours that are
darker or brighter by the threshold: only where most of them are, the median is beyond it, and only there it is looked for.
That is done without room for the neighbours: values are tried in a scattered order, each one's rank is counted, and what
lies outside the bracket found so far is passed over. It takes a few passes over the window, in any number type, exactly.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np

from firstlight.kernels.cuda.arrays import Device, cuda, empty, stream
from firstlight.kernels.cuda.grids import over
from firstlight.kernels.cuda.rims import nearest
from firstlight.kernels.median import Outliers

__all__ = ["remove_outliers", "remove_outliers_3d", "replace_pixels"]

_NEVER = np.int32(2**31 - 1)
"""A count that no window reaches."""
_GOLDEN = 0.618


def remove_outliers(frames: Device, *, threshold: float, size: int = 3, kind: Outliers = "both") -> Device:
    """Replace pixels that differ from the median of their neighbourhood by more than a threshold, by that median.

    Args:
        frames: (frame, row, col), integers or floats; at the rim the outermost pixel is repeated.
        threshold: largest difference that is left alone.
        size: side of the window in pixels, odd.
        kind: "bright", "dark" or "both".

    Returns:
        New device array of the same type and shape.
    """
    out = empty(frames.shape, frames.dtype)
    _run(frames, out, threshold, (0, size // 2), kind)
    return out


def remove_outliers_3d(volumes: Device, *, threshold: float, size: int = 3, kind: Outliers = "both") -> Device:
    """The same with neighbours along the angle too.

    Args:
        volumes: (block, angle, row, col), integers or floats; at the rim the outermost values are repeated.
        threshold: largest difference that is left alone.
        size: side of the cube, odd.
        kind: "bright", "dark" or "both".

    Returns:
        New device array of the same type and shape.
    """
    out = empty(volumes.shape, volumes.dtype)
    for place in range(volumes.shape[0]):
        _run(volumes[place], out[place], threshold, (size // 2, size // 2), kind)
    return out


def replace_pixels(frames: Device, bad: Device, places: Device, *, size: int = 3) -> Device:
    """Replace the pixels under a mask by the median of the good pixels around them.

    The window grows until it holds a good pixel.

    Args:
        frames: (frame, row, col), integers or floats.
        bad: (row, col), not 0 where a pixel is bad; not everywhere.
        places: (pixel, 2) rows and columns of the bad pixels.
        size: side of the smallest window in pixels, odd.

    Returns:
        New device array of the type of ``frames``; medians are rounded for integers.
    """
    out = empty(frames.shape, frames.dtype)
    out.copy_to_device(frames, stream=stream())
    whole = np.dtype(frames.dtype).kind != "f"
    over(_replace, (frames.shape[0], places.shape[0]), frames, bad, places, np.int32(size // 2), whole, out)
    return out


def _run(volume: Device, out: Device, threshold: float, reach: tuple[int, int], kind: Outliers) -> None:
    count = (2 * reach[0] + 1) * (2 * reach[1] + 1) ** 2
    majority = np.int32(count // 2 + 1)
    limits = (majority if kind != "dark" else _NEVER, majority if kind != "bright" else _NEVER)
    over(_remover(*reach), volume.shape, volume, out, np.float32(threshold), *limits, np.int32(_stride(count)))


def _stride(count: int) -> int:
    """Step through `count` places that comes by all of them, far from the one before."""
    step = max(1, round(_GOLDEN * count))
    while gcd(step, count) != 1:
        step += 1
    return step


@cuda.jit(device=True, inline=True)
def _above(place: Any) -> Any:
    return place if place > 0 else 0


@cuda.jit(device=True, inline=True)
def _below(place: Any, size: Any) -> Any:
    return place if place < size else size


@lru_cache(maxsize=16)
def _neighbour_of(deep: int, half: int) -> Any:
    """Reads a place of a window, whose sides are constants, so that loops over it unroll."""
    side = 2 * half + 1

    @cuda.jit(device=True)
    def neighbour(volume: Any, place: Any, angle: Any, row: Any, col: Any) -> Any:
        """The value at a place of the window, counted through."""
        a, rest = place // (side * side), place % (side * side)
        i, j = rest // side, rest % side
        return volume[
            nearest(angle + a - deep, volume.shape[0]),
            nearest(row + i - half, volume.shape[1]),
            nearest(col + j - half, volume.shape[2]),
        ]

    return neighbour


@lru_cache(maxsize=16)
def _ranked_of(deep: int, half: int) -> Any:
    """Finds the value of a rank in a window, without room for its values."""
    count, neighbour = (2 * deep + 1) * (2 * half + 1) ** 2, _neighbour_of(deep, half)

    @cuda.jit(device=True)
    def ranked(volume: Any, target: Any, stride: Any, angle: Any, row: Any, col: Any) -> Any:
        """Value of a rank, from 0, among the numbers of the window."""
        found = volume[angle, row, col]
        low, high = found, found
        above, below = False, False
        place = count // 2
        for _ in range(count):
            value = neighbour(volume, place, angle, row, col)
            place = (place + stride) % count
            # only NaN differs from itself
            if value != value or (above and value <= low) or (below and value >= high):
                continue
            less, equal = 0, 0
            for other in range(count):
                near = neighbour(volume, other, angle, row, col)
                less += 1 if near < value else 0
                equal += 1 if near == value else 0
            if target < less:
                below, high = True, value
            elif target >= less + equal:
                above, low = True, value
            else:
                found = value
                break
        return found

    return ranked


@lru_cache(maxsize=16)
def _counts_of(deep: int, half: int) -> Any:
    """Counts the neighbours that are darker, that are brighter, and that are numbers."""

    @cuda.jit(device=True)
    def counts(volume: Any, dark: Any, bright: Any, angle: Any, row: Any, col: Any) -> Any:
        below, above, numbers = 0, 0, 0
        for a in range(angle - deep, angle + deep + 1):
            for i in range(row - half, row + half + 1):
                for j in range(col - half, col + half + 1):
                    near = np.float32(
                        volume[nearest(a, volume.shape[0]), nearest(i, volume.shape[1]), nearest(j, volume.shape[2])]
                    )
                    below += 1 if near < dark else 0
                    above += 1 if near > bright else 0
                    numbers += 1 if near == near else 0
        return below, above, numbers

    return counts


@lru_cache(maxsize=16)
def _remover(deep: int, half: int) -> Any:
    """The kernel for a window that reaches so far."""
    ranked, counts = _ranked_of(deep, half), _counts_of(deep, half)

    @cuda.jit
    def remove(volume: Any, out: Any, threshold: Any, most_below: Any, most_above: Any, stride: Any) -> None:
        col, row, angle = cuda.grid(3)
        if col >= volume.shape[2] or row >= volume.shape[1] or angle >= volume.shape[0]:
            return
        own = volume[angle, row, col]
        value = np.float32(own)
        below, above, numbers = counts(volume, value - threshold, value + threshold, angle, row, col)
        odd = below >= most_below or above >= most_above or value != value
        if not odd or numbers == 0:
            out[angle, row, col] = own
        elif numbers % 2:
            out[angle, row, col] = ranked(volume, numbers // 2, stride, angle, row, col)
        else:  # some were NaN
            upper = ranked(volume, numbers // 2, stride, angle, row, col)
            lower = ranked(volume, numbers // 2 - 1, stride, angle, row, col)
            half_of = np.float32(0.5)  # before the sum, which may be beyond the type
            out[angle, row, col] = lower * half_of + upper * half_of

    return remove


@cuda.jit(device=True)
def _reach(bad: Any, row: Any, col: Any, half: Any) -> Any:
    """Half the side of the smallest window around a pixel that holds a good one."""
    reach = half
    while True:
        for i in range(_above(row - reach), _below(row + reach + 1, bad.shape[0])):
            for j in range(_above(col - reach), _below(col + reach + 1, bad.shape[1])):
                if not bad[i, j]:
                    return reach
        reach += 1


@cuda.jit(device=True)
def _good_rank(frame: Any, bad: Any, window: Any, value: Any) -> Any:
    """How many good numbers of a window are less than a value, and equal to it; without a value, how many there are."""
    less, equal, numbers = 0, 0, 0
    for i in range(window[0], window[1]):
        for j in range(window[2], window[3]):
            near = frame[i, j]
            if not bad[i, j] and near == near:  # only NaN differs from itself
                numbers += 1
                less += 1 if near < value else 0
                equal += 1 if near == value else 0
    return less, equal, numbers


@cuda.jit(device=True)
def _good_median(frame: Any, bad: Any, window: Any, own: Any) -> Any:
    """Median of the good numbers of a window, in double precision as on the CPU; and how many there are."""
    numbers = _good_rank(frame, bad, window, own)[2]
    total, wanted = 0.0, 1 if numbers % 2 else 2
    for k in range(wanted):
        target, found = numbers // 2 - k, False
        for i in range(window[0], window[1]):
            for j in range(window[2], window[3]):
                value = frame[i, j]
                if not found and not bad[i, j] and value == value:
                    less, equal, _ = _good_rank(frame, bad, window, value)
                    if less <= target < less + equal:
                        total, found = total + float(value), True
    return total / wanted, numbers


@cuda.jit
def _replace(frames: Any, bad: Any, places: Any, half: Any, whole: Any, out: Any) -> None:
    """A thread for each bad pixel of each frame."""
    p, n = cuda.grid(2)
    if p >= places.shape[0] or n >= frames.shape[0]:
        return
    row, col = places[p, 0], places[p, 1]
    reach = _reach(bad, row, col, half)
    top, bottom = _above(row - reach), _below(row + reach + 1, bad.shape[0])
    left, right = _above(col - reach), _below(col + reach + 1, bad.shape[1])
    middle, numbers = _good_median(frames[n], bad, (top, bottom, left, right), frames[n, row, col])
    if numbers:
        out[n, row, col] = round(middle) if whole else middle

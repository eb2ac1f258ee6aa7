"""Stripes of sinograms found and removed: the algorithms of Vo, Atwood and Drakopoulos (Optics Express 26, 28396, 2018).

A column of a wrong detector pixel makes a stripe along the angles. Sorting the values of each column by size makes what
the sample does alike in neighbouring columns, so that what still differs between them is the pixel's own response.
Sinograms are (angle, col) float32, finite (see :mod:`firstlight.kernels.columns`); results are new arrays.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import scipy.fft
import scipy.ndimage
from numpy.typing import NDArray

from firstlight.kernels.columns import interpolate_columns, sorted_columns, unsorted_columns
from firstlight.kernels.running_median import running_median

__all__ = [
    "dead_columns",
    "detect_stripes",
    "divisors",
    "fluctuation",
    "inner_columns",
    "low_pass",
    "middle_ranks",
    "other_columns",
    "relative_response",
    "remove_by_filtering",
    "remove_by_interpolation",
    "remove_by_sorting",
    "remove_dead",
    "remove_large",
    "response",
    "slow_gap",
    "slow_part",
]

Sinogram = NDArray[np.float32]
Profile = NDArray[np.float64]
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
# a profile of ratios without any noise still has rounding errors
_LEAST_NOISE = 1e-5
_STRONGEST = 10.0
"""Response beyond which (or below whose inverse) a column has no signal to normalise."""
_REACH = 8
"""Standard deviations of a Gaussian beyond which it is nothing to float32."""


def remove_by_sorting(sinogram: Sinogram, size: int) -> Sinogram:
    """Even out the sorted columns by a median over `size` of them (algorithm 3): small and partial stripes."""
    values, keys = sorted_columns(sinogram)
    return unsorted_columns(running_median(values, size), keys)


def remove_by_filtering(sinogram: Sinogram, sigma: float, size: int) -> Sinogram:
    """Even out the slow part of each column alone (algorithm 2): what changes fast with the angle stays as it is."""
    slow = slow_part(sinogram, sigma)
    return np.add(remove_by_sorting(slow, size), sinogram - slow, dtype=np.float32)


def slow_part(sinogram: Sinogram, sigma: float) -> Sinogram:
    """What changes slowly along the angles: a Gaussian window on frequencies, of `sigma` periods in the (mirrored) whole."""
    angles = sinogram.shape[0]
    gap = slow_gap(angles)
    padded = np.pad(sinogram.T, ((0, 0), (gap, gap)), mode="reflect" if angles > 1 else "edge")
    length = padded.shape[1]
    spectrum = scipy.fft.rfft(padded, axis=1)
    window = low_pass(spectrum.shape[1], sigma)
    spectrum[:, : window.size] *= window
    spectrum[:, window.size :] = 0
    smooth = scipy.fft.irfft(spectrum, length, axis=1, overwrite_x=True)
    return np.ascontiguousarray(smooth[:, gap : gap + angles].T, np.float32)


def slow_gap(angles: int) -> int:
    """Angles that are mirrored at each end before the slow part is looked for."""
    return min(150, angles // 10)


def low_pass(frequencies: int, sigma: float) -> NDArray[np.float32]:
    """A Gaussian window of `sigma` periods on the lowest of so many frequencies; the others are nothing to float32."""
    kept = min(frequencies, int(_REACH * sigma) + 1)
    return np.exp(-0.5 * (np.arange(kept) / sigma) ** 2).astype(np.float32)


def remove_large(sinogram: Sinogram, size: int, ratio: float, drop: float, normalize: bool = True) -> Sinogram:
    """Find columns of another response and replace them by their evened-out sorted values (algorithm 5)."""
    values, keys = sorted_columns(sinogram)
    smooth = running_median(values, size)
    factors = response(values, smooth, drop)
    found = other_columns(factors, ratio)
    out = sinogram / divisors(factors) if normalize else sinogram.copy()
    places = np.flatnonzero(found)
    out[:, places] = unsorted_columns(smooth[places], keys[places])
    return out


def remove_by_interpolation(
    sinogram: Sinogram, size: int, ratio: float, drop: float, normalize: bool = True
) -> Sinogram:
    """Find columns of another response and interpolate across them (algorithms 4 to 6 combined)."""
    values, _ = sorted_columns(sinogram)
    factors = response(values, running_median(values, size), drop)
    found = inner_columns(factors, ratio)
    out = sinogram / divisors(factors) if normalize else sinogram.copy()
    if found.any() and not found.all():
        interpolate_columns(out, found)
    return out


def remove_dead(sinogram: Sinogram, size: int, ratio: float, smooth: int, lost: NDArray[np.bool_]) -> Sinogram:
    """Find columns that do not follow the sample, or jump, and interpolate across them (algorithm 6).

    Args:
        sinogram: (angle, col).
        size: columns of the median that the fluctuation is compared with.
        ratio: how far beyond the noise a column must be.
        smooth: angles of the mean that a column's jumps are measured against.
        lost: (col,) columns that are known to be dead.
    """
    bad = dead_columns(fluctuation(sinogram, smooth), size, ratio, lost)
    out = sinogram.copy()
    if bad.any() and not bad.all():
        interpolate_columns(out, bad)
    return out


def response(values: Sinogram, smooth: Sinogram, drop: float) -> Profile:
    """How strongly each column responds, beside its neighbours, from sorted columns (col, rank) and evened-out ones.

    The share `drop` of the ranks is left out: at the ends lie zingers and the sample's own extremes.
    """
    middle = middle_ranks(values.shape[1], drop)
    own, usual = values[:, middle].mean(axis=1, dtype=np.float64), smooth[:, middle].mean(axis=1, dtype=np.float64)
    return relative_response(own, usual)


def middle_ranks(ranks: int, drop: float) -> slice:
    """The ranks without the share `drop`, half of it at each end."""
    ends = int(0.5 * min(max(drop, 0.0), 0.8) * ranks)
    return slice(ends, ranks - ends)


def relative_response(own: Profile, usual: Profile) -> Profile:
    """Own mean over that of the evened-out values, any shape."""
    # a response of 0 would divide by 0; such a column is dead, not of another response
    sound = (own != 0) & (usual != 0)
    return np.divide(own, usual, out=np.ones_like(own), where=sound)


def other_columns(factors: Profile, ratio: float) -> NDArray[np.bool_]:
    """Columns of another response, with the neighbour on each side, which the rim of a stripe may touch: mask (col,)."""
    return scipy.ndimage.binary_dilation(detect_stripes(factors, ratio))


def inner_columns(factors: Profile, ratio: float) -> NDArray[np.bool_]:
    """The same without the two columns at each end, beyond which nothing is known."""
    return _inside(other_columns(factors, ratio))


def dead_columns(restless: Profile, size: int, ratio: float, lost: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Columns that fluctuate less or more than the median over `size` of them, and those that are lost: mask (col,).

    Where a third of all would be dead, the search went wrong: only the lost ones are given.
    """
    usual = scipy.ndimage.median_filter(restless, size, mode="reflect")
    usual[usual == 0] = np.mean(np.abs(usual))
    excess = np.divide(restless, usual, out=np.ones_like(usual), where=usual != 0)
    found = inner_columns(excess, ratio)
    return lost | found if found.sum() < found.size // 3 else lost


def divisors(factors: Profile) -> NDArray[np.float32]:
    """What each column is divided by; a column far from all others (air after the logarithm: noise around 0) stays."""
    usual = (factors > 1 / _STRONGEST) & (factors < _STRONGEST)
    return np.where(usual, factors, 1.0).astype(np.float32)


def fluctuation(sinogram: Sinogram, smooth: int) -> Profile:
    """Sum over the angles of |value - running mean over `smooth` angles|, for each column; the rim is mirrored."""
    total = np.zeros(sinogram.shape[1])
    _fluctuation(np.ascontiguousarray(sinogram), smooth, total)
    return total


def detect_stripes(profile: Profile, ratio: float) -> NDArray[np.bool_]:
    """Find the columns whose value in a profile lies outside the usual ones (algorithm 4).

    The middle half of the sorted values follows a line. A value beyond the end of the line by `ratio` times the line's
    rise means stripes: all beyond half of that limit are.

    Args:
        profile: (col,): one number for each column, alike in good ones.
        ratio: how many times beyond the noise; larger finds less.

    Returns:
        Mask (col,).
    """
    count = profile.size
    drop = count // 4
    found = np.zeros(count, np.bool_)
    if count < 4 * drop or count - 2 * drop - 1 < 2:
        return found
    ordered = np.sort(profile)
    place = np.arange(drop, count - drop - 1)
    slope, low = np.polyfit(place, ordered[place], 1)
    high = low + slope * (count - 1)
    noise = max(abs(high - low), _LEAST_NOISE * abs(high + low))
    if noise == 0:
        return found
    if ordered[-1] - high >= ratio * noise:
        found |= profile > high + 0.5 * ratio * noise
    if low - ordered[0] >= ratio * noise:
        found |= profile <= low - 0.5 * ratio * noise
    return found


def _inside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    mask[:2] = mask[-2:] = False
    return mask


@numba.njit(**_OPTIONS)
def _add(line: NDArray[np.float32], sign: float, total: NDArray[np.float64]) -> None:
    for col in range(line.size):
        total[col] += sign * line[col]


@numba.njit(**_OPTIONS)
def _add_difference(
    line: NDArray[np.float32], sums: NDArray[np.float64], share: float, total: NDArray[np.float64]
) -> None:
    for col in range(line.size):
        total[col] += abs(line[col] - sums[col] * share)


@numba.njit(**_OPTIONS)
def _mirrored(place: int, count: int) -> int:
    folded = place % (2 * count)
    return folded if folded < count else 2 * count - 1 - folded


@numba.njit(**_OPTIONS)
def _fluctuation(sinogram: NDArray[np.float32], smooth: int, total: NDArray[np.float64]) -> None:
    angles, columns = sinogram.shape
    sums = np.zeros(columns)
    before = smooth // 2  # as scipy: the middle of an even window is the place behind it
    for angle in range(-before, smooth - before):
        _add(sinogram[_mirrored(angle, angles)], 1.0, sums)
    for angle in range(angles):
        _add_difference(sinogram[angle], sums, 1.0 / smooth, total)
        _add(sinogram[_mirrored(angle + smooth - before, angles)], 1.0, sums)
        _add(sinogram[_mirrored(angle - before, angles)], -1.0, sums)

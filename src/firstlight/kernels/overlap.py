"""How far two sets of lines overlap: half acquisition over a full turn, and tiles beside or above each other.

Lines are correlated over the part that both have, for every possible shift at once: the sums over the overlap come from
two cumulative sums, the products from one FFT. The correlation coefficient is taken of the derivative along the line, so
that a slow background has no vote, and over all lines together, so that a short overlap must agree in all of them.
"""

from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

F64 = NDArray[np.float64]

_SMOOTHING = 1.0  # sigma in pixels of the derivative: keeps noise out


class Shift(NamedTuple):
    """Where the second set of lines begins in the coordinates of the first, and the correlation there."""

    value: float
    confidence: float


def find_shift(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    *,
    least: int,
    low: float | None = None,
    high: float | None = None,
) -> Shift:
    """Find the shift d for which first[:, i] = second[:, i - d] where both are defined.

    Args:
        first: shape (line, place).
        second: shape (line, place), the same number of lines; a part of it shows what a part of `first` shows.
        least: overlap tried at least, in pixels.
        low: lowest shift tried. Default: the second before the first, overlapping by `least`.
        high: highest shift tried. Default: the second behind the first, overlapping by `least`.

    Returns:
        Shift in pixels, with its fraction, and the correlation coefficient of the overlap, 0 to 1.

    Raises:
        ValueError: shapes that do not fit, or nothing to try.
    """
    if first.ndim != 2 or second.ndim != 2 or len(first) != len(second):
        raise ValueError(
            f"first has shape {first.shape} and second {second.shape}; expected (line, place), as many lines."
        )
    one, other = _slopes(first), _slopes(second)
    shifts = np.arange(-(other.shape[1] - least), one.shape[1] - least + 1)
    shifts = shifts[
        (shifts >= (shifts[:1] if low is None else low)) & (shifts <= (shifts[-1:] if high is None else high))
    ]
    if shifts.size == 0:
        raise ValueError(f"no shift between {low} and {high} leaves an overlap of {least} pixels.")
    likeness = _likeness(one, other, shifts)
    best = int(np.argmax(likeness))
    value = _between(shifts, likeness, best)
    return Shift(_refined(one, other, value), float(np.clip(likeness[best], 0.0, 1.0)))


def _slopes(lines: NDArray[np.floating]) -> F64:
    return gaussian_filter1d(lines.astype(np.float64), _SMOOTHING, axis=1, order=1, mode="nearest")


def _likeness(one: F64, other: F64, shifts: NDArray[np.int64]) -> F64:
    """Correlation coefficient over the overlap, of all lines together, for each shift."""
    width, wide = one.shape[1], other.shape[1]
    length = scipy.fft.next_fast_len(width + wide, real=True)
    cross = scipy.fft.irfft(
        (scipy.fft.rfft(one, length) * np.conj(scipy.fft.rfft(other, length))).sum(axis=0), length, workers=1
    )
    power, strength = (np.concatenate([[0.0], np.cumsum((lines**2).sum(axis=0))]) for lines in (one, other))
    begin, end = np.maximum(shifts, 0), np.minimum(width, wide + shifts)
    norm = (power[end] - power[begin]) * (strength[end - shifts] - strength[begin - shifts])
    return cross[shifts] / np.sqrt(np.maximum(norm, 1e-12 * power[-1] * strength[-1] + 1e-300))


def _between(shifts: NDArray[np.int64], likeness: F64, best: int) -> float:
    """Place of the maximum between pixels, by a parabola."""
    if best in (0, len(shifts) - 1):
        return float(shifts[best])
    before, at, after = likeness[best - 1 : best + 2]
    bend = before - 2 * at + after
    return float(shifts[best] + (0.5 * (before - after) / bend if bend < 0 else 0.0))


def _refined(one: F64, other: F64, start: float) -> float:
    """The shift from the phase of the cross spectrum, through soft windows that both cut at the same place.

    Only a small correction is taken: the coarse search found the right maximum, this finds its fraction.
    """
    shift = start
    for _ in range(4):
        begin, end = max(shift, 0.0), min(one.shape[1] - 1.0, other.shape[1] - 1.0 + shift)
        place, moved = np.arange(one.shape[1]), np.arange(other.shape[1]) + shift
        length = scipy.fft.next_fast_len(one.shape[1] + other.shape[1], real=True)
        left = scipy.fft.rfft(one * _window(place, begin, end), length, workers=1)
        right = scipy.fft.rfft(other * _window(moved, begin, end), length, workers=1)
        frequency = 2 * np.pi * np.fft.rfftfreq(length)
        cross = (left * np.conj(right)).sum(axis=0) * np.exp(1j * frequency * shift)
        bend = float((frequency**2 * cross.real).sum())
        if bend <= 0:
            return start
        step = -float((frequency * cross.imag).sum()) / bend
        shift += float(np.clip(step, -0.5, 0.5))
        if abs(step) < 1e-4:
            break
    return shift if abs(shift - start) <= 1.0 else start


def _window(place: NDArray[np.floating], begin: float, end: float) -> F64:
    """1 inside the overlap, with soft rims."""
    rim = max((end - begin) / 8, 2.0)
    inside = np.minimum(place - begin, end - place)
    return np.sin(np.pi / 2 * np.clip((inside + 0.5) / rim, 0.0, 1.0)) ** 2


class HalfAcquisition(NamedTuple):
    """The axis of a scan over a full turn that sees half of the sample at a time."""

    center: float
    """Column of the rotation axis, from 0."""
    overlap: float
    """Columns that a projection and the mirrored one half a turn later have in common."""
    side: int
    """Where the axis lies: -1 left of the middle, 1 right of it."""
    confidence: float


def find_half_acquisition(
    sinograms: NDArray[np.floating], angles_degrees: ArrayLike, *, least: int | None = None
) -> HalfAcquisition:
    """Find the rotation axis near either side of the detector from a full turn.

    A projection half a turn later is the mirror image of this one about the axis: where they overlap, mirrored, is
    searched over both sides (as Vo et al. 2021, doi 10.1364/OE.418448, do with other sums).

    Args:
        sinograms: shape (angle, row, col): line integrals.
        angles_degrees: shape (angle,), any order, a full turn.
        least: overlap tried at least, in columns. Default: a fiftieth of the width, at least 8.

    Returns:
        Column of the axis, overlap, side and confidence.

    Raises:
        ValueError: shapes that do not fit, or less than a full turn.
    """
    ahead, behind = opposite_halves(sinograms, angles_degrees)
    columns = sinograms.shape[2]
    lines, mirrored = ahead.reshape(-1, columns), behind.reshape(-1, columns)[:, ::-1]
    found = find_shift(lines, mirrored, least=max(8, columns // 50) if least is None else least)
    center = (columns - 1 + found.value) / 2
    return HalfAcquisition(center, columns - abs(found.value), 1 if found.value >= 0 else -1, found.confidence)


def half_turn_angles(angles_degrees: ArrayLike) -> F64:
    """Angles of half as many projections, equally spaced over the first half of a full turn.

    Args:
        angles_degrees: shape (angle,), any order; a full turn at least, of which the first is used.

    Raises:
        ValueError: not one-dimensional, or less than a full turn.
    """
    ordered = np.sort(np.asarray(angles_degrees, np.float64))
    usual = float(np.median(np.diff(ordered))) if ordered.size > 1 else 0.0
    if ordered.ndim != 1 or ordered.size < 8 or ordered[-1] - ordered[0] + 1.5 * usual < 360.0:
        span = float(np.ptp(ordered)) if ordered.size else 0.0
        raise ValueError(f"the angles span {span:.1f} degree in {ordered.size} steps; a full turn (360) is needed.")
    count = ordered.size // 2
    return ordered[0] + np.arange(count) * 180.0 / count


def opposite_halves(data: NDArray[np.floating], angles_degrees: ArrayLike) -> tuple[F64, F64]:
    """Projections over the first half of a full turn (`half_turn_angles`), and what was seen half a turn later.

    Args:
        data: shape (angle, ...).
        angles_degrees: shape (angle,), any order; a full turn at least.

    Returns:
        Two float64 arrays (angle of the first half, ...), interpolated where no projection was taken.

    Raises:
        ValueError: shapes that do not fit, or less than a full turn.
    """
    angles = np.asarray(angles_degrees, np.float64)
    if angles.shape != data.shape[:1]:
        raise ValueError(
            f"the data have shape {data.shape} and angles_degrees {angles.shape}; expected (angle, …), (angle,)."
        )
    first = half_turn_angles(angles)
    order = np.argsort(angles, kind="stable")
    return _at_angles(data, angles[order], order, first), _at_angles(data, angles[order], order, first + 180.0)


def _at_angles(data: NDArray[np.floating], ordered: F64, order: NDArray[np.int64], wanted: F64) -> F64:
    """Projections at angles of choice, straight lines between those that were taken."""
    right = np.clip(np.searchsorted(ordered, wanted), 1, ordered.size - 1)
    step = np.maximum(ordered[right] - ordered[right - 1], 1e-9)
    part = np.clip((wanted - ordered[right - 1]) / step, 0.0, 1.0).reshape(-1, *(1,) * (data.ndim - 1))
    part = np.where(
        part > 1 - 1e-6, 1.0, np.where(part < 1e-6, 0.0, part)
    )  # rounding of the angles is no interpolation
    return (1 - part) * data[order[right - 1]] + part * data[order[right]]

"""Find the column of the rotation axis.

Two methods, each with a confidence between 0 and 1: correlation of projections half a turn apart (needs one pair and
sees the whole frame), and the Fourier transform of a full-turn sinogram (needs a half turn, one row, and stands noise
and samples wider than the detector).
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numba
import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from firstlight.kernels.angles import opposite_pairs

_HIGHEST_FREQUENCY = 0.25  # cycles per pixel
_ROWS = 64  # of a pair of frames
_COARSE_COLUMNS = 256
_SETTLED = 1e-4  # columns: the next window would be the same
_COARSE_ANGLES = 128
_HIGHEST_ORDER = 400  # cycles per turn: above it there is only noise


class Center(NamedTuple):
    """Column of the rotation axis, counted from 0, and how far to trust it (0 not at all, 1 fully)."""

    value: float
    confidence: float


def center_by_correlation(
    projections: NDArray[np.floating],
    angles_degrees: ArrayLike,
    *,
    pairs: int = 9,
    smoothing: float = 2.0,
    whiten: bool = False,
) -> Center:
    """Find the rotation axis from projections half a turn apart, one the mirror image of the other.

    The phase of the cross spectrum of one projection and the mirrored other holds their shift; each frequency is weighted
    by the power it carries, so that noise has no vote. The median over several pairs is returned. Where pairs deviate
    from half a turn, a line through several deviations gives the center at none.

    Args:
        projections: shape (angle, row, col), or (angle, col) for one row: line integrals.
        angles_degrees: shape (angle,), any order; somewhere in it must be half a turn.
        pairs: pairs to use at most.
        smoothing: width (sigma) in pixels of the blur along columns that keeps noise out.
        whiten: correlate phases alone (Kuglin and Hines 1975): every
            frequency that the blur lets through has the same vote, however little power it carries.

    Returns:
        Column and confidence: the correlation coefficient of the aligned pair, 0 where pairs disagree by columns.

    Raises:
        ValueError: shapes that do not fit, or no pair closer than 5 degree to half a turn.
    """
    frames = projections[:, None, :] if projections.ndim == 2 else projections
    angles = np.asarray(angles_degrees, np.float64)
    if frames.ndim != 3 or angles.shape != frames.shape[:1]:
        raise ValueError(
            f"projections has shape {projections.shape} and angles_degrees {angles.shape}; "
            "expected (angle, row, col) or (angle, col), and (angle,)."
        )
    found = opposite_pairs(angles, pairs)
    if abs(found[0][2]) > 5.0:
        raise ValueError(
            f"the pair of projections closest to half a turn apart is off by {found[0][2]:.1f} degree. "
            "Measure at least 180 degree, or give the center yourself."
        )
    found = [pair for pair in found if abs(pair[2]) <= 5.0]
    off = np.array([deviation for _, _, deviation in found])
    results = [pair_center(_few_rows(frames[a]), _few_rows(frames[b]), smoothing, whiten) for a, b, _ in found]
    columns = np.array([center for center, _ in results])
    value, spread = at_half_turn(off, columns)
    agreement = float(np.median([agreement for _, agreement in results]))
    return Center(value, float(np.clip(agreement / (1.0 + spread**2), 0.0, 1.0)))


def _few_rows(frame: NDArray[np.floating]) -> NDArray[np.float64]:
    """Average neighbouring rows down to `_ROWS` or fewer: keeps the time down and the noise too."""
    if len(frame) <= _ROWS:
        return frame.astype(np.float64)
    edges = np.linspace(0, len(frame), _ROWS + 1).astype(np.intp)
    sums = np.add.reduceat(frame, edges[:-1], axis=0, dtype=np.float64)
    return sums / np.diff(edges)[:, None]


def at_half_turn(off: NDArray[np.float64], columns: NDArray[np.float64]) -> tuple[float, float]:
    """Center where the deviation from half a turn is 0, and the spread about it.

    A pair off by d degree differs by a turn of d, which moves the sample by an amount in proportion: a line through
    several deviations removes it.
    """
    if np.ptp(off) < 1e-3 or np.abs(off).max() < 1e-3:
        value = float(np.median(columns))
        return value, float(np.median(np.abs(columns - value)))
    slope, value = np.polyfit(off, columns, 1)
    return float(value), float(np.median(np.abs(columns - value - slope * off)))


def pair_center(
    first: NDArray[np.floating], second: NDArray[np.floating], smoothing: float = 2.0, whiten: bool = False
) -> tuple[float, float]:
    """Center from one pair, and the correlation coefficient of the pair aligned."""
    columns = first.shape[-1]
    one, other = _level(np.asarray(first, np.float64)), _level(np.asarray(second, np.float64))
    length = scipy.fft.next_fast_len(2 * columns)
    frequency = np.fft.rfftfreq(length)
    blur = np.exp(-2 * (np.pi * frequency * smoothing) ** 2)
    mirror = np.exp(2j * np.pi * frequency * (columns - 1))  # conj(FT of x(columns - 1 - n)) = mirror * FT of x(n)
    center = np.inf
    window = np.ones(columns)
    agreement = 0.0
    for left in reversed(range(4)):
        spectra = np.fft.rfft(one * window, length), np.fft.rfft(other * window, length)
        cross = blur**2 * mirror * (spectra[0] * spectra[1]).sum(axis=0)
        voting = cross
        if whiten:
            voting = cross * blur**2 / np.maximum(np.abs(cross), np.abs(cross).max() * 1e-9 + 1e-300)
        shift = _refine(voting, frequency, _peak(np.fft.irfft(voting, length)))
        before, center = center, (columns - 1 + shift) / 2
        if left == 0 or abs(center - before) < _SETTLED:
            powers = [float(blur**2 @ (each.real**2 + each.imag**2).sum(axis=0)) for each in spectra]
            aligned = float((cross * np.exp(2j * np.pi * frequency * shift)).real.sum())
            agreement = aligned / np.sqrt(powers[0] * powers[1]) if min(powers) > 0 else 0.0
            break
        window = _window(columns, center)  # the part that both see
    return center, agreement


def _level(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract from each row the mean of its ends, so that the zero padding makes no step."""
    rim = max(1, rows.shape[-1] // 64)
    return rows - (rows[..., :rim].mean(-1, keepdims=True) + rows[..., -rim:].mean(-1, keepdims=True)) / 2


def _peak(correlation: NDArray[np.float64]) -> float:
    """Whole-pixel place of the maximum, negative shifts included."""
    place = int(np.argmax(correlation))
    return float(place if place <= correlation.size // 2 else place - correlation.size)


def _refine(cross: NDArray[np.complex128], frequency: NDArray[np.floating], start: float) -> float:
    """Maximum of the correlation between pixels: Newton steps on its Fourier series."""
    shift = start
    omega = 2 * np.pi * frequency
    for _ in range(20):
        wave = cross * np.exp(1j * omega * shift)
        slope, bend = -(omega * wave.imag).sum(), -(omega**2 * wave.real).sum()
        if bend >= 0:
            return start
        step = float(np.clip(-slope / bend, -0.5, 0.5))
        shift += step
        if abs(step) < 1e-6:
            break
    return shift if abs(shift - start) <= 1.5 else start


def center_by_sinogram(
    sinogram: NDArray[np.floating],
    angles_degrees: ArrayLike,
    *,
    low: float | None = None,
    high: float | None = None,
    radius_ratio: float = 0.5,
) -> Center:
    """Find the rotation axis from the Fourier transform of a sinogram (Vo et al. 2014, doi 10.1364/OE.22.019078).

    A half-turn sinogram and its mirror image make a full-turn sinogram if mirrored about the right column. Its spectrum
    then vanishes where |cycles per turn| > 2 pi radius |cycles per pixel|; a wrong column fills that double wedge. The
    column with the least amplitude there is searched coarsely, then finely. Mirroring about any column is one phase
    factor in the spectrum, so the sinogram is transformed once, not once a column.

    Args:
        sinogram: shape (angle, col): line integrals of one row.
        angles_degrees: shape (angle,): any order, at least half a turn; resampled where not equally spaced.
        low: lowest column tried; a quarter of the width from the middle by default.
        high: highest column tried, likewise.
        radius_ratio: radius of the sample over the width of the field of view.

    Returns:
        Column and confidence: how far the minimum lies below the next best one, over its depth.

    Raises:
        ValueError: shapes that do not fit, less than half a turn, or an empty range.
    """
    half_turn = _half_turn(sinogram, np.asarray(angles_degrees, np.float64))
    columns = half_turn.shape[1]
    middle = (columns - 1) / 2
    least = middle - columns / 4 if low is None else low
    most = middle + columns / 4 if high is None else high
    if not 0 <= least < most <= columns - 1:
        raise ValueError(f"the range of columns {least} to {most} is empty or leaves the detector 0 to {columns - 1}.")
    binning = max(1, columns // _COARSE_COLUMNS)
    place, depth = _coarse_search(_bin(half_turn, binning), (least / binning, most / binning), radius_ratio)
    best, reach = float(place[int(np.argmin(depth))]) * binning + (binning - 1) / 2, 1.5 * binning
    for step in (reach / 6, 0.1, 0.02):
        fine = best + np.arange(-8, 9) * step
        best = parabola(fine, _wedge_amplitude(*_wedge(half_turn, best, radius_ratio), fine))
    return Center(min(max(best, least), most), confidence_of(place, depth))


def _bin(half_turn: NDArray[np.float64], binning: int) -> NDArray[np.float64]:
    """Average neighbouring columns, and angles down to `_COARSE_ANGLES`: the coarse search needs no more."""
    columns = half_turn.shape[1] // binning
    binned = half_turn[:, : columns * binning].reshape(half_turn.shape[0], columns, binning).mean(axis=2)
    group = max(1, half_turn.shape[0] // _COARSE_ANGLES)
    while half_turn.shape[0] % group:  # a remainder would spoil the half turn
        group -= 1
    return binned.reshape(-1, group, columns).mean(axis=1)


def _coarse_search(
    half_turn: NDArray[np.float64], limits: tuple[float, float], radius_ratio: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Amplitude in the wedge for columns over the whole range, each seen through a window symmetric about it."""
    windows = max(3, int(np.ceil((limits[1] - limits[0]) / 4.0)))
    edges = np.linspace(limits[0], limits[1], windows + 1)
    places, depths = [], []
    for left, right in pairwise(edges.tolist()):
        place = np.linspace(left, right, max(2, int(np.ceil((right - left) / 0.5))), endpoint=False)
        places.append(place)
        depths.append(_wedge_amplitude(*_wedge(half_turn, (left + right) / 2, radius_ratio), place))
    return np.concatenate(places), np.concatenate(depths)


def _half_turn(sinogram: NDArray[np.floating], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equally spaced angles over exactly half a turn, [0, 180), from any list that holds one."""
    if sinogram.ndim != 2 or angles.shape != sinogram.shape[:1]:
        raise ValueError(
            f"sinogram has shape {sinogram.shape} and angles_degrees {angles.shape}; expected (angle, col) and (angle,)."
        )
    order = np.argsort(angles, kind="stable")
    ordered, distinct = np.unique(angles[order], return_index=True)
    rows = sinogram[order[distinct]].astype(np.float64)
    usual = float(np.median(np.diff(ordered))) if ordered.size > 1 else 0.0
    if ordered.size < 8 or ordered[-1] - ordered[0] + 1.5 * usual < 180.0:
        raise ValueError(
            f"the angles span {np.ptp(angles):.1f} degree in {ordered.size} steps; half a turn (180) is needed. "
            "Use the correlation method, or give the center yourself."
        )
    count = max(8, round(180.0 / usual))
    wanted = ordered[0] + np.arange(count) * 180.0 / count
    right = np.clip(np.searchsorted(ordered, wanted), 1, ordered.size - 1)
    part = (wanted - ordered[right - 1]) / (ordered[right] - ordered[right - 1])
    part = np.clip(part, 0.0, 1.0)[:, None]
    return (1 - part) * rows[right - 1] + part * rows[right]


def _wedge(
    half_turn: NDArray[np.float64], center: float, radius_ratio: float
) -> tuple[NDArray[np.complex64], NDArray[np.complex64], NDArray[np.float64]]:
    """The part of the spectrum that vanishes at the right center: of the half turn, its mirror image, and 4 pi k.

    With A the spectrum of a row, the mirrored row has conj(A) exp(-4 pi i k center). The derivative along columns is
    used, whose mirror image changes sign, inside a window symmetric about the center: a sample wider than the detector
    is then cut at the same place in both.
    """
    angles, columns = half_turn.shape
    slope = np.gradient(half_turn, axis=1) * _window(columns, center)
    length = scipy.fft.next_fast_len(2 * columns, real=True)
    frequency = np.fft.rfftfreq(length)
    inside = frequency < _HIGHEST_FREQUENCY
    rows = np.fft.rfft(slope, length)[:, inside]
    turn = np.fft.fftfreq(2 * angles, 1 / (2 * angles))  # cycles per turn
    half = np.fft.fft(rows, 2 * angles, axis=0)
    mirror = -np.fft.fft(np.conj(rows), 2 * angles, axis=0) * np.where(turn % 2 == 0, 1.0, -1.0)[:, None]
    order, k = np.abs(turn)[:, None], frequency[inside][None]
    mask = (order > 2 * np.pi * radius_ratio * columns * k) & (order > 4) & (order < _HIGHEST_ORDER) & (k > 0)
    row, column = np.nonzero(mask)
    half, mirror, weight = half[row, column], mirror[row, column], 1.0 / order[row, 0]
    weight /= float((weight * np.hypot(np.abs(half), np.abs(mirror))).sum()) or 1.0
    return (half * weight).astype(np.complex64), (mirror * weight).astype(np.complex64), 4 * np.pi * k[0, column]


def _window(columns: int, center: float) -> NDArray[np.float64]:
    """Window over the columns that are on the detector on both sides of the center, with soft rims."""
    place = np.arange(columns)
    room = np.minimum(np.minimum(place, 2 * center - place), columns - 1 - np.maximum(place, 2 * center - place))
    return np.sin(np.pi / 2 * np.clip((room + 1) / (columns / 32), 0.0, 1.0)) ** 2


@numba.njit(nogil=True, cache=True, fastmath=True)
def _wedge_amplitude(half: Any, mirror: Any, phase: Any, centers: Any) -> Any:
    """Amplitude in the double wedge for each center tried, over that of the two halves added at random (1)."""
    result = np.empty(centers.size)
    for i in range(centers.size):
        total = 0.0
        for n in range(half.size):
            angle = phase[n] * centers[i]
            value = half[n] + mirror[n] * np.complex64(complex(np.cos(angle), -np.sin(angle)))
            total += np.sqrt(value.real * value.real + value.imag * value.imag)
        result[i] = total
    return result


def parabola(place: NDArray[np.floating], depth: NDArray[np.float64]) -> float:
    """Place of the minimum: a parabola through the least sample and its neighbours."""
    i = int(np.argmin(depth))
    if i in (0, depth.size - 1):
        return float(place[i])
    before, at, after = depth[i - 1 : i + 2]
    bend = before - 2 * at + after
    return float(place[i] + (0.5 * (before - after) / bend if bend > 0 else 0.0) * (place[i + 1] - place[i]))


def confidence_of(place: NDArray[np.float64], depth: NDArray[np.float64]) -> float:
    """How far the best minimum lies below everything a few columns away, over its depth; less if it is shallow."""
    best = int(np.argmin(depth))
    away = np.abs(place - place[best]) > 5.0
    usual = float(np.median(depth))
    drop = usual - float(depth[best])
    if not away.any() or drop <= 0:
        return 0.0
    lead = float(depth[away].min() - depth[best]) / drop
    return float(np.clip(lead * min(1.0, drop / (0.05 * usual)), 0.0, 1.0))

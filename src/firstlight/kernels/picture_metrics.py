"""Numbers by which pictures of the same object, made with different parameters, are compared.

A wrong rotation axis or a wrong filter spreads what was sharp: values between the true ones appear, so that the histogram
gets wider and its entropy rises; attenuation becomes negative beside what is doubled (Donath et al. 2006,
10.1364/JOSAA.23.001048). Pictures are smoothed a little first, because what noise does to a histogram
hides the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .smooth import smoothed

Picture = NDArray[np.floating]

INSIDE = 0.9
"""Share of the inscribed circle's radius that is looked at: beyond it lie the artefacts of the field's edge."""
SMOOTHING = 0.7
"""Standard deviation in pixel of what is done against noise."""
COARSE = 2.0
"""The same for gradients, which noise fills sooner than histograms."""
FINE = 32768
"""Bins that values are counted in, over a range from -2^k to 2^k."""
BINS = 256
"""Bins that the entropy is computed with."""
TAIL = 0.001
"""Share of the values at each end, over all pictures, that does not widen the range of the histogram."""


@dataclass(slots=True)
class Histogram:
    """Counts of values between -2^power and 2^power in `FINE` bins.

    A range twice as wide holds each pair of neighbouring bins as one, so that the counts of many pictures do not depend on
    the order in which they came.
    """

    counts: NDArray[np.int64]
    power: int

    def widened(self, power: int) -> Histogram:
        """The same values counted over a wider range."""
        counts = self.counts
        for _ in range(power - self.power):
            wider = np.zeros_like(counts)
            wider[FINE // 4 : 3 * FINE // 4] = counts.reshape(-1, 2).sum(axis=1)
            counts = wider
        return Histogram(counts, max(power, self.power))

    def __add__(self, other: Histogram) -> Histogram:
        """The values of both."""
        power = max(self.power, other.power)
        return Histogram(self.widened(power).counts + other.widened(power).counts, power)


def metrics(picture: Picture) -> tuple[Histogram, dict[str, float]]:
    """The histogram, and the other numbers by name, of a picture that is smoothed once for them.

    Args:
        picture: shape (row, col); values that are not finite do not count.
    """
    values = _inside(picture)
    numbers = {"sharpness": sharpness(picture), "negativity": _negativity(values), "std": _spread(values)}
    return _histogram(values), numbers


def histogram(picture: Picture) -> Histogram:
    """The smoothed values inside the circle.

    Args:
        picture: shape (row, col); values that are not finite do not count.
    """
    return _histogram(_inside(picture))


def _histogram(values: NDArray[np.float64]) -> Histogram:
    largest = float(np.abs(values).max()) if values.size else 0.0
    power = int(np.frexp(largest)[1]) if largest else 0
    return Histogram(np.histogram(values, FINE, (-(2.0**power), 2.0**power))[0].astype(np.int64), power)


def entropy(counted: Histogram) -> float:
    """Differential entropy in bit of values in units of their standard deviation; NaN where all are the same.

    2.05 for a normal distribution, less where values keep to a few levels. No number by which a whole picture is
    multiplied changes it: a narrower histogram of a darker picture is no proof of order.
    """
    total = np.cumsum(counted.counts)
    if not total[-1]:
        return float("nan")
    low = int(np.searchsorted(total, TAIL * total[-1], side="right"))
    high = int(np.searchsorted(total, (1 - TAIL) * total[-1])) + 1
    edges = np.unique(np.linspace(low, max(high, low + 1), BINS + 1).astype(np.int64))
    fine, place = counted.counts[low : edges[-1]], np.arange(low, edges[-1]) + 0.5
    mean = float(np.average(place, weights=fine))
    deviation = float(np.sqrt(np.average((place - mean) ** 2, weights=fine)))
    if deviation <= 0:
        return float("nan")
    share = np.add.reduceat(fine, edges[:-1] - low) / fine.sum()
    width = np.diff(edges) / deviation
    there = share > 0
    return float(-(share[there] * np.log2(share[there] / width[there])).sum())


def sharpness(picture: Picture) -> float:
    """Mean square gradient over the squared mean magnitude, inside the circle, of values smoothed by `COARSE`.

    Per square pixel. The mean magnitude is what a wrong axis leaves as it is, unlike the variance.
    """
    smooth, inside = _smoothed(picture, COARSE)
    squares, size = _mean_squares(smooth, inside)
    return squares / size**2 if size > 0 else 0.0


@numba.njit(nogil=True, cache=True)
def _mean_squares(smooth: Any, inside: Any) -> Any:
    """The mean square gradient where a pixel and those below and to the right are inside; the mean magnitude inside."""
    squares, count, magnitude, pixels = 0.0, 0, 0.0, 0
    for row in range(smooth.shape[0]):
        for col in range(smooth.shape[1]):
            if not inside[row, col]:
                continue
            value = smooth[row, col]
            magnitude += abs(value)
            pixels += 1
            if (
                row + 1 < smooth.shape[0]
                and col + 1 < smooth.shape[1]
                and inside[row + 1, col]
                and inside[row, col + 1]
            ):
                squares += (smooth[row + 1, col] - value) ** 2 + (smooth[row, col + 1] - value) ** 2
                count += 1
    return squares / max(count, 1), magnitude / max(pixels, 1)


def negativity(picture: Picture) -> float:
    """Sum of the negative values over the sum of all magnitudes, inside the circle: 0 (none) to -1."""
    return _negativity(_inside(picture))


def _negativity(values: NDArray[np.float64]) -> float:
    total = float(np.abs(values).sum())
    return float(np.minimum(values, 0).sum()) / total if total else 0.0


def spread(picture: Picture) -> float:
    """Standard deviation of the smoothed values over their mean magnitude, inside the circle."""
    return _spread(_inside(picture))


def _spread(values: NDArray[np.float64]) -> float:
    size = float(np.abs(values).mean()) if values.size else 0.0
    return float(values.std()) / size if size > 0 else 0.0


def _inside(picture: Picture) -> NDArray[np.float64]:
    smooth, inside = _smoothed(picture)
    return smooth[inside]


def _smoothed(picture: Picture, width: float = SMOOTHING) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The picture, smoothed, and which of its pixels count."""
    known = np.isfinite(picture)
    values = picture if known.all() else np.where(known, picture, 0)
    rows, columns = picture.shape
    if min(rows, columns) < 8:  # a line or less: no circle
        return values.astype(np.float64), known
    y = (np.arange(rows) - (rows - 1) / 2) / (rows / 2)
    x = (np.arange(columns) - (columns - 1) / 2) / (columns / 2)
    circle = y[:, None] ** 2 + x[None, :] ** 2 <= INSIDE**2
    return smoothed(values, width), known & circle

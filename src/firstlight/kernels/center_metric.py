"""Find the column of the rotation axis by the look of the slice: reconstruct one row about many columns, take the best.

Donath et al. (2006, doi 10.1364/JOSAA.23.001048): about a wrong column every detail is drawn out to an arc, which blurs
edges and fills gaps. The search is coarse on binned data first, then fine.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from firstlight.kernels.center import Center, confidence_of, parabola
from firstlight.kernels.fourier import FourierFBP
from firstlight.kernels.picture_metrics import entropy, histogram, spread

Metric = Literal["entropy", "sharpness"]

_COARSE_COLUMNS = 192
_FINE_COLUMNS = 768
_ANGLES = 360
_COSTS = {
    "entropy": lambda picture: entropy(histogram(picture)),
    "sharpness": lambda picture: 1.0 / max(spread(picture), 1e-30),
}


def center_by_metric(
    sinogram: NDArray[np.floating],
    angles_degrees: ArrayLike,
    *,
    metric: Metric = "entropy",
    low: float | None = None,
    high: float | None = None,
) -> Center:
    """Find the rotation axis where the slice has the least entropy of its histogram, or the most contrast.

    Args:
        sinogram: shape (angle, col): line integrals of one row.
        angles_degrees: shape (angle,): any order, half a turn at least.
        metric: `entropy` (of the grey values), or `sharpness` (the variance of the slice: what is drawn out
            to arcs loses contrast).
        low: lowest column tried; a quarter of the width from the middle by default.
        high: highest column tried, likewise.

    Returns:
        Column and confidence: how far the best value lies from the next best one.

    Raises:
        ValueError: shapes that do not fit, or an empty range.
    """
    angles = np.asarray(angles_degrees, np.float64)
    if sinogram.ndim != 2 or angles.shape != sinogram.shape[:1]:
        raise ValueError(
            f"sinogram has shape {sinogram.shape} and angles_degrees {angles.shape}; expected (angle, col)."
        )
    columns = sinogram.shape[1]
    middle = (columns - 1) / 2
    least = middle - columns / 4 if low is None else low
    most = middle + columns / 4 if high is None else high
    if not 0 <= least < most <= columns - 1:
        raise ValueError(f"the range of columns {least} to {most} is empty or leaves the detector 0 to {columns - 1}.")
    sinogram, angles = _fewer_angles(sinogram, angles)
    coarse = max(1, columns // _COARSE_COLUMNS)
    tried = np.arange(least, most + coarse / 2, coarse)
    cost = _costs(sinogram, angles, tried, metric, coarse)
    best = parabola(tried, cost)
    for binning, step in ((max(1, columns // _FINE_COLUMNS), coarse / 4), (max(1, columns // _FINE_COLUMNS), 0.25)):
        fine = best + np.arange(-4, 5) * max(step, 0.25)
        best = parabola(fine, _costs(sinogram, angles, fine, metric, binning))
    return Center(float(np.clip(best, least, most)), confidence_of(tried, cost))


def _fewer_angles(
    sinogram: NDArray[np.floating], angles: NDArray[np.float64]
) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    """Every n-th projection: which column is best shows in few of them."""
    step = max(1, angles.size // _ANGLES)
    order = np.argsort(angles, kind="stable")[::step]
    return sinogram[order], angles[order]


def _costs(
    sinogram: NDArray[np.floating],
    angles: NDArray[np.float64],
    tried: NDArray[np.floating],
    metric: Metric,
    binning: int,
) -> NDArray[np.float64]:
    """What the metric gives for each column tried, on columns binned; less is better."""
    width = sinogram.shape[1] // binning
    rows = sinogram[:, : width * binning].reshape(len(sinogram), width, binning).mean(axis=2).astype(np.float32)
    place = (tried - (binning - 1) / 2) / binning
    ends = (float(place.min()), float(place.max()))
    size = width + 2 * int(np.ceil(max(abs(end - (width - 1) / 2) for end in ends)))  # the sample stays inside
    plan = FourierFBP(angles, width, center=ends, window="parzen", padding="edge", size=size)
    slices = (
        plan.reconstruct(np.broadcast_to(rows, (len(part), *rows.shape)), center=part)
        for part in np.array_split(place, max(1, len(place) // 8))
    )
    cost = np.array([_COSTS[metric](each) for part in slices for each in part])
    return np.where(np.isfinite(cost), cost, 0.0)

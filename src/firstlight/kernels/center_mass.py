"""Find the column of the rotation axis by the centres of mass of the projections: any range of angles will do.

The centre of mass of what a projection shows is the projection of the sample's own, which goes round the axis: over the
angles it follows ``center + x cos(angle) + y sin(angle)`` (the first of the Helgason-Ludwig conditions). A part of the turn
is enough to tell the three numbers apart. What must hold: the whole sample is inside the frame, and air is 0.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from firstlight.kernels.center import Center

_ROUNDS = 10
_SOFT = 1.5  # spreads beyond which a projection loses weight
_INDEPENDENT = 50  # projections that err on their own, at most: neighbours err alike
_RIM = 64  # share of the width (1 over this) at either side that must see air
_ENOUGH = 0.9  # share of the projections that must show the sample at all
_LEAKS = (0.05, 0.1)  # what stands at the rims over the thickest part: fine up to, useless from
_UNSTEADY = (0.05, 0.1)  # how much the mass changes with the angle: fine up to, useless from


def center_by_mass(sinogram: NDArray[np.floating], angles_degrees: ArrayLike) -> Center:
    """Find the rotation axis as that about which the centre of mass goes round (Azevedo et al. 1990, doi 10.1109/23.55866).

    Args:
        sinogram: shape (angle, col): line integrals of one row.
        angles_degrees: shape (angle,): any order, any range; the shorter, the less certain.

    Returns:
        Column and confidence: 1 / (1 + error²) with the error of the fit in columns, less where the mass is not the same at
        all angles or does not end before the rims of the frame: part of the sample is not seen then.

    Raises:
        ValueError: shapes that do not fit, or fewer than eight projections.
    """
    angles = np.deg2rad(np.asarray(angles_degrees, np.float64))
    if sinogram.ndim != 2 or angles.shape != sinogram.shape[:1] or angles.size < 8:
        raise ValueError(
            f"sinogram has shape {sinogram.shape} and angles_degrees {angles.shape}; expected (angle, col) and (angle,),"
            " of eight projections or more."
        )
    values, leak = _without_background(sinogram.astype(np.float64))
    mass = values.sum(axis=1)
    usual = float(np.median(mass))
    good = mass > usual / 2
    if usual <= 0 or good.mean() < _ENOUGH:
        return Center(float("nan"), 0.0)
    mass = mass[good]
    unsteady = float(mass.std()) / usual
    place = (values[good] * np.arange(values.shape[1])).sum(axis=1) / mass
    center, error = _constant_part(angles[good], place)
    return Center(center, _fine(leak, *_LEAKS) * _fine(unsteady, *_UNSTEADY) / (1.0 + error**2))


def _without_background(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Less the straight line between what both rims usually show; and the most that they show, over the thickest part."""
    columns = values.shape[1]
    rim = max(2, columns // _RIM)
    sides = np.stack([values[:, :rim].mean(axis=1), values[:, -rim:].mean(axis=1)])
    level = np.median(sides, axis=1)
    high = float(np.percentile(values, 95))
    leak = float(np.sqrt((sides**2).mean(axis=1)).max()) / high if high > 0 else np.inf
    return values - np.interp(np.arange(columns), [(rim - 1) / 2, columns - (rim + 1) / 2], level), leak


def _constant_part(angles: NDArray[np.float64], place: NDArray[np.float64]) -> tuple[float, float]:
    """The constant of ``constant + x cos + y sin``, and its standard error; projections far off (Cauchy) hardly count."""
    basis = np.stack([np.ones_like(angles), np.cos(angles), np.sin(angles)], axis=1)
    weight, found, off = np.ones_like(place), np.zeros(3), place
    for _ in range(_ROUNDS):
        root = np.sqrt(weight)
        found = np.linalg.lstsq(basis * root[:, None], place * root, rcond=None)[0]
        off = place - basis @ found
        spread = max(_SOFT * 1.4826 * float(np.median(np.abs(off))), 1e-9)
        weight = 1 / (1 + (off / spread) ** 2)
    variance = float(np.average(off**2, weights=weight)) / min(_INDEPENDENT, angles.size)
    return float(found[0]), float(np.sqrt(variance * np.linalg.pinv(basis.T @ basis / angles.size)[0, 0]))


def _fine(value: float, good: float, useless: float) -> float:
    return float(np.clip((useless - value) / (useless - good), 0.0, 1.0))

"""Find the rotation axis, and by how much it leans within the detector's plane, from projections half a turn apart.

Half a turn later a projection is its own mirror image about the axis. Where the axis leans to the right by `roll`, the
mirror image in the detector's columns is turned by twice that: rows mix, and what single rows tell of the axis is wrong as
soon as they differ. So both frames are turned until each row of one is the mirror image of the same row of the other.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import affine_transform, gaussian_filter

from firstlight.kernels.center import at_half_turn, pair_center

F64 = NDArray[np.float64]

MOST = 5.0
"""Degrees to either side that are looked at."""
_BLUR = 1.5  # pixels: turning blurs, and what is blurred correlates better; so all is blurred before
_COARSE = 0.5
_CUT = 0.25  # of the rows, at either end: they are left out, and what is looked at is less in low, wide frames
_FINE = (0.1, 0.02)
_SURE = 0.1  # degrees that pairs may differ by


class LeaningAxis(NamedTuple):
    """Where the axis crosses the middle row, its lean to the right in degree, and how far to trust both (0 to 1)."""

    center: float
    roll: float
    confidence: float


def axis_by_pairs(first: NDArray[np.floating], second: NDArray[np.floating], off: ArrayLike) -> LeaningAxis:
    """Turn pairs of projections until one is the mirror image of the other, row by row.

    Args:
        first: shape (pair, row, col): line integrals.
        second: likewise, about half a turn later.
        off: shape (pair,): by how many degrees each pair misses half a turn.

    Returns:
        The axis, the middle row being (row - 1) / 2. The confidence is the correlation coefficient of the turned pairs, less
        where pairs disagree, and where they agree nearly as well about other axes: of a sample that looks the same
        however it is turned in the detector's plane.

    Raises:
        ValueError: shapes that do not fit.
    """
    deviation = np.asarray(off, np.float64)
    if first.ndim != 3 or first.shape != second.shape or deviation.shape != first.shape[:1]:
        raise ValueError(f"pairs of frames have shapes {first.shape} and {second.shape}, and off {deviation.shape}.")
    found = np.array([_of_pair(one, other) for one, other in zip(first, second, strict=True)])
    center, roll, agreement, lead = found.T
    middle, _ = at_half_turn(deviation, center)
    lean, spread = at_half_turn(deviation, roll)
    sure = float(np.median(lead)) / (1 + (spread / _SURE) ** 2)
    return LeaningAxis(middle, lean, float(np.clip(np.median(agreement) * sure, 0.0, 1.0)))


def _of_pair(one: NDArray[np.floating], other: NDArray[np.floating]) -> tuple[float, float, float, float]:
    """Column in the middle row, roll, correlation coefficient there, and which part of the usual mismatch is gone."""
    frames = gaussian_filter(one.astype(np.float64), _BLUR), gaussian_filter(other.astype(np.float64), _BLUR)
    rows, columns = one.shape
    most = min(MOST, float(np.rad2deg(np.arctan2(_CUT * rows, columns / 2))))
    rim = int(np.ceil(columns / 2 * np.sin(np.deg2rad(most)))) + 1  # rows that come from beyond the frame

    def tried(rolls: NDArray[np.floating]) -> tuple[F64, F64]:
        turned = [[_turned(frame, each)[rim : rows - rim] for frame in frames] for each in rolls.tolist()]
        center, agreement = np.array([pair_center(left, right) for left, right in turned]).T
        return center, agreement

    rolls = np.linspace(-most, most, max(5, 2 * round(most / _COARSE) + 1))
    agreement = tried(rolls)[1]
    usual = float(np.median(agreement))
    best = _highest(rolls, agreement)
    for step in _FINE:
        fine = best + np.arange(-4, 5) * step
        best = _highest(fine, tried(fine)[1])
    center, agreement = tried(np.array([best]))
    left = (1 - float(agreement[0])) / max(1 - usual, 1e-12)
    return float(center[0]), best, float(agreement[0]), 1 - min(left, 1.0)


def _highest(place: NDArray[np.floating], value: F64) -> float:
    """Place of the maximum: a parabola through the highest sample and its neighbours."""
    i = int(np.argmax(value))
    if i in (0, value.size - 1):
        return float(place[i])
    before, at, after = value[i - 1 : i + 2]
    bend = before - 2 * at + after
    return float(place[i] + (0.5 * (before - after) / bend if bend < 0 else 0.0) * (place[1] - place[0]))


def _turned(frame: F64, roll: float) -> F64:
    """A frame turned about its middle so that an axis that leans to the right by `roll` (degree) stands upright."""
    sine, cosine = np.sin(np.deg2rad(roll)), np.cos(np.deg2rad(roll))
    back = np.array([[cosine, sine], [-sine, cosine]])  # upright (row, col) to where it is in the frame
    middle = (np.array(frame.shape) - 1) / 2
    return affine_transform(frame, back, middle - back @ middle, order=1, mode="nearest")

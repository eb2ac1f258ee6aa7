"""Weights of rays that a fan or cone beam sees once or twice, for scans that are no whole turns.

A source that goes once around sees every ray of the middle plane twice, from either end. Over half a turn and the opening of
the fan it sees some once and some twice: each measurement of a ray gets its part, smoothly, so that the ramp filter meets no
step (Parker, Med. Phys. 9 (1982) 254). The parts are those of Noo et al. (Phys. Med. Biol. 47 (2002) 2525), which hold for any
range of angles: a window c over the scan, which rises from 0 at its begin and falls to 0 at its end, and

    w(angle, column) = c(angle) / sum of c over all angles at which the same ray was measured.

Those are the angle itself, angle + 180 - 2 arctan(u / distance) degree, where u is how far from the foot of the source the ray
meets the detector, and any number of whole turns more. Rays off the middle plane take the weights of those on it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]

_WHOLE = 0.75
"""Steps of the angle by which a scan may miss a whole turn (without or with its end) and still be one."""


def measured_parts(
    angles_degrees: ArrayLike, columns: int, *, center: float, distance: float, source_x: float = 0.0
) -> tuple[NDArray[np.float32], F64] | None:
    """How much each ray counts, where the scan is no whole turn (or several).

    Args:
        angles_degrees: shape (angle,), in any order.
        columns: of the detector.
        center: column onto which the rotation axis projects.
        distance: from the source to the rotation axis, in pixels at the axis.
        source_x: how far the source stands to the right of the detector's normal through the axis, in the same pixels.

    Returns:
        Part of each ray, float32 (angle, col), 1 where it was measured once; and the width of each angle in radian,
        (angle,). None for whole turns, and where all angles are equal.
    """
    angles = np.asarray(angles_degrees, np.float64)
    ordered = np.unique(angles)
    if ordered.size < 3:
        return None
    begin, extent, usual = ordered[0], ordered[-1] - ordered[0], float(np.median(np.diff(ordered)))
    turns = np.round(extent / 360.0)
    if turns > 0 and -(1 + _WHOLE) * usual < extent - 360.0 * turns < _WHOLE * usual:
        return None
    place = np.arange(columns) - center
    to_axis, to_pixel = np.arctan2(-source_x, distance), np.arctan2(place - source_x, distance)
    fan = np.rad2deg(to_pixel - to_axis)
    rise = _rise(extent, float(np.abs(fan).max()))
    own = _window(angles - begin, extent, rise)[:, None]
    seen = np.zeros((angles.size, columns))
    there = (angles - begin)[:, None]
    other = there + 180.0 - 2 * fan
    for turn in range(-int(extent // 360) - 2, int(extent // 360) + 3):
        seen += _window(there + 360.0 * turn, extent, rise) + _window(other + 360.0 * turn, extent, rise)
    parts = own / np.maximum(seen, np.finfo(np.float64).tiny)
    return parts.astype(np.float32), np.deg2rad(_widths(angles, ordered, usual))


def _rise(extent: float, opening: float) -> float:
    """Over how many degrees the window rises: what the scan has beyond half a turn, or the opening of the fan at least."""
    surplus = extent % 360.0 - 180.0 if extent > 180.0 else 0.0
    surplus = surplus if surplus > 0 else extent % 180.0
    return float(np.clip(surplus, max(2 * opening, 1.0), max(extent / 2, 1.0)))


def _window(place: F64, extent: float, rise: float) -> F64:
    """Rises from (nearly) 0 at 0, falls to it at the extent; 0 outside. The end itself is not 0: its rays may be seen once."""
    inside = np.clip(np.minimum(place, extent - place) / rise, 1e-3, 1.0)
    return np.where((place >= -1e-9) & (place <= extent + 1e-9), np.sin(np.pi / 2 * inside) ** 2, 0.0)


def _widths(angles: F64, ordered: F64, usual: float) -> F64:
    """Half the gap to the neighbour on either side, in degree; equal angles share theirs, and a wide gap is not filled."""
    gaps = np.diff(ordered, prepend=ordered[0] - usual, append=ordered[-1] + usual)
    gaps = np.where(gaps > 10 * usual, usual, gaps)
    width = (gaps[1:] + gaps[:-1]) / 2
    at = np.searchsorted(ordered, angles)
    return (width / np.bincount(at, minlength=ordered.size))[at]

"""Numerics of projection angles: weights of arbitrary angle lists and pairs half a turn apart."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MISSING_WEDGE = 10.0  # a gap this many times the median one was never meant to be measured
_SAME_ANGLE = 1e-3  # of the mean step: angles closer than this count as repeated


def angular_weights(angles_degrees: ArrayLike, *, fill_gaps: bool = True) -> NDArray[np.float64]:
    """Return how much of the half turn each projection stands for.

    In parallel beam a projection and the one half a turn later hold the same rays, so angles are sorted modulo 180
    degree and each stands for half the gap to either neighbour. Repeated angles (and those exactly half a turn apart)
    share the weight of one. A gap wider than ten times the median is a missing wedge: nothing outside the measured
    range is credited to the projections at its rim beyond half a median gap.

    Args:
        angles_degrees: shape (angle,), in any order, any number of turns, any spacing.
        fill_gaps: False leaves gaps above 2.5 times the median unfilled too (lost frames count as zero, not as
            their neighbours).

    Returns:
        float64 array (angle,) in radian, in the order given; the sum is pi for a complete half turn.

    Raises:
        ValueError: no angles, not one-dimensional, or not finite.
    """
    angles = np.asarray(angles_degrees, np.float64)
    if angles.ndim != 1 or angles.size == 0:
        raise ValueError(f"angles_degrees has shape {angles.shape}, expected (angle,) with at least one angle.")
    if not np.all(np.isfinite(angles)):
        bad = int(np.flatnonzero(~np.isfinite(angles))[0])
        raise ValueError(f"angles_degrees[{bad}] is {angles[bad]}, expected a finite angle in degree.")
    folded = np.mod(angles, 180.0)
    order = np.argsort(folded, kind="stable")
    ordered = folded[order]
    tolerance = _SAME_ANGLE * 180.0 / angles.size
    group = np.concatenate([[0], np.cumsum(np.diff(ordered) > tolerance)])
    if group[-1] > 0 and ordered[0] + 180.0 - ordered[-1] <= tolerance:
        group[group == group[-1]] = 0  # the list closes on itself: 179.9999999 is 0
    distinct, first, counts = np.unique(group, return_index=True, return_counts=True)
    weight = _cell_widths(ordered[first], 2.5 if not fill_gaps else _MISSING_WEDGE)
    result = np.empty(angles.size)
    result[order] = (weight / counts)[np.searchsorted(distinct, group)]
    return np.deg2rad(result)


def _cell_widths(ordered: NDArray[np.float64], wedge: float) -> NDArray[np.float64]:
    """Half the gap to the neighbour on either side, in degree, on a circle of 180 degree."""
    if ordered.size == 1:
        return np.array([180.0])
    gap = np.diff(ordered, append=ordered[0] + 180.0)
    usual = float(np.median(gap))
    gap = np.where(gap > wedge * usual, usual, gap)
    return (gap + np.roll(gap, 1)) / 2


def opposite_pairs(angles_degrees: ArrayLike, count: int = 1) -> list[tuple[int, int, float]]:
    """Find the pairs of projections closest to half a turn apart.

    Args:
        angles_degrees: shape (angle,), any order.
        count: pairs wanted, spread over the scan where several are equally good.

    Returns:
        Up to `count` tuples (first index, second index, angle of the second minus the first minus 180, in degree), best
        first.

    Raises:
        ValueError: fewer than two angles.
    """
    angles = np.asarray(angles_degrees, np.float64)
    if angles.ndim != 1 or angles.size < 2:
        raise ValueError(f"angles_degrees has shape {angles.shape}, expected (angle,) with at least two angles.")
    turned = np.mod(angles, 360.0)
    order = np.argsort(turned, kind="stable")
    ordered = np.concatenate([turned[order] - 360.0, turned[order], turned[order] + 360.0])
    index = np.concatenate([order, order, order])
    right = np.searchsorted(ordered, turned + 180.0)
    near = np.clip(right[:, None] + np.arange(-count - 1, count + 1), 0, ordered.size - 1)
    found: dict[tuple[int, int], float] = {}
    for first in range(angles.size):
        for place in near[first]:
            second, deviation = int(index[place]), float(ordered[place] - turned[first] - 180.0)
            pair, signed = ((first, second), deviation) if second > first else ((second, first), -deviation)
            if first != second and abs(signed) < abs(found.get(pair, np.inf)):
                found[pair] = signed
    tolerance = _SAME_ANGLE * 360.0 / angles.size
    ranked = sorted(found.items(), key=lambda item: (round(abs(item[1]) / tolerance), item[0]))
    equal = [item for item in ranked if abs(item[1]) <= abs(ranked[0][1]) + tolerance]
    if len(equal) > count:
        ranked = [equal[round(i * (len(equal) - 1) / max(1, count - 1))] for i in range(count)]
    return [(a, b, d) for (a, b), d in ranked[:count]]

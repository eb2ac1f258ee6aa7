"""A straight line through points of which some are wrong."""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

_ROUNDS = 20
_SOFT = 1.5  # spreads beyond which a point loses weight
_FLOOR = 0.05  # least spread: points nearer to the line than this are all good


def straight_line(place: F64, value: F64, trust: F64) -> tuple[float, float, float]:
    """Value at place 0, slope, and how many of the trusted points lie on the line, between 0 and 1.

    Starts with the median of the slopes between all pairs of trusted points (Theil and Sen), which a third of wrong points does not
    move, then weighs points by their distance from the line (Cauchy's weights) and their trust.

    Args:
        place: shape (point,).
        value: shape (point,).
        trust: shape (point,), from 0 (ignore) up.
    """
    good = (trust > 0.25 * trust.max(initial=0.0)) & np.isfinite(value)
    if good.sum() == 0:
        return float("nan"), float("nan"), 0.0
    place, value, trust = place[good], value[good], trust[good]
    if place.size == 1:
        return float(value[0]), 0.0, float(trust[0])
    left, right = np.triu_indices(place.size, 1)
    slope = float(np.median((value[right] - value[left]) / (place[right] - place[left])))
    offset = float(np.median(value - slope * place))
    weight = trust
    for _ in range(_ROUNDS):
        far = np.abs(value - offset - slope * place)
        spread = max(_SOFT * 1.4826 * float(np.median(far)), _FLOOR)
        weight = trust / (1 + (far / spread) ** 2)
        mean_place, mean_value = np.average(place, weights=weight), np.average(value, weights=weight)
        across = place - mean_place
        slope = float((weight * across * (value - mean_value)).sum() / (weight * across**2).sum())
        offset = float(mean_value - slope * mean_place)
    return offset, slope, float(np.clip(np.average(trust, weights=trust) * weight.sum() / trust.sum(), 0.0, 1.0))

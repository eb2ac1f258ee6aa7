"""Noise of a picture, from what neighbouring pixels do not share."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .levels import value_of_rank

_NORMAL = 0.6744897501960817  # median of the absolute value of a standard normal


def noise_level(picture: NDArray[np.floating]) -> float:
    """Standard deviation of white noise, by second differences along both axes (Immerkaer 1996), robust against edges.

    The differences of a smooth picture vanish; those of white noise have six times its standard deviation. Their median
    absolute value is taken, so that edges, which are few, have no say. Noise that is correlated between
    neighbours, as after a smooth filter, is underestimated.

    Args:
        picture: shape (row, col), at least 3 x 3; values that are not finite have no say.

    Returns:
        0 for a picture without noise.

    Raises:
        ValueError: a smaller picture.
    """
    if picture.ndim != 2 or min(picture.shape) < 3:
        raise ValueError(f"picture has shape {picture.shape}; expected at least 3 x 3 pixels.")
    values = picture if picture.dtype in (np.float32, np.float64) else picture.astype(np.float64)
    differences = np.empty((picture.shape[0] - 2) * (picture.shape[1] - 2), values.dtype)
    return _median_difference(values, differences) / (6 * _NORMAL)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _median_difference(picture: Any, room: Any) -> float:
    """Median absolute second difference along both axes, of what is finite; 0 where nothing is."""
    count = 0
    for i in range(picture.shape[0] - 2):
        upper, middle, lower = picture[i], picture[i + 1], picture[i + 2]
        for j in range(picture.shape[1] - 2):
            left = (upper[j] - 2.0 * middle[j]) + lower[j]
            inner = (upper[j + 1] - 2.0 * middle[j + 1]) + lower[j + 1]
            right = (upper[j + 2] - 2.0 * middle[j + 2]) + lower[j + 2]
            found = abs((left - 2.0 * inner) + right)
            if np.isfinite(found):
                room[count] = found
                count += 1
    if not count:
        return 0.0
    high = float(value_of_rank(room[:count], count // 2))
    if count % 2:
        return high
    low = room[0]  # the largest of those before it
    for k in range(1, count // 2):
        low = max(low, room[k])
    return (float(low) + high) / 2

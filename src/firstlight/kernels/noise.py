"""Noise of a picture, from what neighbouring pixels do not share."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .ranks import percentiles

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
    differences = np.empty((1, (picture.shape[0] - 2) * (picture.shape[1] - 2)), np.float32)
    _second_differences(values, differences.reshape(picture.shape[0] - 2, -1))
    return float(np.nan_to_num(percentiles(differences, 50.0)[0])) / (6 * _NORMAL)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _second_differences(picture: Any, out: Any) -> None:
    """Size of the second difference along both axes, around each pixel that is not at the rim."""
    line = np.empty(picture.shape[1], picture.dtype)
    for i in range(out.shape[0]):
        upper, middle, lower, target = picture[i], picture[i + 1], picture[i + 2], out[i]
        for j in range(line.size):
            line[j] = (upper[j] - middle[j]) - (middle[j] - lower[j])
        left, inner, right = line[:-2], line[1:-1], line[2:]
        for j in range(target.size):
            target[j] = abs((left[j] - inner[j]) - (inner[j] - right[j]))

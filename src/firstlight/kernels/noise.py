"""Noise of a picture, from what neighbouring pixels do not share."""

import numpy as np
from numpy.typing import NDArray

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
    values = picture.astype(np.float64)
    across = values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]
    both = across[2:] - 2 * across[1:-1] + across[:-2]
    known = np.abs(both[np.isfinite(both)])
    return float(np.median(known)) / (6 * _NORMAL) if known.size else 0.0

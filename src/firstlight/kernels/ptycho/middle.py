"""Where the middle of a diffraction pattern is: that of its largest bright spot."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import find_objects, label

Array = Any

THRESHOLD = 0.02
"""Part of the brightest pixel that counts as bright."""


def pattern_middle(mean: Array, threshold: float = THRESHOLD) -> tuple[int, int] | None:
    """Row and column of the middle of the box around the largest connected bright spot; None if all is dark.

    The middle of the box, and not of the light: the aperture of a lens is lit unevenly, but its edges stand where they are.

    Args:
        mean: Mean of some patterns, shape (row, col), dead pixels zero.
        threshold: Part of the brightest pixel.
    """
    box = pattern_box(mean, threshold)
    return None if box is None else ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)


def pattern_box(mean: Array, threshold: float = THRESHOLD) -> tuple[int, int, int, int] | None:
    """The box around the largest connected bright spot: its first row and column, and those behind it; None if all is dark.

    Args:
        mean: Mean of some patterns, shape (row, col), dead pixels zero.
        threshold: Part of the brightest pixel.
    """
    spot = bright_spot_of(mean, threshold)
    if spot is None:
        return None
    rows, cols = find_objects(spot.astype(np.uint8))[0]
    return int(rows.start), int(cols.start), int(rows.stop), int(cols.stop)


def bright_spot_of(mean: Array, threshold: float = THRESHOLD) -> Array | None:
    """The largest connected bright spot: True there, shape (row, col); None if all is dark.

    Args:
        mean: Mean of some patterns, shape (row, col), dead pixels zero.
        threshold: Part of the brightest pixel.
    """
    # a single hot pixel would be the brightest: what none of its neighbours shares is left out
    calm = np.minimum(mean, _neighbours(mean))
    peak = float(calm.max(initial=0.0))
    if peak <= 0:
        return None
    spots, number = label(calm > threshold * peak)
    sizes = np.bincount(spots.ravel(), minlength=number + 1)
    return spots == int(np.argmax(sizes[1:])) + 1


def _neighbours(image: Array) -> Array:
    """The brightest of the four neighbours of each pixel; at an edge there are three."""
    padded = np.pad(image, 1)
    return np.max([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]], axis=0)

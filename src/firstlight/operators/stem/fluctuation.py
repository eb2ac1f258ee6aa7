"""Fluctuation electron microscopy."""

from __future__ import annotations

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.operator import Operator, operator

from .polar import Radius, reach, ring_numbers


@operator(
    "row col -> deviation: , mean: , variance: ",
    sentence="The fluctuation of a ring of each pattern was measured.",
)
def fluctuation(
    frames: Array, *, inner: Radius, outer: Radius | None = None, center: tuple[float, float] | None = None
) -> tuple[Array, Array, Array]:
    """Measure how much a ring of each diffraction pattern fluctuates: order in glasses (fluctuation microscopy).

    Args:
        frames: shape (frame, row, col), integers or floats.
        inner: Inner radius of the ring in pixel, included.
        outer: Outer radius in pixel. Default: half of the smaller side.
        center: Row and column of the optical axis in pixel from 0. Default: the middle of the frame.

    Returns:
        Standard deviation and mean of the ring's pixels, and the normalised variance (deviation / mean)², float64 of shape
        (frame,); the last is 0 where the mean is.

    Raises:
        FirstlightError: The radii are no annulus.
    """
    size = (frames.shape[1], frames.shape[2])
    ring = frames[:, ring_numbers(size, center, inner, reach(size, outer), 1) == 0]
    mean = ring.mean(axis=1, dtype=np.float64) if ring.shape[1] else np.zeros(len(frames))
    deviation = ring.std(axis=1, dtype=np.float64) if ring.shape[1] else np.zeros(len(frames))
    ratio = np.where(mean > 0, deviation / np.where(mean > 0, mean, 1.0), 0.0)
    return deviation, mean, ratio**2


@fluctuation.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return "float64"

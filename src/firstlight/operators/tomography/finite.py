"""Line integrals as every reconstruction takes them."""

from __future__ import annotations

import numpy as np

from firstlight.core.arrays import Array


def finite(values: Array) -> Array:
    """As floating point in the machine's byte order, with 0 for what is no number: one NaN would spread over its slice."""
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float32)
    if np.isfinite(values.sum(dtype=np.float64)):
        return values
    return np.nan_to_num(values, posinf=0.0, neginf=0.0)

"""How arrays are laid out in holoptycho's tree."""

from __future__ import annotations

from typing import Literal

import numpy as np

from firstlight.core.arrays import Array

Layout = Literal["plain", "amplitude_phase", "root8"]


def laid_out(values: Array, layout: Layout, *, transposed: bool) -> Array:
    """An array as a node holds it.

    Args:
        values: Shape (…, y, x).
        layout: `plain`; `amplitude_phase`: float32, shape (2, y, x), of a complex array (of several modes the first);
            `root8`: square roots of counts as uint8, rounded down, 255 at most.
        transposed: Exchange the last two axes.
    """
    if layout == "amplitude_phase":
        first = values.reshape(-1, *values.shape[-2:])[0]
        values = np.stack([np.abs(first), np.angle(first)]).astype(np.float32)
    elif layout == "root8":
        values = np.minimum(np.sqrt(np.maximum(values, 0)), 255).astype(np.uint8)
    return np.ascontiguousarray(values.swapaxes(-1, -2) if transposed and values.ndim > 1 else values)

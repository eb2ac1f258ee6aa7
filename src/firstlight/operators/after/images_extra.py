"""scikit-image, which the extra `images` installs: imported when a step needs it, and not before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import MissingExtra
from firstlight.kernels.noise import noise_level


def restoration(step: str) -> Any:
    """The module `skimage.restoration`.

    Raises:
        MissingExtra: scikit-image is not installed.
    """
    try:
        import skimage.restoration
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "skimage", "images", f"The step '{step}'") from missing
    return skimage.restoration


def without_noise(slices: Array, level: float | None, method: Callable[[Array, float], Array]) -> Array:
    """Each slice without its noise; one that has none stays as it is.

    Args:
        slices: shape (slice, y, x). What is not finite counts as the median of its slice, and comes out as NaN.
        level: how strong the noise is; None: estimated in each slice.
        method: what removes noise of a level from a finite float32 picture.

    Returns:
        float32 of the same shape.
    """
    out = np.empty(slices.shape, np.float32)
    for picture, result in zip(slices, out, strict=True):
        result[:] = picture
        gaps = ~np.isfinite(result)
        if gaps.all():
            continue
        if gaps.any():
            result[gaps] = np.median(result[~gaps])
        used = noise_level(result) if level is None else level
        if used > 0:
            result[:] = method(result, used)
        result[gaps] = np.nan
    return out

"""Non-local means."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.noise import noise_level

from .images_extra import restoration


@operator(
    "y x -> y x",
    cites=["10.1109/CVPR.2005.38"],
    sentence="Noise was removed by non-local means (patches of {patch} pixels within {distance} pixels).",
)
def denoise_nlm(
    slices: Array,
    *,
    strength: Annotated[float, Field(gt=0, le=10)] = 0.8,
    patch: Annotated[int, Field(ge=1, le=31)] = 5,
    distance: Annotated[int, Field(ge=1, le=50)] = 6,
    noise: Annotated[float, Field(gt=0)] | None = None,
) -> Array:
    """Average each pixel with those whose surroundings look alike (Buades et al. 2005), by scikit-image (extra `images`).

    Args:
        slices: shape (slice, y, x), finite.
        strength: How unlike surroundings may be to count, in standard deviations of the noise.
        patch: Side of the surroundings in pixel.
        distance: How far away surroundings are looked for, in pixel.
        noise: Standard deviation of the noise. Default: estimated in each slice.

    Returns:
        float32 of the same shape.

    Raises:
        MissingExtra: scikit-image is not installed.
    """
    library = restoration("denoise_nlm")
    out = np.empty(slices.shape, np.float32)
    for picture, result in zip(slices, out, strict=True):
        sigma = noise_level(picture) if noise is None else noise
        if sigma <= 0:
            result[:] = picture
            continue
        options = {"patch_size": patch, "patch_distance": distance, "h": strength * sigma, "sigma": sigma}
        result[:] = library.denoise_nl_means(picture.astype(np.float32), fast_mode=True, **options)
    return out


@denoise_nlm.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

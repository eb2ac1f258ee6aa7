"""Non-local means."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator

from .images_extra import restoration, without_noise


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
        slices: shape (slice, y, x). What is not finite counts as the median of its slice, and comes out as NaN.
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

    def method(picture: Array, sigma: float) -> Array:
        options = {"patch_size": patch, "patch_distance": distance, "h": strength * sigma, "sigma": sigma}
        return library.denoise_nl_means(picture, fast_mode=True, **options)

    return without_noise(slices, noise, method)


@denoise_nlm.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

"""Total variation."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator

from .images_extra import restoration, without_noise


@operator(
    "y x -> y x",
    cites=["10.1016/0167-2789(92)90242-F", "10.1023/B:JMIV.0000011325.36760.1e"],
    sentence="Noise was removed by minimising the total variation.",
)
def denoise_tv(
    slices: Array,
    *,
    weight: Annotated[float, Field(gt=0)] | None = None,
    iterations: Annotated[int, Field(ge=1, le=10_000)] = 200,
) -> Array:
    """Find the picture of least total variation near each slice (Rudin et al. 1992), by scikit-image (extra `images`).

    Areas become even and edges stay; fine texture goes with the noise.

    Args:
        slices: shape (slice, y, x). What is not finite counts as the median of its slice, and comes out as NaN.
        weight: How much is smoothed, in the unit of the values. Default: the standard deviation of the noise, estimated in each
            slice.
        iterations: At most so many (Chambolle 2004).

    Returns:
        float32 of the same shape.

    Raises:
        MissingExtra: scikit-image is not installed.
    """
    library = restoration("denoise_tv")

    def method(picture: Array, used: float) -> Array:
        scaled = picture / np.float32(used)  # its limits on the precision are for values about 1
        return library.denoise_tv_chambolle(scaled, weight=1.0, eps=1e-6, max_num_iter=iterations) * np.float32(used)

    return without_noise(slices, weight, method)


@denoise_tv.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

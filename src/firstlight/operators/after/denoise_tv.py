"""Total variation."""

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
        slices: shape (slice, y, x), finite.
        weight: How much is smoothed, in the unit of the values. Default: the standard deviation of the noise, estimated in each
            slice.
        iterations: At most so many (Chambolle 2004).

    Returns:
        float32 of the same shape.

    Raises:
        MissingExtra: scikit-image is not installed.
    """
    library = restoration("denoise_tv")
    out = np.empty(slices.shape, np.float32)
    for picture, result in zip(slices, out, strict=True):
        used = noise_level(picture) if weight is None else weight
        if used <= 0:
            result[:] = picture
            continue
        scaled = picture.astype(np.float32) / np.float32(used)  # its limits on the precision are for values about 1
        result[:] = library.denoise_tv_chambolle(scaled, weight=1.0, eps=1e-6, max_num_iter=iterations)
        result *= np.float32(used)
    return out


@denoise_tv.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

"""Signal to noise of slices."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import operator
from firstlight.kernels.noise import noise_level

Edge = Annotated[int, Field(ge=0)]
Region = tuple[Edge, Edge, Edge, Edge]


@operator("y x -> ratio: , signal: , background: , noise: ", cites=["10.1006/cviu.1996.0060"])
def signal_to_noise(
    slices: Array, *, region: Region | None = None, background: Region | None = None
) -> dict[str, Array]:
    """Measure the signal to noise of each slice: (mean of a region - mean of a background) / noise.

    Args:
        slices: shape (slice, y, x).
        region: What counts as signal: first and last + 1 along y, then along x. Default: the whole slice.
        background: What counts as background, likewise; the noise is the standard deviation there. Default: 0, and the noise
            is estimated from differences between neighbours (Immerkaer 1996), which sees white noise alone.

    Returns:
        Four float32 arrays (slice,).

    Raises:
        FirstlightError: a region is empty or leaves the slice.
    """
    signal = _cut(slices, region, "region").mean(axis=(1, 2), dtype=np.float64)
    if background is None:
        level = np.zeros(len(slices))
        noise = np.array([noise_level(picture) for picture in _cut(slices, region, "region")])
    else:
        empty = _cut(slices, background, "background")
        level, noise = empty.mean(axis=(1, 2), dtype=np.float64), empty.std(axis=(1, 2), dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {"ratio": (signal - level) / noise, "signal": signal, "background": level, "noise": noise}
    return {name: np.asarray(values, np.float32) for name, values in found.items()}


def _cut(slices: Array, region: Region | None, name: str) -> Array:
    if region is None:
        return slices
    y, y_end, x, x_end = region
    if not (y + 2 < y_end <= slices.shape[1] and x + 2 < x_end <= slices.shape[2]):
        raise FirstlightError(
            "The region is smaller than 3 x 3 pixels or leaves the slice.",
            field=name,
            value=region,
            expected=f"rows up to {slices.shape[1]}, columns up to {slices.shape[2]}",
        )
    return slices[:, y:y_end, x:x_end]

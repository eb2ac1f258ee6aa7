"""Fourier coefficients around the optical axis."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.mask_products import weighted_sums

from .polar import Center, Radius, polar, reach, ring_numbers, stacked


@operator("row col -> ring order", sentence="Rings of each pattern were expanded into angular orders up to {orders}.")
def radial_fourier(
    frames: Array,
    *,
    bins: Annotated[int, Field(ge=1, le=1024)] = 1,
    orders: Annotated[int, Field(ge=0, le=128)] = 6,
    inner: Radius = 0.0,
    outer: Radius | None = None,
    center: tuple[float, float] | None = None,
) -> Array:
    """Expand rings of each diffraction pattern into angular orders: what symmetry they have, and which way it points.

    Args:
        frames: shape (frame, row, col), integers or floats.
        bins: Number of rings, equally wide.
        orders: Highest order; 0 is the sum of the ring.
        inner: Inner radius of the first ring in pixel.
        outer: Outer radius of the last one in pixel. Default: half of the smaller side.
        center: Row and column of the optical axis in pixel from 0. Default: the middle of the frame.

    Returns:
        Shape (frame, ring, order), complex128: sum of pixels times exp(-i order angle), the angle from the direction of
        columns towards that of rows.

    Raises:
        FirstlightError: The radii are no annulus.
    """
    size = (frames.shape[1], frames.shape[2])
    weights = _weights(size, center, inner, reach(size, outer), bins, orders)
    return weighted_sums(frames, weights).reshape(len(frames), bins, orders + 1)


@lru_cache(maxsize=8)
def _weights(size: tuple[int, int], center: Center, inner: float, outer: float, bins: int, orders: int) -> Array:
    _, angle = polar(size, center)
    waves = np.exp(-1j * np.arange(orders + 1)[:, None, None] * angle)
    rings = stacked(ring_numbers(size, center, inner, outer, bins), bins)
    return (rings[:, None] * waves[None]).reshape(-1, *size)


@radial_fourier.hook("sizes")
def _sizes(step: Operator, known: dict[str, int | None]) -> dict[str, int | None]:
    given = step.parameters()
    return {"ring": given["bins"], "order": given["orders"] + 1}


@radial_fourier.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return "complex128"


@radial_fourier.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

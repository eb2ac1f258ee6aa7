"""Azimuthal profile of diffraction patterns."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.mask_products import weighted_sums

from .polar import Center, Radius, polar, reach, ring_numbers, stacked


@operator("row col -> azimuth", sentence="A ring of each pattern was averaged over {bins} sectors.")
def azimuthal_profile(
    frames: Array,
    *,
    bins: Annotated[int, Field(ge=1, le=4096)] = 36,
    inner: Radius = 0.0,
    outer: Radius | None = None,
    center: tuple[float, float] | None = None,
) -> Array:
    """Average a ring of each diffraction pattern over sectors: where around the axis its intensity lies.

    Args:
        frames: shape (frame, row, col), integers or floats.
        bins: Number of sectors; the first begins along columns, the next ones follow towards rows.
        inner: Inner radius of the ring in pixel, included.
        outer: Outer radius in pixel. Default: half of the smaller side.
        center: Row and column of the optical axis in pixel from 0. Default: the middle of the frame.

    Returns:
        Shape (frame, azimuth), float64; NaN for a sector without a pixel.

    Raises:
        FirstlightError: The radii are no annulus.
    """
    size = (frames.shape[1], frames.shape[2])
    numbers = _sectors(size, center, inner, reach(size, outer), bins)
    pixels = np.bincount(numbers[numbers >= 0], minlength=bins)
    with np.errstate(divide="ignore", invalid="ignore"):
        return weighted_sums(frames, stacked(numbers, bins, np.float64)) / np.where(pixels > 0, pixels, np.nan)


def _sectors(size: tuple[int, int], center: Center, inner: float, outer: float, bins: int) -> Array:
    _, angle = polar(size, center)
    part = np.floor(angle % (2 * np.pi) * (bins / (2 * np.pi))).astype(int) % bins
    return np.where(ring_numbers(size, center, inner, outer, 1) == 0, part, -1)


@azimuthal_profile.hook("sizes")
def _sizes(step: Operator, known: dict[str, int | None]) -> dict[str, int | None]:
    return {"azimuth": step.parameters()["bins"]}


@azimuthal_profile.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return "float64"


@azimuthal_profile.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

"""Radial profile of diffraction patterns."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.mask_products import weighted_sums
from firstlight.kernels.sparse_frames import SparseFrames, sparse_labelled_sums

from .polar import Radius, reach, ring_numbers, stacked


@operator("row col -> radius", sentence="Each pattern was averaged over rings ({bins} bins).")
def radial_profile(
    frames: Array,
    *,
    bins: Annotated[int, Field(ge=1, le=4096)] = 32,
    inner: Radius = 0.0,
    outer: Radius | None = None,
    center: tuple[float, float] | None = None,
) -> Array:
    """Average each diffraction pattern over rings about the optical axis.

    Args:
        frames: shape (frame, row, col), integers or floats.
        bins: Number of rings, equally wide.
        inner: Inner radius of the first ring in pixel.
        outer: Outer radius of the last one in pixel. Default: half of the smaller side.
        center: Row and column of the optical axis in pixel from 0. Default: the middle of the frame.

    Returns:
        Shape (frame, radius), float64; NaN for a ring without a pixel.

    Raises:
        FirstlightError: The radii are no annulus.
    """
    size = (frames.shape[1], frames.shape[2])
    rings = stacked(ring_numbers(size, center, inner, reach(size, outer), bins), bins, np.float64)
    return _means(weighted_sums(frames, rings), rings)


def _means(sums: Array, rings: Array) -> Array:
    """Sums under rings, divided by their pixels."""
    pixels = rings.sum((1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums / np.where(pixels > 0, pixels, np.nan)


@radial_profile.hook("sparse")
def _sparse_body(step: Operator, frames: SparseFrames) -> Array:
    given, size = step.parameters(), frames.size_of_frame
    numbers = ring_numbers(size, given["center"], given["inner"], reach(size, given["outer"]), given["bins"])
    sums = sparse_labelled_sums(frames, numbers, given["bins"])
    return _means(sums, stacked(numbers, given["bins"], np.float64))


@radial_profile.hook("sizes")
def _sizes(step: Operator, known: dict[str, int | None]) -> dict[str, int | None]:
    return {"radius": step.parameters()["bins"]}


@radial_profile.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return "float64"


@radial_profile.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

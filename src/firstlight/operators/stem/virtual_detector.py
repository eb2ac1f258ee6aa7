"""Virtual detector: one number for each scan point."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import Operator, operator
from firstlight.core.units import Pixels
from firstlight.kernels.masks import annulus, sum_dtype, sum_under_masks

Radius = Annotated[Pixels, Field(ge=0)]
Weights = tuple[tuple[float, ...], ...]
Place = tuple[float, float]


@operator("row col -> ", sentence="Each diffraction pattern was summed under a virtual detector ({shape}).")
def virtual_detector(
    frames: Array,
    *,
    shape: Literal["disk", "annulus", "mask"] = "disk",
    center: Place | None = None,
    inner: Radius = 0.0,
    outer: Radius | None = None,
    mask: Weights | None = None,
) -> Array:
    """Sum each diffraction pattern under a disk, an annulus or a mask: bright field, dark field, or any other.

    Args:
        frames: shape (frame, row, col), integers or floats.
        shape: `disk` sums inside `outer`, `annulus` between `inner` and `outer`, `mask` under `mask`.
        center: Row and column of the middle of disk or annulus, in pixel from 0. Default: the middle of the frame.
        inner: Inner radius of the annulus in pixel, included.
        outer: Outer radius in pixel, included. Default: a quarter of the smaller side for a disk, all for an annulus.
        mask: Weights by row and column, as large as a frame; 0 and 1 alone keep integers exact.

    Returns:
        Shape (frame,): 64-bit integers for integer frames under a disk, an annulus or a mask of 0 and 1, otherwise
        float64.

    Raises:
        FirstlightError: a mask is missing or does not fit, or the radii are no annulus.
    """
    weights = _weights(frames.shape[1:], shape, center, inner, outer, mask)
    return sum_under_masks(frames, weights)[:, 0]


@lru_cache(maxsize=32)
def _weights(
    size: tuple[int, int], shape: str, center: Place | None, inner: float, outer: float | None, mask: Weights | None
) -> Array:
    """Mask of shape (1, row, col), bool where all weights are 0 or 1."""
    if shape == "mask":
        return _given(size, mask)
    middle = ((size[0] - 1) / 2, (size[1] - 1) / 2) if center is None else center
    usual = min(size) / 4 if shape == "disk" else float(np.hypot(*size))
    reach = usual if outer is None else outer
    within = 0.0 if shape == "disk" else inner
    if within > reach:
        raise FirstlightError(
            "The inner radius is larger than the outer one.",
            field="inner",
            value=within,
            expected=f"at most {reach} pixel",
        )
    return annulus(size, middle, within, reach)[None]


def _given(size: tuple[int, int], mask: Weights | None) -> Array:
    if mask is None:
        raise FirstlightError(
            "A virtual detector of shape 'mask' needs a mask.",
            field="mask",
            expected=f"{size[0]} rows of {size[1]} weights",
        )
    if len({len(row) for row in mask}) != 1 or (len(mask), len(mask[0])) != size:
        raise FirstlightError(
            "The mask is not as large as a frame.", field="mask", value=(len(mask), len(mask[0])), expected=str(size)
        )
    weights = np.array(mask)[None]
    return weights.astype(bool) if np.isin(weights, (0, 1)).all() else weights


@virtual_detector.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    chosen = step.parameters()
    plain = chosen["shape"] != "mask" or np.isin(np.array(chosen["mask"] or ((0,),)), (0, 1)).all()
    return sum_dtype(given).name if plain else "float64"


@virtual_detector.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

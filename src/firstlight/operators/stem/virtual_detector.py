"""Virtual detector: one number for each scan point."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.one_pass import Sums, Wanted
from firstlight.core.operator import Operator, operator
from firstlight.core.units import Pixels
from firstlight.kernels.mask_products import Masks
from firstlight.kernels.masks import annulus, sum_dtype, sum_under_masks
from firstlight.kernels.sparse_frames import SparseFrames, sparse_sums, sparse_weighted_sums

Radius = Annotated[Pixels, Field(ge=0)]
Weights = tuple[tuple[float, ...], ...]
Place = tuple[float, float]
Index = Annotated[int, Field(ge=0)]
Sparse = tuple[tuple[Index, Index, float], ...]


@operator("row col -> ", sentence="Each diffraction pattern was summed under a virtual detector ({shape}).")
def virtual_detector(
    frames: Array,
    *,
    shape: Literal["disk", "annulus", "point", "mask", "pixels"] = "disk",
    center: Place | None = None,
    inner: Radius = 0.0,
    outer: Radius | None = None,
    mask: Weights | None = None,
    imaginary: Weights | None = None,
    pixels: Sparse | None = None,
) -> Array:
    """Sum each diffraction pattern under a disk, an annulus or a mask: bright field, dark field, or any other.

    Args:
        frames: shape (frame, row, col), integers or floats.
        shape: `disk` sums inside `outer`, `annulus` between `inner` and `outer`, `point` takes the pixel at `center`, `mask`
            sums under `mask`, `pixels` under `pixels`.
        center: Row and column of the middle of disk or annulus, in pixel from 0. Default: the middle of the frame.
        inner: Inner radius of the annulus in pixel, included.
        outer: Outer radius in pixel, included. Default: a quarter of the smaller side for a disk, all for an annulus.
        mask: Weights by row and column, as large as a frame; 0 and 1 alone keep integers exact.
        imaginary: Imaginary parts of the weights, likewise.
        pixels: A mask that is nearly empty: row, column and weight of each pixel that counts.

    Returns:
        Shape (frame,): 64-bit integers for integer frames where all weights are 0 and 1, otherwise float64; complex128
        with `imaginary`.

    Raises:
        FirstlightError: a mask is missing or does not fit, or the radii are no annulus.
    """
    given = (shape, center, inner, outer, mask, imaginary, pixels)
    return sum_under_masks(frames, _weights((frames.shape[1], frames.shape[2]), *given))[:, 0]


@lru_cache(maxsize=32)
def _weights(
    size: tuple[int, int],
    shape: str,
    center: Place | None,
    inner: float,
    outer: float | None,
    mask: Weights | None,
    imaginary: Weights | None,
    pixels: Sparse | None,
) -> Array:
    """Mask of shape (1, row, col), bool where all weights are 0 or 1."""
    if shape == "mask":
        real = _given(size, mask, "mask")
        return real if imaginary is None else real + 1j * _given(size, imaginary, "imaginary")
    if shape == "pixels":
        return _sparse(size, pixels)
    middle = ((size[0] - 1) / 2, (size[1] - 1) / 2) if center is None else center
    if shape == "point":
        return _sparse(size, ((round(middle[0]), round(middle[1]), 1.0),))
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


def _given(size: tuple[int, int], mask: Weights | None, name: str) -> Array:
    if mask is None:
        raise FirstlightError(
            "A virtual detector of shape 'mask' needs a mask.",
            field=name,
            expected=f"{size[0]} rows of {size[1]} weights",
        )
    if len({len(row) for row in mask}) != 1 or (len(mask), len(mask[0])) != size:
        raise FirstlightError(
            "The mask is not as large as a frame.", field=name, value=(len(mask), len(mask[0])), expected=str(size)
        )
    return _bool_if_plain(np.array(mask)[None])


def _sparse(size: tuple[int, int], pixels: Sparse | None) -> Array:
    if not pixels:
        raise FirstlightError(
            "A virtual detector of shape 'pixels' needs pixels.", field="pixels", expected="row, column, weight of each"
        )
    weights = np.zeros((1, *size))
    for row, col, weight in pixels:
        if not (0 <= row < size[0] and 0 <= col < size[1]):
            raise FirstlightError(
                "A pixel lies outside the frame.", field="pixels", value=(row, col), expected=f"within {size}"
            )
        weights[0, row, col] += weight
    return _bool_if_plain(weights)


def _bool_if_plain(weights: Array) -> Array:
    return weights.astype(bool) if np.isin(weights, (0, 1)).all() else weights


@virtual_detector.hook("wanted")
def _wanted(step: Operator, size: tuple[int, int]) -> Wanted | None:
    weights = _weights(size, *step.parameters().values())
    return Wanted(masks=weights) if weights.dtype.kind == "b" else None


@virtual_detector.hook("finish")
def _finish(step: Operator, sums: Sums, size: tuple[int, int]) -> Array:
    return np.zeros(0) if sums.masks is None else sums.masks[:, 0]


@virtual_detector.hook("sparse")
def _sparse_body(step: Operator, frames: SparseFrames) -> Array:
    weights = _weights(frames.size_of_frame, *step.parameters().values())
    if weights.dtype.kind == "b":
        return _finish(step, sparse_sums(frames, Masks(weights)), frames.size_of_frame)
    return sparse_weighted_sums(frames, weights)[:, 0]


@virtual_detector.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    chosen = step.parameters()
    if chosen["shape"] == "mask" and chosen["imaginary"] is not None:
        return "complex128"
    weights = [0.0]
    if chosen["shape"] == "mask" and chosen["mask"]:
        weights = [weight for row in chosen["mask"] for weight in row]
    if chosen["shape"] == "pixels" and chosen["pixels"]:
        places = [place[:2] for place in chosen["pixels"]]
        weights = [place[2] for place in chosen["pixels"]] + [0.5] * (len(set(places)) < len(places))
    return sum_dtype(given).name if np.isin(weights, (0, 1)).all() else "float64"


@virtual_detector.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

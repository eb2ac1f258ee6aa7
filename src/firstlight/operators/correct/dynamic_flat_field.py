"""Flat-field correction with a flat image of its own for each projection."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import AxesError
from firstlight.core.operator import Operator, operator
from firstlight.kernels.eigen_flats import component_weights, transmission


@operator(
    "row col, row col, component row col -> row col",
    cites=["10.1364/OE.23.027975"],
    sentence="Each projection was divided by a flat image of its own, made of the eigen flat fields.",
)
def dynamic_flat_field(
    frames: Array, dark: Array, flats: Array, *, step: Annotated[int, Field(ge=1, le=64)] = 4
) -> Array:
    """Turn counts into transmission where the beam moves: each projection finds its flat image (Van Nieuwenhove 2015).

    The flat image is the mean plus a mix of the components that `eigen_flats` found: the mix that leaves the least total
    variation in the attenuation. The overall intensity is not searched for: `normalize_by_region` brings air to 1.

    Args:
        frames: shape (frame, row, col), any integer or float type: counts.
        dark: image (row, col) without beam.
        flats: shape (component, row, col), from `eigen_flats`.
        step: Pixels averaged along both axes before the mix is searched; larger is faster and less exact.

    Returns:
        float32 of shape (frame, row, col): transmission, without unit. A pixel without light in its flat image gets 1.

    Raises:
        AxesError: an image is not as large as a frame.
    """
    for name, shape in (("dark", dark.shape), ("flats", flats.shape[1:])):
        if shape != frames.shape[1:]:
            raise AxesError(
                "An image is not as large as a frame.",
                field=name,
                value=shape,
                expected=f"(row, col) = {frames.shape[1:]}",
                next_move="Take dark and flat frames with the region and binning of the projections.",
            )
    images, offset = np.ascontiguousarray(flats, np.float32), np.asarray(dark, np.float32)
    fitting = min(step, *frames.shape[1:])
    return transmission(frames, offset, images, component_weights(frames, offset, images, fitting))


@dynamic_flat_field.hook("unit")
def _unit(step: Operator, scan: Scan) -> None:
    return None


@dynamic_flat_field.hook("workspace")
def _workspace(step: Operator, scan: Scan, frames: int) -> int:
    """Gradients of the components at the coarse pixels, in double precision, some copies of them."""
    rows, columns = scan.main.size("row"), scan.main.size("col")
    return 8 * 40 * rows * columns // step.parameters()["step"] ** 2

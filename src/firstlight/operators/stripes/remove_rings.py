"""Rings of reconstructed slices."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels import rings

Place = Annotated[float, Field(ge=0, le=1e6)]


@operator(
    "y x -> y x",
    cites=["10.1088/0031-9155/49/14/N06"],
    sentence="Rings were removed from the slices in polar coordinates (median over {width} px along the radius).",
)
def remove_rings(
    slices: Array,
    *,
    width: Annotated[int, Field(ge=3, le=1000)] = 21,
    arc: Annotated[float, Field(ge=15, le=360)] = 180.0,
    limit: Annotated[float, Field(gt=0)] | None = None,
    rounds: Annotated[int, Field(ge=1, le=10)] = 2,
    center_y: Place | None = None,
    center_x: Place | None = None,
) -> Array:
    """Find rings around the rotation axis in polar coordinates, and subtract them (Sijbers and Postnov 2004).

    Only the rings are interpolated; the sample keeps its sharpness. Round objects of the sample around the axis are
    taken for rings where they are narrower than half of `width` and longer than half of `arc`. The corners outside the
    largest circle stay as they are.

    Args:
        slices: shape (z, y, x). NaN and infinity count as 0, and come out as NaN.
        width: Pixels of the median along the radius; rings up to half as wide are found.
        arc: Degree over which a ring is followed: 180 for scans over half a turn, 360 for whole turns.
        limit: Difference from the median, in the unit of the slices, beyond which it is the sample's own. Default: none.
        rounds: How often; what one round leaves, the next one finds.
        center_y: Row of the rings' center. Default: the middle, where fbp puts the axis.
        center_x: Column of the rings' center, likewise.

    Returns:
        float32 of the same shape and unit.
    """
    _, rows, columns = slices.shape
    center = ((rows - 1) / 2 if center_y is None else center_y, (columns - 1) / 2 if center_x is None else center_x)
    out = np.empty(slices.shape, np.float32)
    for place, image in enumerate(slices):
        values = np.ascontiguousarray(image, np.float32)
        gaps = ~np.isfinite(values)
        filled = np.where(gaps, np.float32(0), values) if gaps.any() else values
        out[place] = rings.remove_rings(filled, center=center, width=width, arc=arc, limit=limit, rounds=rounds)
        out[place][gaps] = np.nan
    return out


@remove_rings.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


@remove_rings.hook("workspace")
def _workspace(step: Operator, scan: Scan, frames: int) -> int:
    """Radius and angle of every pixel, and what they are made of."""
    return 20 * scan.main.size("y") * scan.main.size("x")

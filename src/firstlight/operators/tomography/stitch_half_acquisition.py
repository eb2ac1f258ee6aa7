"""Join the halves of a scan over a full turn to sinograms over half a turn, twice as wide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import Coordinate, Operator, operator
from firstlight.kernels.overlap import half_turn_angles, opposite_halves
from firstlight.kernels.stitch import join_half_turns

from .angles import projection_angles


@operator(
    "angle col -> angle col",
    cites=["10.1364/OE.418448"],
    sentence="Projections half a turn apart were joined about the rotation axis at {center:column}.",
)
def stitch_half_acquisition(
    sinograms: Array,
    *,
    center: Annotated[float, Field(ge=0)] | None = None,
    size: Annotated[int, Field(ge=2, le=200_000)] | None = None,
    angle: Coordinate = None,
) -> Array:
    """Join each projection of a full turn with the one half a turn later, for an axis near the side of the detector.

    Gives half the angles and, by default, twice the columns. The axis lies in the middle of the result, so that steps behind
    this one need no center. Works on line integrals and on transmission alike (before phase retrieval).

    Args:
        sinograms: shape (slice, angle, col), over a full turn.
        center: Column of the rotation axis, from 0: `center: {from: find_center_360}`.
        size: Columns of the result. Default: twice as many as before.
        angle: shape (angle,): projection angles in degree, in any order; a full turn.

    Returns:
        float32 of shape (slice, half of the angles, size). What no projection has seen repeats the outermost column.

    Raises:
        FirstlightError: the center is not known, or the angles are no full turn.
    """
    _, angles, columns = sinograms.shape
    theta = projection_angles(angle, "stitch_half_acquisition", angles)
    if center is None or not np.isfinite(center):
        raise FirstlightError(
            "'stitch_half_acquisition' needs the column of the rotation axis.",
            field="center",
            expected="a column number",
            next_move="Put 'find_center_360' before it and write 'center: {from: find_center_360}'.",
        )
    try:
        ahead, behind = opposite_halves(np.moveaxis(sinograms, 1, 0), theta)
        joined = join_half_turns(ahead, behind, float(center), size or 2 * columns)
    except ValueError as error:
        raise FirstlightError(
            f"These projections can not be joined: {error}", field="angle, center", expected="a full turn"
        ) from error
    return np.ascontiguousarray(np.moveaxis(joined, 0, 1))


@stitch_half_acquisition.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    angles, columns, size = known.get("angle"), known.get("col"), step.parameters()["size"]
    return {
        "angle": None if angles is None else angles // 2,
        "col": size or (None if columns is None else 2 * columns),
    }


@stitch_half_acquisition.hook("coordinates")
def _coordinates(step: Operator, coords: Mapping[str, Array]) -> dict[str, Array]:
    """Angles of the first half turn, one row for each slice, under positions of their own."""
    angle = coords.get("angle")
    if angle is None or angle.ndim != 2 or not len(angle):
        return {}
    first = half_turn_angles(angle[0])
    shape = (len(angle), first.size)
    return {"angle": np.broadcast_to(first, shape), "angle.position": np.broadcast_to(np.arange(first.size), shape)}


@stitch_half_acquisition.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

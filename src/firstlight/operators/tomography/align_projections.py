"""Align projections by reprojection: for samples that move or stages that wobble, as in nano-tomography."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import Coordinate, Operator, operator
from firstlight.kernels.reproject import align_by_reprojection, moved

from .angles import projection_angles


@operator(
    "angle row col -> data: angle row col, shifts: angle direction",
    cites=["10.1038/s41598-017-12141-9"],
    sentence="Projections were aligned to the reprojections of their own reconstruction.",
)
def align_projections(
    projections: Array,
    *,
    center: Annotated[float, Field(ge=0)] | None = None,
    rounds: Annotated[int, Field(ge=1, le=500)] = 20,
    largest: Annotated[float, Field(gt=0, le=1000)] = 10.0,
    binning: Literal[1, 2, 4, 8] = 2,
    angle: Coordinate = None,
) -> dict[str, Array]:
    """Move each projection to where a turning sample would have put it (Gürsoy et al. 2017).

    Reconstructs, projects again, registers every measured projection to the computed one, and repeats; on binned frames first. Needs
    the whole scan in memory. A shift that a sample at another place would cause too stays as it is.

    Args:
        projections: shape (scan, angle, row, col): line integrals; NaN and infinity count as 0.
        center: Column of the rotation axis after the alignment. Default: the middle.
        rounds: Rounds at each level of binning at most, for large shifts, and as many to refine them.
        largest: Largest shift looked for in one round, in pixels.
        binning: Pixels binned at first; each level halves it.
        angle: shape (angle,): projection angles in degree, in any order.

    Returns:
        The projections moved, float32 of the same shape, and how far each lay off, float32 (scan, angle, 2): down and right in
        pixels.

    Raises:
        FirstlightError: angles are missing, or frames are too small.
    """
    theta = projection_angles(angle, "align_projections", projections.shape[1])
    values = np.nan_to_num(projections.astype(np.float32, copy=False), posinf=0.0, neginf=0.0)
    options: dict[str, Any] = {"center": center, "rounds": rounds, "largest": largest, "binning": binning}
    try:
        shifts = np.stack([align_by_reprojection(scan, theta, **options) for scan in values])
    except ValueError as error:
        raise FirstlightError(
            f"These projections can not be aligned: {error}", field="binning", value=binning
        ) from error
    aligned = np.stack([moved(scan, by) for scan, by in zip(values, shifts, strict=True)])
    return {"data": aligned, "shifts": shifts.astype(np.float32)}


@align_projections.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    return {"direction": 2}


@align_projections.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


@align_projections.hook("workspace")
def _workspace(step: Operator, scan: Scan, frames: int) -> int:
    """The projections, those moved, and those computed, in float32."""
    return 16 * int(np.prod([scan.main.size(label) for label in ("angle", "row", "col")]))

"""Fewer projections of less noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import AxesError
from firstlight.core.operator import Operator, operator
from firstlight.kernels.averages import mean_of_groups


@operator("angle col -> angle col", sentence="Every {count} successive projections were averaged.")
def combine_projections(sinograms: Array, *, count: Annotated[int, Field(ge=1, le=1024)] = 2) -> Array:
    """Average successive projections: fewer of them, with less noise; the rim of the sample is smeared along the turn.

    Projections at the end that do not fill a group are left out. Average transmission, before the logarithm.

    Args:
        sinograms: shape (slice, angle, col).
        count: How many projections become one, at the mean of their angles.

    Returns:
        float32 (slice, angle // count, col).

    Raises:
        AxesError: there are fewer projections than `count`.
    """
    _groups(sinograms.shape[1], count)
    return mean_of_groups(sinograms, count)


def _groups(angles: int, count: int) -> int:
    if angles < count:
        raise AxesError(
            "There are fewer projections than are to become one.",
            field="count",
            value=count,
            expected=f"at most {angles}",
        )
    return angles // count


@combine_projections.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    angles = known.get("angle")
    return {"angle": None if angles is None else _groups(angles, step.parameters()["count"])}


@combine_projections.hook("coordinates")
def _coordinates(step: Operator, coords: Mapping[str, Array]) -> dict[str, Array]:
    """Mean angles, under positions of their own."""
    angle, count = coords.get("angle"), step.parameters()["count"]
    if angle is None or angle.ndim != 2:
        return {}
    groups = _groups(angle.shape[1], count)
    each = angle[:, : groups * count].reshape(len(angle), groups, count)
    mean = np.unwrap(each, period=360.0, axis=2).mean(axis=2)  # 359 and 1 degree are neighbours
    return {"angle": mean, "angle.position": np.broadcast_to(np.arange(groups), mean.shape)}


@combine_projections.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

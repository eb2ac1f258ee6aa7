"""Every other projection: halves of a scan that share no noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator


@operator("angle col -> angle col")
def half_set(sinograms: Array, *, which: Literal["even", "odd"] = "even") -> Array:
    """Take every other projection, so that the two halves of a scan can be reconstructed and compared.

    Args:
        sinograms: shape (slice, angle, col).
        which: `even` begins with the first projection, `odd` with the second.

    Returns:
        The same type, half the angles.
    """
    return np.ascontiguousarray(sinograms[:, 1 if which == "odd" else 0 :: 2])


@half_set.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    angles = known.get("angle")
    return {"angle": None if angles is None else (angles + (step.parameters()["which"] == "even")) // 2}


@half_set.hook("coordinates")
def _coordinates(step: Operator, coords: Mapping[str, Array]) -> dict[str, Array]:
    """Angles of the projections taken, under positions of their own."""
    angle = coords.get("angle")
    if angle is None or angle.ndim != 2:
        return {}
    kept = angle[:, 1 if step.parameters()["which"] == "odd" else 0 :: 2]
    return {"angle": kept, "angle.position": np.broadcast_to(np.arange(kept.shape[1]), kept.shape)}


@half_set.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return given


@half_set.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

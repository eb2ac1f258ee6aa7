"""Projections filtered and added to voxels in any geometry: what the step for a complete scan and the fold share."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.kernels.geometry import Motion, Rays, Region
from firstlight.kernels.ramp import Padding, RampFilter
from firstlight.kernels.voxel_driven import backproject_voxels

from .arrangement import Filter, rays_for

_TOGETHER = 16
"""Projections that are filtered at a time."""
_NEAREST = 0.05
"""How close to the source, in parts of its distance from the axis, a voxel may be to tell how far beside the detector it is seen."""


def ramp_of(
    filter: Filter, cutoff: float, padding: Padding, motion: Motion, region: Region, columns: int, step: str
) -> RampFilter | None:
    """What filters the projections, as far beside the detector as voxels are seen; None where nothing does, or something did.

    Args:
        filter: window, or why there is none.
        cutoff: where the window ends.
        padding: what lies outside the detector.
        motion: how the parts stand.
        region: the voxels.
        columns: of the detector.
        step: which step asks, for messages.

    Raises:
        FirstlightError: filtered projections in cone beam, whose weights come before the filter; numbers that make no geometry.
    """
    if filter == "applied" and np.isfinite(motion.source_distance).any():
        raise FirstlightError(
            "Projections of a cone beam are weighted before they are filtered: a step before can not have filtered them.",
            field="filter",
            value=filter,
            expected="a window, such as ram-lak",
            next_move="Leave out 'ramp' in the step before, and 'filter' here.",
        )
    if filter in ("none", "applied"):
        return None
    beside = _beside_detector(motion, region, columns, step)
    return RampFilter(columns, filter, cutoff=cutoff, padding=padding, beside=beside)


def _beside_detector(motion: Motion, region: Region, columns: int, step: str) -> tuple[int, int]:
    """Columns before the first and behind the last one of the detector where voxels are seen at any angle.

    A volume that nearly reaches the source is seen without end: no more are told than detector and volume are wide together.
    """
    count = max(np.size(getattr(motion, field.name)) for field in fields(motion))
    seen = rays_for(np.zeros(count), motion, np.arange(count), step).matrices() @ region.rim()
    place = seen[:, 0] / np.maximum(seen[:, 2], _NEAREST)
    most = columns + region.size
    before, after = np.ceil([-place.min(), place.max() - (columns - 1)])
    return int(np.clip(before, 0, most)), int(np.clip(after, 0, most))


def add_filtered(
    values: Array,
    rays: Rays,
    ramp: RampFilter | None,
    region: Region,
    weights: Array,
    volume: Array,
    parts: Array | None = None,
) -> None:
    """Weigh projections by the obliquity of their rays, filter them and add them to voxels.

    Args:
        values: (angle, row, col), finite.
        rays: geometry of the same projections.
        ramp: what filters them, if anything.
        region: which voxels.
        weights: share of each projection in radian, (angle,).
        volume: float32 (z, y, x) to add to.
        parts: how much each ray counts, (angle, col), where that differs.
    """
    rows, columns = values.shape[1:]
    for chosen in (slice(first, first + _TOGETHER) for first in range(0, len(values), _TOGETHER)):
        few = rays.take(chosen)
        weighed = (values[chosen] * few.obliquity(rows, columns)).astype(np.float32, copy=False)
        if parts is not None:
            weighed *= parts[chosen, None]
        if ramp is not None:
            weighed, few = ramp(weighed), few.counted_from(-ramp.beside[0])
        backproject_voxels(weighed, few, region, weights[chosen], volume)

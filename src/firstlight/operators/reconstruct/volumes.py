"""What the iterative steps for whole volumes share: one projector for any geometry, quantitative results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, OperatorFunction
from firstlight.kernels.iterate import Found, Limits
from firstlight.kernels.volume import VolumeProjector

from ..tomography.angles import projection_angles
from ..tomography.finite import finite
from ..tomography.per_length import per_length, unit_of, with_pixel
from .arrangement import demand_one_each, motion_of, rays_for, region_of
from .known_images import mask_in
from .slices import first_slices, units_of

OUTPUTS = "angle row col -> volume: z y x, residual: iteration"


def solve_volume(
    projections: Array,
    step: str,
    given: dict[str, Any],
    limits: Limits,
    method: Callable[[Any, Array, Limits], Found],
    angle: Array | None,
    *,
    mask: Path | None,
    initial: Path | None,
) -> tuple[Array, Array]:
    """Reconstruct volumes one after the other.

    Args:
        projections: shape (block, angle, row, col): line integrals; NaN and infinity count as 0.
        step: which step asks, for messages.
        given: how things stand, see `arrangement`.
        limits: when to stop, and constraints.
        method: what iterates.
        angle: shape (angle,), degree.
        mask: file of where the sample may be, an image (y, x) or a volume.
        initial: file of the first estimate of each volume, in the unit of the result.

    Returns:
        Volumes, float32 (block, z, y, x), and convergence curves, float32 (block, iteration).

    Raises:
        FirstlightError: angles are missing, in radian or do not fit; numbers that make no geometry; a mask or a first
            estimate that does not fit.
    """
    count, angles, rows, columns = projections.shape
    theta = projection_angles(angle, step, angles)
    rays = rays_for(theta, motion_of(given, rows, columns, step), np.arange(angles), step)
    region = region_of(
        (given["region_z"], given["region_y"], given["region_x"]), given["height"], given["size"], rows, columns
    )
    projector = VolumeProjector(rays, rows, columns, region)
    estimate = first_slices(initial, None, region.shape, given["pixel"])
    limits = replace(
        limits,
        mask=None if mask is None else mask_in(mask, region.shape)[..., None],
        initial=None if estimate is None else estimate[..., None],
    )
    volumes = np.empty((count, *region.shape), np.float32)
    curves = np.empty((count, limits.iterations), np.float32)
    for block, values in enumerate(finite(projections)):
        found = method(projector, np.ascontiguousarray(values, np.float32)[..., None], limits)
        volumes[block], curves[block] = found.images[..., 0], found.residual[:, 0]
    if given["pixel"] is not None:
        volumes *= np.float32(per_length(given["pixel"]))
    return volumes, curves


def register_hooks(step: OperatorFunction) -> None:
    """Give a step its sizes, unit, pixel size and workspace."""
    step.hook("sizes")(_sizes)
    step.hook("calibrate")(_calibrated)
    step.hook("unit")(unit_of)
    step.hook("units")(units_of)
    step.hook("workspace")(_workspace)


def _calibrated(step: Operator, scan: Scan) -> Operator:
    demand_one_each(step.parameters(), scan.main.sizes.get("angle"))
    return with_pixel(step, scan)


def _shape(step: Operator, rows: int, columns: int) -> tuple[int, int, int]:
    own = step.parameters()
    spans = (own["region_z"], own["region_y"], own["region_x"])
    return region_of(spans, own["height"], own["size"], rows, columns).shape


def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    rows, columns = known.get("row"), known.get("col")
    shape = (None, None, None) if rows is None or columns is None else _shape(step, rows, columns)
    own = dict(zip("zyx", shape, strict=True))
    return {**own, "iteration": step.parameters()["iterations"]} if "residual" in step.signature.outputs else own


def _workspace(step: Operator, scan: Scan, frames: int) -> int:
    """Volumes and projections that are held at a time, about: six of each."""
    rows, columns = scan.main.size("row"), scan.main.size("col")
    return 24 * (int(np.prod(_shape(step, rows, columns))) + scan.main.size("angle") * rows * columns)

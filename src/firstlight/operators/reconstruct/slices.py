"""What the iterative steps share: slices side by side, one projector for each axis of rotation, quantitative results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, OperatorFunction
from firstlight.kernels.angles import angular_weights
from firstlight.kernels.iterate import Found, Limits, Projector
from firstlight.kernels.lanes import WIDTHS, groups, one_by_one, side_by_side
from firstlight.kernels.project import ParallelProjector
from firstlight.kernels.ramp import ramp_filter

from ..tomography.angles import projection_angles
from ..tomography.centers import Center, chosen_centers, demand_centers, same_center
from ..tomography.finite import finite
from ..tomography.per_length import per_length, unit_of, with_pixel
from .known_images import mask_in, slices_in

# Parameters that several steps take, each with what it means: a docstring says it only where it means more there.
Start = Annotated[Literal["zero", "fbp"], Field(description="Begin with zeros, or with filtered back-projection.")]
Iterations = Annotated[int, Field(ge=1, le=100_000, description="How many times the estimate is improved at most.")]
Relaxation = Annotated[float, Field(gt=0, lt=2, description="Length of each step, between 0 and 2.")]
Stop = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Stop a slice (or a volume) when |A x - b| / |b| falls below this; 0 never stops early.",
    ),
]
Strength = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="λ as a part of max|Aᵀb|, so that it means the same in any unit; 1e-4 keeps more detail, 1e-2 smooths more.",
    ),
]
Subsets = Annotated[int, Field(ge=1, le=10_000, description="Groups of projections, each spread over the scan.")]
Nonnegative = Annotated[bool, Field(description="Set negative values to 0 in each iteration.")]
Circle = Annotated[bool, Field(description="Keep what lies outside the inscribed circle at 0.")]
Size = Annotated[
    Annotated[int, Field(ge=2)] | None,
    Field(
        description="Width and height of the slices in pixel. Default: the number of columns.",
    ),
]
Damping = Annotated[float, Field(ge=0, le=1e6)]

Method = Callable[[Projector, Array, Limits], Found]

OUTPUTS = "angle col -> volume: z=row y x, residual: z=row iteration"


@dataclass(frozen=True)
class Task:
    """What every iterative step is told, apart from its method."""

    step: str
    iterations: int
    stop: float = 0.0
    nonnegative: bool = False
    circle: bool = True
    start: Start = "zero"
    mask: Path | None = None
    initial: Path | None = None
    center: Center = None
    size: int | None = None
    pixel: float | None = None
    angle: Array | None = None
    row: Array | None = None

    @classmethod
    def of(cls, step: str, given: Mapping[str, Any]) -> Task:
        """What a step was told, out of all its arguments."""
        return cls(step, **{each.name: given[each.name] for each in fields(cls) if each.name in given})


def solve_slices(sinograms: Array, task: Task, method: Method) -> tuple[Array, Array]:
    """Reconstruct slices, up to sixteen side by side.

    Args:
        sinograms: shape (slice, angle, col): line integrals; NaN and infinity count as 0.
        task: what the step was told.
        method: what iterates.

    Returns:
        Slices, float32 (slice, y, x), and convergence curves, float32 (slice, iteration).

    Raises:
        FirstlightError: angles are missing, in radian or do not fit; centers, a mask or a first estimate do not fit.
    """
    count, angles, columns = sinograms.shape
    theta = projection_angles(task.angle, task.step, angles)
    values = finite(sinograms)
    size = task.size or columns
    estimate = first_slices(task.initial, task.row, (count, size, size), task.pixel)
    slices = np.empty((count, size, size), np.float32)
    curves = np.empty((count, task.iterations), np.float32)
    mask = mask_of(size, task.mask, circle=task.circle)
    for chosen, center in same_center(chosen_centers(task.center, task.row, count, columns, size)):
        projector = ParallelProjector(theta, columns, size, center=center)
        for part, lanes in groups(chosen.stop - chosen.start):
            place = slice(chosen.start + part.start, chosen.start + part.stop)
            data = side_by_side(values[place], lanes)
            initial = filtered(projector, data) if task.start == "fbp" and estimate is None else None
            if estimate is not None:
                initial = side_by_side(estimate[place], lanes)
            found = method(projector, data, Limits(task.iterations, task.stop, task.nonnegative, mask, initial))
            one_by_one(found.images, slices[place])
            curves[place] = found.residual.T[: place.stop - place.start]
    if task.pixel is not None:
        slices *= np.float32(per_length(task.pixel))
    return slices, curves


def first_slices(
    path: Path | None, row: Array | None, shape: tuple[int, int, int], pixel: float | None
) -> Array | None:
    """The first estimate that a file holds, float32 (slice, y, x) per pixel; None without a file."""
    if path is None:
        return None
    found = slices_in(path, row, shape)
    return found if pixel is None else found / np.float32(per_length(pixel))


def mask_of(size: int, path: Path | None, *, circle: bool) -> Array | None:
    """Ones where the sample may be, float32 (y, x, 1); None if that is everywhere."""
    inside = circle_mask(size) if circle else None
    if path is None:
        return inside
    known = mask_in(path, (size, size))[..., None]
    return known if inside is None else known * inside


def circle_mask(size: int) -> Array:
    """Ones inside the inscribed circle, float32 (y, x, 1)."""
    place = np.arange(size) - (size - 1) / 2
    return (place[:, None] ** 2 + place**2 <= (size / 2) ** 2).astype(np.float32)[..., None]


def filtered(projector: ParallelProjector, data: Array) -> Array:
    """Filtered back-projection, as a first estimate: (y, x, lane)."""
    lines = np.moveaxis(ramp_filter(np.ascontiguousarray(np.moveaxis(data, -1, 0)), "hann"), 0, -1)
    weights = angular_weights(projector.angles)
    back = ParallelProjector(
        projector.angles, projector.columns, projector.size, center=projector.center, weights=weights, hat=True
    )
    return back.backproject(np.ascontiguousarray(lines))


def register_hooks(step: OperatorFunction) -> None:
    """Give an iterative step its sizes, unit, pixel size, workspace and block."""
    step.hook("sizes")(_sizes)
    step.hook("calibrate")(calibrated)
    step.hook("unit")(unit_of)
    step.hook("units")(units_of)
    step.hook("workspace")(_workspace)
    step.hook("block")(_block)


def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    size = step.parameters()["size"] or known.get("col")
    return {"y": size, "x": size, "iteration": step.parameters()["iterations"]}


def calibrated(step: Operator, scan: Scan) -> Operator:
    """A step that reconstructs slices with the pixel size of the scan, where the user gave none.

    Raises:
        FirstlightError: centers do not fit the scan.
    """
    demand_centers(step, scan)
    return with_pixel(step, scan)


def units_of(step: Operator, scan: Scan) -> dict[str, str | None]:
    """What is left is told as a share of the data."""
    return {"residual": None}


def _workspace(step: Operator, scan: Scan, frames: int) -> int:
    """Images and sinograms of sixteen slices that one thread holds at a time, about: eight of each."""
    angles, columns = scan.main.size("angle"), scan.main.size("col")
    size = step.parameters()["size"] or columns
    return 4 * WIDTHS[-1] * 8 * (size * size + angles * columns)


def _block(step: Operator) -> int:
    """How many slices at once go fastest."""
    return WIDTHS[-1]

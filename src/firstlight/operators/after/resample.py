"""Slices of another size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.core.units import Quantity
from firstlight.kernels.resample import Interpolation, resampled

Size = Annotated[int, Field(ge=1, le=65_536)]


@operator("y x -> y x", sentence="Slices were resampled to {width} × {height} voxels ({interpolation}).")
def resample(
    slices: Array, *, width: Size, height: Size | None = None, interpolation: Interpolation = "linear"
) -> Array:
    """Resample every slice to another number of voxels over the same area: smaller for a look or a comparison, or larger.

    The edges of the slice stay where they are: voxel j of the result has its middle at (j + 1/2) N / width - 1/2. Nothing
    is averaged; to lose no detail silently when making slices smaller, use `bin` before the reconstruction.

    Args:
        slices: shape (slice, y, x).
        width: Voxels along x afterwards.
        height: Voxels along y afterwards. Default: as many as `width`.
        interpolation: `nearest`, `linear` or `cubic`.

    Returns:
        float32 (slice, height, width), in the unit of the slices.
    """
    return resampled(slices, (height or width, width), interpolation)


@resample.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    given = step.parameters()
    return {"y": given["height"] or given["width"], "x": given["width"]}


@resample.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


@resample.hook("calibration")
def _calibration(step: Operator, scan: Scan) -> Mapping[str, Quantity]:
    """Voxels are larger or smaller afterwards; the width says by how much."""
    columns, pixel = scan.main.sizes.get("x"), scan.calibration.get("pixel")
    if columns is None or pixel is None:
        return scan.calibration
    return {**scan.calibration, "pixel": Quantity(pixel.value * columns / step.parameters()["width"], pixel.unit)}

"""Cut slices to a disk."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.masks import keep_disk


@operator("y x -> y x")
def circular_mask(slices: Array, *, ratio: Annotated[float, Field(gt=0, le=1.5)] = 0.95, value: float = 0.0) -> Array:
    """Replace what lies outside a disk about the rotation axis, where not every projection has seen the sample.

    Args:
        slices: shape (slice, y, x).
        ratio: Diameter of the disk over the shorter side of the slice.
        value: What stands outside; may be NaN.

    Returns:
        float32 of the same shape.
    """
    height, width = slices.shape[1:]
    return keep_disk(slices, ((height - 1) / 2, (width - 1) / 2), ratio * min(height, width) / 2, value)


@circular_mask.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


@circular_mask.device("cuda")
def _on_cuda(slices: Any, *, ratio: float = 0.95, value: float = 0.0) -> Any:
    from firstlight.kernels.cuda.frames import mask_disk

    _, height, width = slices.shape
    return mask_disk(slices, ((height - 1) / 2, (width - 1) / 2), ratio * min(height, width) / 2, value)

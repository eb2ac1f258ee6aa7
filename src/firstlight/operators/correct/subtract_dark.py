"""The detector's own signal."""

from __future__ import annotations

from typing import Any

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import AxesError
from firstlight.core.operator import Operator, operator
from firstlight.kernels.elementwise import fuse
from firstlight.kernels.levels import DIFFERENCE


@operator("row col, row col -> row col", sentence="The mean dark image was subtracted.")
def subtract_dark(frames: Array, dark: Array) -> Array:
    """Subtract the dark image that holds for a frame: counts of the light alone.

    For data without flat images; `flat_field` subtracts the dark image itself.

    Args:
        frames: shape (frame, row, col), any integer or float type: counts.
        dark: image (row, col) without beam.

    Returns:
        float32 of the same shape and unit; negative where noise is below the dark image.

    Raises:
        AxesError: the image is not as large as a frame.
    """
    _demand_size(frames, dark)
    return fuse([DIFFERENCE])(frames, [dark])


@subtract_dark.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


def _demand_size(frames: Array, dark: Array) -> None:
    if dark.shape != frames.shape[1:]:
        raise AxesError(
            "The dark image is not as large as a frame.",
            field="dark",
            value=dark.shape,
            expected=f"(row, col) = {frames.shape[1:]}",
            next_move="Take dark frames with the region and binning of the projections.",
        )


@subtract_dark.device("cuda")
def _on_cuda(frames: Any, dark: Any) -> Any:
    from firstlight.kernels.cuda.elementwise import fuse as fuse_on_device

    _demand_size(frames, dark)
    return fuse_on_device([DIFFERENCE])(frames, [dark])

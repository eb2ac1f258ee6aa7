"""The detector's own signal."""

from __future__ import annotations

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import AxesError
from firstlight.core.operator import Operator, operator


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
    if dark.shape != frames.shape[1:]:
        raise AxesError(
            "The dark image is not as large as a frame.",
            field="dark",
            value=dark.shape,
            expected=f"(row, col) = {frames.shape[1:]}",
            next_move="Take dark frames with the region and binning of the projections.",
        )
    return np.subtract(frames, dark.astype(np.float32), dtype=np.float32, casting="unsafe")


@subtract_dark.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

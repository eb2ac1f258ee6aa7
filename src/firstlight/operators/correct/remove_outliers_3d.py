"""Remove zingers, with the projections before and after as neighbours too."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.median import Outliers
from firstlight.kernels.outliers_3d import remove_outliers_3d as kernel

from .remove_outliers import odd


@operator(
    "angle~size row~size col~size -> angle row col",
    sentence="Outliers ({kind}, beyond {threshold}) were replaced by the median of {size} × {size} × {size} neighbours.",
)
def remove_outliers_3d(
    projections: Array,
    *,
    threshold: Annotated[float, Field(ge=0)],
    size: Annotated[int, Field(ge=3, le=7), AfterValidator(odd)] = 3,
    kind: Outliers = "bright",
) -> Array:
    """Replace pixels that stand out of their neighbourhood in row, column and angle by its median: zingers.

    A zinger is in one projection alone, so its neighbours in time tell it from an edge of the sample better than those in
    the frame. What a pixel does in every frame is no outlier here: see `remove_outliers` and `replace_bad_pixels`.

    Args:
        projections: shape (block, angle, row, col), integers or floats. At the rim the outermost values are repeated.
        threshold: Largest difference from the median that is left alone, in the unit of the projections.
        size: Side of the neighbourhood, odd.
        kind: `bright` for what is brighter than its neighbourhood (zingers), `dark`, or `both`.

    Returns:
        Array of the type and shape of `projections`. NaN is replaced too, where the neighbourhood holds a number.
    """
    out = np.empty(projections.shape, projections.dtype)
    for place, volume in enumerate(projections):
        out[place] = kernel(volume, threshold=threshold, size=size, kind=kind)
    return out


@remove_outliers_3d.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return given


@remove_outliers_3d.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


@remove_outliers_3d.hook("workspace")
def _workspace(step: Operator, scan: Scan, frames: int) -> int:
    """The block in float32 with its rim."""
    rim = step.parameters()["size"] - 1
    return 4 * (frames + rim) * (scan.main.size("row") + rim) * (scan.main.size("col") + rim)


@remove_outliers_3d.device("cuda")
def _on_cuda(projections: Any, *, threshold: float, size: int = 3, kind: Outliers = "bright") -> Any:
    from firstlight.kernels.cuda import outliers

    return outliers.remove_outliers_3d(projections, threshold=threshold, size=size, kind=kind)

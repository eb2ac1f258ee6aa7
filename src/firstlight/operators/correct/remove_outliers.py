"""Remove zingers and dead pixels."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels import median
from firstlight.kernels.median import Outliers


def odd(size: int) -> int:
    """Refuse a window without a middle.

    Raises:
        ValueError: `size` is even.
    """
    if size % 2 == 0:
        raise ValueError(f"a window of {size} pixels has no middle: use {size - 1} or {size + 1}")
    return size


@operator(
    "row~size col~size -> row col",
    sentence="Outliers ({kind}) of more than {threshold} were replaced by the median of {size} × {size} pixels.",
)
def remove_outliers(
    frames: Array,
    *,
    threshold: Annotated[float, Field(ge=0)],
    size: Annotated[int, Field(ge=3, le=31), AfterValidator(odd)] = 3,
    kind: Outliers = "bright",
) -> Array:
    """Replace pixels that stand out of their neighbourhood by its median: zingers, hot and dead pixels.

    Args:
        frames: shape (frame, row, col), integers or floats. At the rim the outermost pixel is repeated.
        threshold: Largest difference from the median that is left alone, in the unit of the frames.
        size: Side of the neighbourhood in pixel, odd.
        kind: `bright` for what is brighter than its neighbourhood (zingers), `dark`, or `both`.

    Returns:
        Array of the type and shape of `frames`. NaN is replaced too, where the neighbourhood holds a number.
    """
    return median.remove_outliers(frames, threshold=threshold, size=size, kind=kind)


@remove_outliers.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return given


@remove_outliers.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


@remove_outliers.device("cuda")
def _on_cuda(frames: Any, *, threshold: float, size: int = 3, kind: Outliers = "bright") -> Any:
    from firstlight.kernels.cuda import outliers

    return outliers.remove_outliers(frames, threshold=threshold, size=size, kind=kind)

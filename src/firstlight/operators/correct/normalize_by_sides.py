"""Air that is not 1 (or background that is not 0), line by line, by what both sides of the sample see."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import AxesError
from firstlight.core.operator import Operator, operator
from firstlight.kernels.sides import level_lines

Side = Annotated[int, Field(ge=0, le=10_000)]


@operator(
    "col -> col",
    sentence="Each detector line was normalised ({method}) by the air in its outermost columns ({left} left, {right} right).",
)
def normalize_by_sides(
    lines: Array, *, left: Side = 5, right: Side = 5, method: Literal["divide", "subtract"] = "divide"
) -> Array:
    """Bring the air on both sides of every detector line to 1 (or 0), with a straight line in between.

    On transmission divide: air becomes 1. After the logarithm (attenuation whose background is not 0) subtract: air
    becomes 0. Works on frames and on sinograms. The outermost columns must see air at every angle.

    Args:
        lines: shape (line, col).
        left: Columns of air on the left; 0 for none.
        right: Columns of air on the right; 0 for none.
        method: Divide by the line between both sides, or subtract it.

    Returns:
        float32 of the same shape. A side without a finite value, or not above 0 before a division, counts as the other
        one; where neither counts, the line stays as it is.

    Raises:
        AxesError: a line is shorter than both sides, or both are 0.
    """
    _demand_air(lines.shape[1], left, right)
    return level_lines(lines, left, right, divide=method == "divide")


@normalize_by_sides.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


def _demand_air(columns: int, left: int, right: int) -> None:
    if not 0 < left + right <= columns:
        raise AxesError(
            "There is no air on either side." if left + right == 0 else "A line is shorter than both sides.",
            field="left",
            value=f"{left} + {right}",
            expected=f"1 to {columns} columns together",
        )


@normalize_by_sides.device("cuda")
def _on_cuda(lines: Any, *, left: int = 5, right: int = 5, method: str = "divide") -> Any:
    from firstlight.kernels.cuda.sides import level_lines as on_device

    _demand_air(lines.shape[1], left, right)
    return on_device(lines, left, right, divide=method == "divide")

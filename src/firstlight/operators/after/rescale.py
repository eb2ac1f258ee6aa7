"""Grey values as integers of 8 or 16 bits."""

from __future__ import annotations

from typing import Any, Literal

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import Operator, operator
from firstlight.kernels.grey import to_integers


@operator("->", sentence="Values from {low} to {high} were written as integers of {bits} bits.")
def rescale(values: Array, *, low: float | None = None, high: float | None = None, bits: Literal[8, 16] = 8) -> Array:
    """Map values between two limits to integers of 8 or 16 bits, rounded; what lies beyond is clipped, NaN becomes 0.

    Args:
        values: any shape.
        low: Value that becomes 0, such as `low: {from: histogram.low}`.
        high: Value that becomes the largest integer, such as `high: {from: histogram.high}`.
        bits: 8 or 16.

    Returns:
        uint8 or uint16 of the same shape.

    Raises:
        FirstlightError: a limit is not known, or `high` is not above `low`.
    """
    first, last = _limits(low, high)
    return to_integers(values, low=first, high=last, bits=bits)


@rescale.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return f"uint{step.parameters()['bits']}"


def _limits(low: float | None, high: float | None) -> tuple[float, float]:
    if low is None or high is None or not high > low:
        raise FirstlightError(
            "'rescale' needs two limits.",
            field="low, high",
            value=(low, high),
            expected="two numbers, the second above the first",
            next_move="Give them, or take percentiles: 'low: {from: histogram.low}', 'high: {from: histogram.high}'.",
        )
    return low, high


@rescale.device("cuda")
def _on_cuda(values: Any, *, low: float | None = None, high: float | None = None, bits: Literal[8, 16] = 8) -> Any:
    from firstlight.kernels.cuda.frames import to_integers as on_device

    first, last = _limits(low, high)
    return on_device(values, low=first, high=last, bits=bits)

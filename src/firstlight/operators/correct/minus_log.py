"""From transmission to attenuation."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.operator import operator
from firstlight.kernels import flat_field as kernel
from firstlight.kernels.flat_field import MINUS_LOG


@operator(
    "->", sentence="Attenuation is minus the logarithm of the transmission, which was raised to at least {floor}."
)
def minus_log(values: Array, *, floor: Annotated[float, Field(gt=1e-30, le=1.0)] = 1e-6) -> Array:
    """Take minus the natural logarithm: transmission becomes the line integral of the attenuation (Beer and Lambert).

    Args:
        values: any shape: transmission.
        floor: Smallest transmission told apart; lower values (noise, dead pixels) are raised to it first.

    Returns:
        float32 of the same shape: attenuation, without unit. NaN stays NaN.
    """
    return kernel.minus_log(values, floor=floor)


minus_log.pixelwise(MINUS_LOG)


@minus_log.device("cuda")
def _on_cuda(values: Any, *, floor: float) -> Any:
    from firstlight.kernels.cuda.elementwise import fuse

    return fuse([MINUS_LOG])(values, [], [floor])

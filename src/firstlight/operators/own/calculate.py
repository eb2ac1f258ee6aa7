"""An expression over the data."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from firstlight.core.arrays import Array
from firstlight.core.operator import operator
from firstlight.kernels.elementwise import ScalarBody, fuse
from firstlight.kernels.expression import LONGEST, compile_expression, parse_expression


def _checked(text: str) -> str:
    parse_expression(text)
    return text


Expression = Annotated[str, Field(min_length=1, max_length=LONGEST), AfterValidator(_checked)]


@operator("->", sentence="Each value v was replaced by {expression}.")
def calculate(values: Array, *, expression: Expression) -> Array:
    """Replace each value ``v`` by what an expression makes of it, such as ``-log(v)`` or ``where(v > 0, v, 0)``.

    Known are numbers, ``pi``, ``e``, ``nan``, ``inf``, ``+ - * / **``, comparisons, ``and``, ``or``, ``not``, and the functions
    abs, arctan, arctan2, ceil, clip, cos, exp, expm1, floor, hypot, isfinite, isnan, log, log10, log1p, log2, maximum,
    minimum, round, sign, sin, sqrt, tan, tanh, where; all as in numpy, on float32. A comparison is 1 where it holds and
    0 elsewhere. The expression becomes one loop, together with the element-wise steps before and after it.

    Args:
        values: any shape.
        expression: What becomes of a value v.

    Returns:
        float32 of the same shape; the unit is not known any more.

    Raises:
        ValueError: the expression can not be understood; the message names the part.
    """
    frames = np.asarray(values)
    return fuse([compile_expression(expression)])(frames if frames.ndim == 3 else np.ascontiguousarray(frames))


def _body(step: Any) -> ScalarBody:
    return compile_expression(step.expression)


# which function of one pixel it is depends on the expression
calculate.pixelwise(property(_body))


@calculate.device("cuda")
def _on_cuda(values: Any, *, expression: str) -> Any:
    from firstlight.kernels.cuda.elementwise import fuse as fuse_on_device

    return fuse_on_device([compile_expression(expression)])(values)

"""The functions that an expression over pixels may call: float32 in, float32 out, as numpy's of the same name.

Where numpy and C disagree about NaN (minimum, maximum, sign), numpy's answer is given.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from firstlight.kernels.elementwise import SCALAR_BODY, vector_exp, vector_log

__all__ = ["FUNCTIONS", "number"]

_F = np.float32
_TINY = np.finfo(np.float32).tiny
_NAN, _INFINITY = _F(np.nan), _F(np.inf)
_TWO_24, _LOG_TWO_24 = _F(2.0**24), _F(24 * math.log(2.0))
_LOG10_E, _LOG2_E = _F(math.log10(math.e)), _F(math.log2(math.e))

# from 2^23 on every float32 is a whole number: adding and subtracting it rounds smaller ones, half to even
_ALL_WHOLE = _F(8388608.0)

_scalar: Any = numba.njit(**SCALAR_BODY)


def _of_llvm(name: str) -> Any:
    """A function that LLVM has itself: vector instructions here, and known to the compiler for CUDA, unlike numpy's."""

    @intrinsic
    def function(typingctx: Any, x: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.call(builder.module.declare_intrinsic(f"llvm.{name}", [ir.FloatType()]), args)

        return types.float32(types.float32), codegen

    return function


_sqrt_of, _floor_of, _ceil_of = (_of_llvm(name) for name in ("sqrt", "floor", "ceil"))


@_scalar
def number(truth: bool) -> np.float32:
    """1 for true, 0 for false."""
    return _F(1) if truth else _F(0)


@_scalar
def _log(x: np.float32) -> np.float32:
    small = x < _TINY  # subnormal numbers are scaled up first, because the polynomial takes normal ones
    y = vector_log(x * _TWO_24 if small else x) - (_LOG_TWO_24 if small else _F(0))
    y = -_INFINITY if x == _F(0) else y
    return _NAN if x < _F(0) else y


@_scalar
def _log10(x: np.float32) -> np.float32:
    return _log(x) * _LOG10_E


@_scalar
def _log2(x: np.float32) -> np.float32:
    return _log(x) * _LOG2_E


@_scalar
def _exp(x: np.float32) -> np.float32:
    return vector_exp(x)


@_scalar
def _log1p(x: np.float32) -> np.float32:
    return _F(math.log1p(x))


@_scalar
def _expm1(x: np.float32) -> np.float32:
    return _F(math.expm1(x))


@_scalar
def _sqrt(x: np.float32) -> np.float32:
    return _sqrt_of(x)


@_scalar
def _sin(x: np.float32) -> np.float32:
    return _F(math.sin(x))


@_scalar
def _cos(x: np.float32) -> np.float32:
    return _F(math.cos(x))


@_scalar
def _tan(x: np.float32) -> np.float32:
    return _F(math.tan(x))


@_scalar
def _arctan(x: np.float32) -> np.float32:
    return _F(math.atan(x))


@_scalar
def _arctan2(y: np.float32, x: np.float32) -> np.float32:
    return _F(math.atan2(y, x))


@_scalar
def _tanh(x: np.float32) -> np.float32:
    return _F(math.tanh(x))


@_scalar
def _hypot(x: np.float32, y: np.float32) -> np.float32:
    return _F(math.hypot(x, y))


@_scalar
def _abs(x: np.float32) -> np.float32:
    return _F(abs(x))


@_scalar
def _floor(x: np.float32) -> np.float32:
    return _floor_of(x)


@_scalar
def _ceil(x: np.float32) -> np.float32:
    return _ceil_of(x)


@_scalar
def _round(x: np.float32) -> np.float32:
    far = _ALL_WHOLE if x >= _F(0) else -_ALL_WHOLE
    whole = (x + far) - far
    return whole if abs(x) < _ALL_WHOLE else x


@_scalar
def _sign(x: np.float32) -> np.float32:
    y = _F(1) if x > _F(0) else _F(0)
    y = _F(-1) if x < _F(0) else y
    return y if x == x else x


@_scalar
def _minimum(x: np.float32, y: np.float32) -> np.float32:
    return x if (x <= y or x != x) else y


@_scalar
def _maximum(x: np.float32, y: np.float32) -> np.float32:
    return x if (x >= y or x != x) else y


@_scalar
def _clip(x: np.float32, low: np.float32, high: np.float32) -> np.float32:
    return _minimum(_maximum(x, low), high)


@_scalar
def _where(truth: bool, yes: np.float32, no: np.float32) -> np.float32:
    return yes if truth else no


@_scalar
def _isfinite(x: np.float32) -> bool:
    return x - x == _F(0)


@_scalar
def _isnan(x: np.float32) -> bool:
    return x != x


FUNCTIONS: dict[str, tuple[Any, str, bool]] = {
    "abs": (_abs, "n", False),
    "arctan": (_arctan, "n", False),
    "arctan2": (_arctan2, "nn", False),
    "ceil": (_ceil, "n", False),
    "clip": (_clip, "nnn", False),
    "cos": (_cos, "n", False),
    "exp": (_exp, "n", False),
    "expm1": (_expm1, "n", False),
    "floor": (_floor, "n", False),
    "hypot": (_hypot, "nn", False),
    "isfinite": (_isfinite, "n", True),
    "isnan": (_isnan, "n", True),
    "log": (_log, "n", False),
    "log10": (_log10, "n", False),
    "log1p": (_log1p, "n", False),
    "log2": (_log2, "n", False),
    "maximum": (_maximum, "nn", False),
    "minimum": (_minimum, "nn", False),
    "round": (_round, "n", False),
    "sign": (_sign, "n", False),
    "sin": (_sin, "n", False),
    "sqrt": (_sqrt, "n", False),
    "tan": (_tan, "n", False),
    "tanh": (_tanh, "n", False),
    "where": (_where, "tnn", False),
}
"""By name: the compiled function, what it takes (n: a number, t: true or false), and whether it gives true or false."""

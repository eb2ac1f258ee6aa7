"""Polynomials of every value of an array, in one pass over memory."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["polynomial"]

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
_BLOCK = 1024


def polynomial(values: ArrayLike, coefficients: tuple[float, ...]) -> NDArray[np.float32]:
    """c0 + c1 v + c2 v^2 + ... of every value.

    Args:
        values: any shape, integers or floats.
        coefficients: c0, c1, ..., at least one.

    Returns:
        float32 of the same shape.
    """
    given = np.ascontiguousarray(values, np.float32)
    out = np.empty(given.shape, np.float32)
    _polynomial(given.reshape(-1), np.array(coefficients, np.float32), out.reshape(-1))
    return out


@numba.njit(**_OPTIONS)
def _step(values: NDArray[np.float32], factor: np.float32, out: NDArray[np.float32]) -> None:
    for i in range(out.size):
        out[i] = out[i] * values[i] + factor


@numba.njit(**_OPTIONS)
def _polynomial(values: NDArray[np.float32], factors: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Horner's rule, for blocks that stay in the first-level cache."""
    for first in range(0, values.size, _BLOCK):
        here, target = values[first : first + _BLOCK], out[first : first + _BLOCK]
        target[:] = factors[factors.size - 1]
        for k in range(factors.size - 2, -1, -1):
            _step(here, factors[k], target)

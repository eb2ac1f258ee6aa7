"""What iterative methods do to images between two projections, each in one pass over memory.

The last axis of every array counts problems side by side, with a factor each (see `firstlight.kernels.iterate`); weights are
the same for all problems, and have a last axis of length 1.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[Any]  # float32 throughout; the stubs lose that in arithmetic with scalars

_TINY = np.float32(1e-6)
"""Length in pixels below which a ray or a pixel counts as not seen."""
_EVERYWHERE = np.ones(1, np.float32)


def inverse(values: F32) -> F32:
    """1/value, and 0 where nothing is seen; in a new array."""
    out = np.empty_like(values)
    _inverse(values.reshape(-1), out.reshape(-1))
    return out


def weigh(values: F32, weights: F32) -> None:
    """Values ← weights · values."""
    _weigh(values.reshape(-1), weights.reshape(-1), values.shape[-1])


def add_weighted(images: F32, update: F32, weights: F32, factors: F32, low: float, mask: F32 | None) -> None:
    """Images ← max(images + factors · weights · update, low) · mask.

    Args:
        images: changed in place.
        update: what is added.
        weights: of each place.
        factors: of each problem.
        low: least value that is kept; -inf for any.
        mask: ones and zeros, the same for all problems.
    """
    kept = _EVERYWHERE if mask is None else mask.reshape(-1)
    flat = images.reshape(-1), update.reshape(-1), weights.reshape(-1)
    _add_weighted(*flat, factors, np.float32(low), kept)


def add_scaled(values: F32, other: F32, factors: F32) -> None:
    """Values ← values + factors · other."""
    _add_scaled(values.reshape(-1), other.reshape(-1), factors)


def scale_and_add(values: F32, factors: F32, other: F32) -> None:
    """Values ← factors · values + other."""
    _scale_and_add(values.reshape(-1), factors, other.reshape(-1))


def multiply_weighted(images: F32, update: F32, weights: F32, active: NDArray[np.bool_]) -> None:
    """Images ← weights · update · images, of the problems that are active."""
    _multiply_weighted(images.reshape(-1), update.reshape(-1), weights.reshape(-1), active)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _inverse(values: Any, out: Any) -> None:
    for i in range(values.size):
        out[i] = np.float32(1) / values[i] if values[i] > _TINY else np.float32(0)


@numba.njit(nogil=True, cache=True)
def _weigh(values: Any, weights: Any, problems: Any) -> None:
    if problems == 1:  # a loop of its own, which the compiler turns into whole registers
        for i in range(values.size):
            values[i] *= weights[i]
        return
    for i in range(weights.size):
        for k in range(i * problems, (i + 1) * problems):
            values[k] *= weights[i]


@numba.njit(nogil=True, cache=True)
def _add_weighted(images: Any, update: Any, weights: Any, factors: Any, low: Any, mask: Any) -> None:
    problems, masked = factors.size, mask.size == weights.size
    if problems == 1:
        for i in range(images.size):
            images[i] = max(images[i] + update[i] * (weights[i] * factors[0]), low)
    else:
        for i in range(weights.size):
            at = i * problems
            for k in range(problems):
                images[at + k] = max(images[at + k] + update[at + k] * (weights[i] * factors[k]), low)
    if masked:
        _weigh(images, mask, problems)


@numba.njit(nogil=True, cache=True)
def _add_scaled(values: Any, other: Any, factors: Any) -> None:
    problems = factors.size
    if problems == 1:
        for i in range(values.size):
            values[i] += factors[0] * other[i]
        return
    for at in range(0, values.size, problems):
        for k in range(problems):
            values[at + k] += factors[k] * other[at + k]


@numba.njit(nogil=True, cache=True)
def _scale_and_add(values: Any, factors: Any, other: Any) -> None:
    problems = factors.size
    if problems == 1:
        for i in range(values.size):
            values[i] = factors[0] * values[i] + other[i]
        return
    for at in range(0, values.size, problems):
        for k in range(problems):
            values[at + k] = factors[k] * values[at + k] + other[at + k]


@numba.njit(nogil=True, cache=True)
def _multiply_weighted(images: Any, update: Any, weights: Any, active: Any) -> None:
    problems = active.size
    for i in range(weights.size):
        for k in range(problems):
            if active[k]:
                images[i * problems + k] *= update[i * problems + k] * weights[i]

"""Axes of device arrays in another order.

The kernel has a module of its own: while it runs, the simulator puts something else in the place of ``cuda`` there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda as _cuda

from .arrays import Device, empty, launch

cuda: Any = _cuda  # its stubs know nothing of launching a kernel

_THREADS, _MOST_BLOCKS = 256, 4096


def arranged(values: Device, order: Sequence[int]) -> Device:
    """The array with its axes in another order, C-contiguous; itself if that is the order it has.

    Args:
        values: C-contiguous, up to four axes.
        order: For each axis of the result, which axis of `values` it is.
    """
    if list(order) == list(range(len(order))):
        return values
    lengths, steps = [1] * 4, [0] * 4
    for place, axis in enumerate(order, 4 - len(order)):
        lengths[place], steps[place] = values.shape[axis], math.prod(values.shape[axis + 1 :])
    made = empty([values.shape[axis] for axis in order], values.dtype)
    size = math.prod(values.shape)
    if size:
        grid = min(-(-size // _THREADS), _MOST_BLOCKS)
        flat, target = values.reshape((size,)), made.reshape((size,))
        launch(_arrange, grid, _THREADS, flat, target, *map(np.int64, (*lengths[1:], *steps)))
    return made


@cuda.jit
def _arrange(values: Any, target: Any, b: Any, c: Any, d: Any, p: Any, q: Any, r: Any, s: Any) -> None:
    """Fill a target with axes of length (a, b, c, d) from places that are p, q, r, s apart along them."""
    for place in range(cuda.grid(1), target.size, cuda.gridsize(1)):
        line, w = place // d, place % d
        plane, z = line // c, line % c
        target[place] = values[(plane // b) * p + (plane % b) * q + z * r + w * s]

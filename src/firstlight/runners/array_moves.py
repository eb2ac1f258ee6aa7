"""Moves of axes and joins of arrays, on whichever device the arrays are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from firstlight.core import arrays as of_host
from firstlight.core.arrays import Array


def on_host(values: Any) -> bool:
    """True for arrays of numpy (and whatever else is no device array)."""
    return not (getattr(values, "__cuda_ndarray__", False) or hasattr(values, "__cuda_array_interface__"))


def as_array(values: Any) -> Array:
    """What a body returned, as an array where it is."""
    if on_host(values):
        return np.asarray(values)
    from firstlight.kernels.cuda import arrays

    return arrays.as_numba(values)


def joined(parts: Sequence[Array]) -> Array:
    """One after the other along the first axis."""
    if on_host(parts[0]):
        return np.concatenate(list(parts))
    from firstlight.kernels.cuda import arrays

    return arrays.joined(parts)


def arranged(data: Array, order: Sequence[int]) -> Array:
    """With the axes in another order: a view on the host, C-contiguous on a device."""
    if on_host(data):
        return data.transpose(tuple(order))
    from firstlight.kernels.cuda.arranged import arranged as arranged_there

    return arranged_there(data, order)


def to_front(data: Array, axis: int) -> Array:
    """With one axis as the first."""
    return arranged(data, [axis, *(other for other in range(data.ndim) if other != axis)])


def bring_last(data: Array, axes: Sequence[str], whole: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
    """Move the axes `whole` to the end and flatten the others into one leading dimension; see `core.arrays.bring_last`."""
    if on_host(data):
        return of_host.bring_last(data, axes, whole)
    free = tuple(label for label in axes if label not in whole)
    moved = arranged(data, [0, *(1 + list(axes).index(label) for label in (*free, *whole))])
    return flattened(moved, 1 + len(free)), free


def flattened(data: Array, leading: int) -> Array:
    """The first axes as one; a C-contiguous array."""
    shape = tuple(data.shape)
    count = 1
    for length in shape[:leading]:
        count *= length
    return data.reshape((count, *shape[leading:]))

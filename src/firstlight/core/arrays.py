"""Array types and axis moves that every part of the core shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Ids: TypeAlias = npt.NDArray[np.int64]


def as_ids(values: Any) -> Ids:
    """Frame ids as a one-dimensional int64 array."""
    return np.atleast_1d(np.asarray(values, dtype=np.int64))


def bring_last(data: Array, axes: Sequence[str], whole: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
    """Move the axes `whole` to the end, in that order, and flatten the others into one leading dimension.

    Args:
        data: Shape (n, *frame axes).
        axes: Labels of the frame axes.
        whole: Labels that the step must see whole.

    Returns:
        The array with 1 + len(whole) dimensions (a view where possible), and the labels that stayed free.
    """
    free = tuple(label for label in axes if label not in whole)
    order = [0, *(1 + list(axes).index(label) for label in (*free, *whole))]
    moved = data if order == list(range(data.ndim)) else data.transpose(order)
    tail = moved.shape[1 + len(free) :]
    return moved.reshape(-1, *tail) if free else moved, free

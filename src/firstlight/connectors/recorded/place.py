"""Where a range of the flattened arrival lies in an array with several scan axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod

import numpy as np

from firstlight.core.arrays import Array, Ids


def boxes(start: int, stop: int, shape: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Cut a range of flattened positions into boxes of the axes, in order.

    Args:
        start: First position.
        stop: One past the last position.
        shape: Lengths of the axes that were flattened, slowest first; the first one is not looked at.

    Yields:
        One slice per axis; flattened and joined, the boxes give the range again.
    """
    if len(shape) == 1:
        yield (slice(start, stop),)
        return
    inner = prod(shape[1:])
    while start < stop:
        line = start // inner
        if start % inner == 0 and stop - start >= inner:
            last = stop // inner
            yield (slice(line, last), *(slice(0, size) for size in shape[1:]))
            start = last * inner
        else:
            end = min(stop, (line + 1) * inner)
            for rest in boxes(start - line * inner, end - line * inner, shape[1:]):
                yield (slice(line, line + 1), *rest)
            start = end


def volume(box: Sequence[slice]) -> int:
    """Number of positions in a box."""
    return prod(part.stop - part.start for part in box)


def runs(ids: Array) -> Iterator[tuple[int, int]]:
    """Stretches (from, to) of positions in `ids` along which the ids rise by one."""
    if len(ids) == 0:
        return
    cuts = [0, *(np.flatnonzero(np.diff(ids) != 1) + 1).tolist(), len(ids)]
    yield from pairwise(cuts)


def missing_ranges(covered: Array) -> Ids:
    """First and last position (both included) of each stretch that is not covered; shape (range, 2)."""
    open_ = np.concatenate([[False], ~np.asarray(covered, dtype=bool).ravel(), [False]])
    edges = np.flatnonzero(np.diff(open_.astype(np.int8)))
    return np.stack([edges[::2], edges[1::2] - 1], axis=1).astype(np.int64)

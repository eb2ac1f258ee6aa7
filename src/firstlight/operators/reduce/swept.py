"""What steps that compare the values of swept parameters share: which value is which, in a stream with more axes for them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Stream

Combination = tuple[int, ...]
"""Which value of each swept parameter."""


def count_of(stream: Stream) -> int:
    """How many combinations of values there are."""
    return int(np.prod([len(values) for values in stream.marks.values()]))


def combinations(stream: Stream) -> Iterator[Combination]:
    """All of them, the last parameter fastest."""
    return itertools.product(*(range(len(values)) for values in stream.marks.values()))


def named(stream: Stream, combination: Combination) -> dict[str, Any]:
    """Values by parameter."""
    return {label: values[at] for (label, values), at in zip(stream.marks.items(), combination, strict=True)}


def others(stream: Stream, inner: int) -> list[str]:
    """Axes that are neither swept nor among the last `inner`, which are what is compared."""
    return [label for label in stream.axes[:-inner] if label not in stream.marks]


def parts(stream: Stream, chunk: Chunk, inner: int) -> Iterator[tuple[Combination, tuple[int, ...], Array]]:
    """What is compared, with its combination of values and its place along the other axes.

    Args:
        stream: where the chunk is from.
        chunk: any.
        inner: how many axes one part has: two for pictures, one for curves.
    """
    shape = tuple(stream.sizes.get(label) or 2**62 for label in stream.arrival_axes)
    for number, place in enumerate((chunk.ids - stream.first).tolist()):
        arrived = dict(zip(stream.arrival_axes, _unravelled(place, shape), strict=True))
        for index in np.ndindex(chunk.data.shape[1:-inner]):
            at = {**arrived, **dict(zip(chunk.axes[:-inner], index, strict=True))}
            yield (
                tuple(at[label] for label in stream.marks),
                tuple(at[label] for label in others(stream, inner)),
                chunk.data[(number, *index)],
            )


def _unravelled(place: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    found: list[int] = []
    for size in reversed(shape):
        place, rest = divmod(place, size)
        found.insert(0, rest)
    return tuple(found)

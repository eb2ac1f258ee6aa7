"""The order in which positions are visited, a batch at a time."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

Array = Any
Order = Literal["random", "near", "spread", "sequence"]


def visits(order: Order, places: Array, batch: int, random: np.random.Generator) -> Array:
    """All positions, each once.

    Args:
        order: `random`; `near`: those of a batch are neighbours; `spread`: those of a batch lie far apart, so that their steps
            hardly meet; `sequence`: as they are numbered.
        places: Shape (position, 2).
        batch: Positions of a batch.
        random: Where chance comes from; batches, too, come in random order.

    Returns:
        Indices into `places`, to be cut into pieces of `batch`.
    """
    count = len(places)
    if order == "sequence":
        return np.arange(count)
    if order == "random" or batch >= count:
        return random.permutation(count)
    line = along(places)
    pieces = -(-count // batch)
    if order == "near":
        groups = np.array_split(line, pieces)
        return np.concatenate([groups[number] for number in random.permutation(pieces)])
    # every so-manieth of the line: one from each neighbourhood
    groups = [line[start::pieces] for start in range(pieces)]
    return np.concatenate([random.permutation(groups[number]) for number in random.permutation(pieces)])


def along(places: Array) -> Array:
    """A line through all places on which neighbours are near each other: halves along the longer side, again and again."""
    found: list[Array] = []
    waiting = [np.arange(len(places))]
    while waiting:
        some = waiting.pop()
        if len(some) <= 2:
            found.append(some)
            continue
        here = places[some]
        ranked = some[np.argsort(here[:, int(np.argmax(np.ptp(here, axis=0)))], kind="stable")]
        waiting += [ranked[len(ranked) // 2 :], ranked[: len(ranked) // 2]]
    return np.concatenate(found) if found else np.zeros(0, np.int64)

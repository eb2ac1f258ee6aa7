"""The owner of a fold over sets of frames, such as dark or flat ones: each set becomes one version of a held input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from firstlight.core.buffer import Buffer
from firstlight.core.chunk import Chunk, End
from firstlight.core.fold import Fold
from firstlight.core.held import Version
from firstlight.core.plan import Planned

from .context import Context
from .folding import SetFold
from .stations import Consumer

Feeds = Mapping[str, Sequence[Consumer]]


def fold_sets(planned: Planned, fold: Fold[Any], context: Context, buffer: Buffer, feeds: Feeds) -> None:
    """Take frames until their stream ends, and hand on each set when it is complete.

    Args:
        planned: The fold.
        fold: The same with the parameters that hold.
        context: What the run shares.
        buffer: Where frames come from.
        feeds: By output: what takes the versions.
    """
    sets = SetFold(planned, fold)
    while True:
        item = buffer.get()
        if isinstance(item, Chunk):
            try:
                sets.add(item)
            except Exception as error:
                raise context.guarded(planned.name, error, fold.model_dump(), item) from error
        elif isinstance(item, End) or item is None:
            _hand_on(sets.close(None if item is None else item.set), planned, context, feeds)
            if item is None or item.set is None:
                break
    for name in planned.outputs:
        context.stores[planned.name, name].complete()
        for consumer in feeds.get(name, []):
            consumer.put(End())


def _hand_on(found: Mapping[str, Sequence[Version]], planned: Planned, context: Context, feeds: Feeds) -> None:
    for name, versions in found.items():
        for version in versions:
            context.stores[planned.name, name].add(version)
            stream = planned.outputs[name].main
            place = np.array([version.since[1]], np.int64)
            for consumer in feeds.get(name, []):
                consumer.put(Chunk(version.value[np.newaxis], stream.axes, place, version.since[0]))

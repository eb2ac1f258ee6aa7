"""How the naive runner regroups: everything is there, and is put together whole in memory."""

from __future__ import annotations

from collections.abc import Sequence

from firstlight.core.chunk import Chunk, Gap, Item
from firstlight.core.counts import Ledger
from firstlight.core.plan import Cut

from .gather import Gathered, surplus_of


def regrouped(cut: Cut, items: Sequence[Item], ledger: Ledger) -> list[Item]:
    """The blocks of a cut; frames are counted as they are placed, and those that have no place as missing."""
    gathered = Gathered(cut, memory=float("inf"))
    for item in items:
        if isinstance(item, Chunk):
            count = gathered.place(item)
            ledger.done(count)
            for gap in () if count == len(item) else surplus_of(item.take(slice(count, None))):
                ledger.miss(gap)
        elif isinstance(item, Gap):
            gathered.miss(item)
            ledger.miss(item)
    return list(gathered.blocks())

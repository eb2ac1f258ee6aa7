"""Frames as they come, so many in an array of their own: for programs that follow what a network says batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from firstlight.core.arrays import Array, Ids

from .nodes import CHUNK, Room
from .tree import Rows, Tree


@dataclass(slots=True)
class Batches:
    """Collects frames of a node ``vit/pred`` and has them written, each batch as soon as it is full.

    Batch number 0 is ``vit/batches/000000/pred``, with the numbers of its frames in ``vit/batches/000000/indices`` (int32); the newest
    is ``vit/pred_latest`` and ``vit/indices_latest`` too.
    """

    node: str
    size: int
    """Frames of a batch; the last one may have fewer."""
    _number: int = 0
    _values: list[Array] = field(default_factory=list[Array])
    _ids: list[Ids] = field(default_factory=list[Ids])

    def add(self, tree: Tree, values: Array, ids: Ids) -> None:
        """Take frames in the order in which they came."""
        self._values.append(values)
        self._ids.append(ids)
        while sum(len(each) for each in self._ids) >= self.size:
            self._give(tree)

    def end(self, tree: Tree) -> None:
        """Have what is left written."""
        while self._ids:
            self._give(tree)

    def _give(self, tree: Tree) -> None:
        values, ids = np.concatenate(self._values), np.concatenate(self._ids)
        full, numbers = values[: self.size], ids[: self.size].astype(np.int32)
        left = slice(self.size, None)
        self._values, self._ids = ([values[left]], [ids[left]]) if len(ids) > self.size else ([], [])
        above, _, name = self.node.rpartition("/")
        front = f"{above}/" if above else ""
        place, room = f"{front}batches/{self._number:06d}", Room(len(full), CHUNK, dark=False)
        tree.place(Rows(f"{place}/{name}", 0, full, room))
        tree.place(Rows(f"{place}/indices", 0, numbers, room))
        tree.replace(f"{front}{name}_latest", full, {"batch": self._number})
        tree.replace(f"{front}indices_latest", numbers, {"batch": self._number})
        self._number += 1

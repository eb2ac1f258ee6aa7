"""The newest frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.fold import Fold
from firstlight.core.held import START, Held, Place

from .sum import FRAME


@dataclass(slots=True)
class Newest:
    """One frame and its place."""

    frame: Array
    place: Place = START


class Latest(Fold[Newest]):
    """Keep the newest frame, by epoch and id, whatever the order in which frames arrive."""

    use: ClassVar[str] = "latest"
    signature: ClassVar[Any] = "[*] row col -> row col"
    tolerance: ClassVar[float] = 0.0

    def dtype(self, given: str) -> str:
        """That of the frames."""
        return given

    def unit(self, scan: Scan) -> str | None:
        """That of the frames."""
        return scan.main.unit

    def empty(self, scan: Scan) -> Newest:
        """A frame of zeros, before the first one comes."""
        stream = scan.main
        return Newest(np.zeros((stream.size("row"), stream.size("col")), stream.dtype))

    def add(self, state: Newest, chunk: Chunk, *held: Held) -> None:
        """Take the newest frame of a chunk, if it is newer."""
        if len(chunk) == 0:
            return
        index = int(np.argmax(chunk.ids))
        place = (chunk.epoch, int(chunk.ids[index]))
        if place > state.place:
            frames, _ = bring_last(chunk.data[index : index + 1], chunk.axes, FRAME)
            np.copyto(state.frame, frames[-1])
            state.place = place

    def ready(self, state: Newest) -> bool:
        """True once a frame has come."""
        return state.place > START

    def result(self, state: Newest) -> dict[str, Array]:
        """The frame, shape (row, col)."""
        return {"data": state.frame.copy()}

    def merge(self, state: Newest, other: Newest) -> Newest:
        """The newer of two."""
        newer = max(state, other, key=lambda each: each.place)
        return Newest(newer.frame.copy(), newer.place)

    def save(self, state: Newest) -> dict[str, Any]:
        """The state as arrays and plain values."""
        return {"frame": state.frame.copy(), "epoch": state.place[0], "id": state.place[1]}

    def load(self, saved: dict[str, Any], scan: Scan) -> Newest:
        """The state that `save` wrote."""
        return Newest(np.array(saved["frame"]), (int(saved["epoch"]), int(saved["id"])))

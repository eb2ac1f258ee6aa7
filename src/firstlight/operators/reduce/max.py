"""Largest value of each pixel over all frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.fold import Fold
from firstlight.core.held import Held

from .sum import FRAME


@dataclass(slots=True)
class Largest:
    """The largest values so far."""

    image: Array
    frames: int = 0


class Max(Fold[Largest]):
    """Keep the largest value of each pixel over all frames: every spot of every pattern in one image."""

    use: ClassVar[str] = "max"
    signature: ClassVar[Any] = "[*] row col -> row col"
    tolerance: ClassVar[float] = 0.0

    def dtype(self, given: str) -> str:
        """That of the frames."""
        return given

    def unit(self, scan: Scan) -> str | None:
        """That of the frames."""
        return scan.main.unit

    def empty(self, scan: Scan) -> Largest:
        """The state before the first frame."""
        return Largest(np.zeros((scan.main.size("row"), scan.main.size("col")), scan.main.dtype))

    def digest(self, chunk: Chunk) -> Chunk:
        """The largest values of the chunk, first of all."""
        if len(chunk) == 0:
            return chunk
        frames, _ = bring_last(chunk.data, chunk.axes, FRAME)
        largest = frames.max(axis=0)
        return chunk.with_data(np.broadcast_to(largest, (len(chunk), *largest.shape)), FRAME)

    def add(self, state: Largest, chunk: Chunk, *held: Held) -> None:
        """Take the largest values of one chunk."""
        largest = self.digest(chunk).data
        if len(largest):
            state.image = largest[0].copy() if state.frames == 0 else np.maximum(state.image, largest[0])
            state.frames += len(largest)

    def ready(self, state: Largest) -> bool:
        """True once a frame has come."""
        return state.frames > 0

    def result(self, state: Largest) -> dict[str, Array]:
        """The largest values, shape (row, col)."""
        return {"data": state.image.copy()}

    def merge(self, state: Largest, other: Largest) -> Largest:
        """The larger of both."""
        if not state.frames or not other.frames:
            full = state if state.frames else other
            return Largest(full.image.copy(), full.frames)
        return Largest(np.maximum(state.image, other.image), state.frames + other.frames)

    def save(self, state: Largest) -> dict[str, Any]:
        """The state as arrays and plain values."""
        return {"image": state.image.copy(), "frames": state.frames}

    def load(self, saved: dict[str, Any], scan: Scan) -> Largest:
        """The state that `save` wrote."""
        return Largest(np.array(saved["image"]), int(saved["frames"]))

"""Find how far tiles that were taken beside or above each other overlap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.kernels.overlap import Shift, find_shift

_TILES = ("tile", "row", "col")
_MIX = 0x9E3779B97F4A7C15
"""Odd number near 2^64 over the golden ratio: multiples of it are spread evenly (Fibonacci hashing)."""


@dataclass(slots=True)
class Sample:
    """Some of the frames, chosen by their place alone."""

    frames: dict[tuple[int, int, int], Array] = field(default_factory=dict[tuple[int, int, int], Array])
    """By (order, epoch, id): float32 of shape (tile, row, col)."""


class FindOverlap(Fold[Sample]):
    """Find where each tile begins in the one before, by correlation of what both have seen.

    Looks at a sample of the frames, so that memory is bounded. Gives the offset in pixels, which `stitch` takes, the overlap
    in pixels and a confidence between 0 and 1. The tiles must follow each other at equal distances, in the order of the axis.
    """

    use: ClassVar[str] = "find_overlap"
    signature: ClassVar[Any] = "[angle] tile row col -> offset: , overlap: , confidence: "
    tolerance: ClassVar[float] = 1e-6
    sentence: ClassVar[str] = "The overlap of the tiles was found by correlation."

    direction: Literal["horizontal", "vertical"] = "horizontal"
    """`horizontal`: tiles follow each other along columns, `vertical`: along rows."""
    frames: Annotated[int, Field(ge=1, le=1000)] = 8
    """Frames that are looked at."""
    least: Annotated[int, Field(ge=4)] = 8
    """Smallest overlap tried, in pixels."""

    def dtype(self, given: str) -> str:
        """Double precision."""
        return "float64"

    def workspace(self, scan: Scan, frames: int) -> int:
        """The frames kept."""
        return self.frames * int(np.prod([scan.main.size(label) for label in _TILES])) * 4

    def empty(self, scan: Scan) -> Sample:
        """The state before the first frame."""
        return Sample()

    def add(self, state: Sample, chunk: Chunk, *held: Held) -> None:
        """Keep those frames of a chunk that belong to the sample."""
        frames, _ = bring_last(chunk.data, chunk.axes, _TILES)
        for index, place in enumerate(chunk.ids.tolist()):
            key = ((place * _MIX) % 2**64, chunk.epoch, place)
            if len(state.frames) < self.frames or key < max(state.frames):
                state.frames[key] = np.nan_to_num(np.array(frames[index], np.float32), posinf=0.0, neginf=0.0)
                self._trim(state)

    def _trim(self, state: Sample) -> None:
        while len(state.frames) > self.frames:
            del state.frames[max(state.frames)]

    def ready(self, state: Sample) -> bool:
        """True once a frame has come."""
        return bool(state.frames)

    def result(self, state: Sample) -> dict[str, Array]:
        """Three scalars; NaN and 0 before the first frame."""
        found, length = self._find(state)
        values = {"offset": found.value, "overlap": length - abs(found.value), "confidence": found.confidence}
        return {name: np.array(value, np.float64) for name, value in values.items()}

    def _find(self, state: Sample) -> tuple[Shift, int]:
        if not state.frames:
            return Shift(float("nan"), 0.0), 0
        kept = np.stack([state.frames[key] for key in sorted(state.frames)])
        lines = kept if self.direction == "horizontal" else kept.swapaxes(2, 3)
        length = lines.shape[3]
        first, second = (part.reshape(-1, length) for part in (lines[:, :-1], lines[:, 1:]))
        if len(first) == 0 or length <= self.least:
            return Shift(float("nan"), 0.0), length
        return find_shift(first, second, least=self.least), length

    def merge(self, state: Sample, other: Sample) -> Sample:
        """The sample of both."""
        merged = Sample({**state.frames, **other.frames})
        self._trim(merged)
        return merged

"""Median of all frames, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.kernels.ranks import median_image

from .sum import FRAME

Lot = tuple[int, int, int, int]
"""(drawn number, epoch, id, part): decides which frames are kept."""


@dataclass(slots=True)
class Sample:
    """The frames kept so far."""

    shape: tuple[int, int]
    frames: dict[Lot, Array] = field(default_factory=dict[Lot, Array])


class Median(Fold[Sample]):
    """Take the median of all frames, pixel by pixel, which zingers do not shift; NaN is left out.

    Up to `frames` frames the median is exact. Of more, that many are kept, drawn by a fixed hash of epoch and id: a
    fair sample, the same whatever the order in which frames arrive.
    """

    use: ClassVar[str] = "median"
    signature: ClassVar[Any] = "[*] row col -> row col"
    tolerance: ClassVar[float] = 0.0

    frames: Annotated[int, Field(ge=1, le=10_000)] = 101
    """Frames kept in memory at most."""

    def unit(self, scan: Scan) -> str | None:
        """That of the frames."""
        return scan.main.unit

    def workspace(self, scan: Scan, frames: int) -> int:
        """Frames kept, and the copy that the median sorts."""
        return 2 * self.frames * scan.main.size("row") * scan.main.size("col") * np.dtype(scan.main.dtype).itemsize

    def empty(self, scan: Scan) -> Sample:
        """The state before the first frame."""
        return Sample((scan.main.size("row"), scan.main.size("col")))

    def add(self, state: Sample, chunk: Chunk, *held: Held) -> None:
        """Keep the frames that are drawn."""
        for index, place in enumerate(chunk.ids.tolist()):
            parts, _ = bring_last(chunk.data[index : index + 1], chunk.axes, FRAME)
            for part, frame in enumerate(parts):
                self._offer(state, (_draw(chunk.epoch, place, part), chunk.epoch, place, part), frame)

    def _offer(self, state: Sample, lot: Lot, frame: Array) -> None:
        """Keep a frame if its lot is among the lowest."""
        if len(state.frames) >= self.frames:
            highest = max(state.frames)
            if lot >= highest:
                return
            del state.frames[highest]
        state.frames[lot] = np.array(frame)

    def ready(self, state: Sample) -> bool:
        """True once a frame has come."""
        return bool(state.frames)

    def result(self, state: Sample) -> dict[str, Array]:
        """The median, float32 of shape (row, col); NaN before the first frame."""
        if not state.frames:
            return {"data": np.full(state.shape, np.nan, np.float32)}
        return {"data": median_image(np.stack(list(state.frames.values())))}

    def merge(self, state: Sample, other: Sample) -> Sample:
        """The sample of both together."""
        both = Sample(state.shape, dict(state.frames))
        for lot, frame in other.frames.items():
            self._offer(both, lot, frame)
        return both

    def save(self, state: Sample) -> dict[str, Any]:
        """The state as arrays and plain values."""
        lots = sorted(state.frames)
        frames = np.stack([state.frames[lot] for lot in lots]) if lots else np.empty((0, *state.shape), np.float32)
        return {"places": np.array([lot[1:] for lot in lots], np.int64).reshape(-1, 3), "frames": frames}

    def load(self, saved: dict[str, Any], scan: Scan) -> Sample:
        """The state that `save` wrote."""
        state = self.empty(scan)
        for (epoch, place, part), frame in zip(np.asarray(saved["places"]).tolist(), saved["frames"], strict=True):
            state.frames[_draw(epoch, place, part), epoch, place, part] = np.array(frame)
        return state


def _draw(epoch: int, place: int, part: int) -> int:
    """A number that looks random but depends on the place alone (the finaliser of SplitMix64)."""
    mask = (1 << 64) - 1
    z = (epoch * 0xD1342543DE82EF95 + place * 0x9E3779B97F4A7C15 + part * 0xBF58476D1CE4E5B9 + 1) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)

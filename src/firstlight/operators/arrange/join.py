"""Join two streams by frame id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrange import Arrange
from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Chunk, Gap, GapKind, Scan, Stream

FRAMES, OTHER = "frames", "other"


@dataclass(slots=True)
class Waiting:
    """What waits for its partner, per port, and what the other port will never bring."""

    chunks: dict[str, list[Chunk]] = field(default_factory=lambda: {FRAMES: [], OTHER: []})
    gaps: list[Gap] = field(default_factory=list[Gap])
    """Gaps of `other` that may still meet frames."""
    ended: set[str] = field(default_factory=set[str])

    def frames(self, port: str) -> int:
        """Frames that wait at a port."""
        return sum(len(chunk) for chunk in self.chunks[port])


class Join(Arrange[Waiting]):
    """Join two streams by epoch and id: each frame leaves with the value that the other stream has for it.

    What the other stream brings (positions, a second detector, an intensity) travels with the frames as the coordinate
    `coordinate`, one entry a frame. A frame without partner becomes a gap: at once where the other stream says that it
    lost it, else at the end or when more than `window` frames wait.
    """

    use: ClassVar[str] = "join"
    keeps_ids: ClassVar[bool] = True
    signature: ClassVar[Any] = "[*], [*] -> "
    arguments: ClassVar[tuple[str, ...]] = (FRAMES, OTHER)

    coordinate: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = "other"
    """Name of the coordinate in which the other stream's values travel."""
    window: Annotated[int, Field(ge=1)] = 1000
    """Frames that may wait for their partner, of each stream."""

    def after(self, scan: Scan) -> dict[str, Stream]:
        """The frames as they came."""
        return {"data": scan.main}

    def dtype(self, given: str) -> str:
        """That of the frames."""
        return given

    @property
    def bound(self) -> int:
        """The largest number of frames ever held."""
        return 2 * self.window

    def held_frames(self, state: Waiting) -> int:
        """Frames of both streams that wait."""
        return state.frames(FRAMES) + state.frames(OTHER)

    def open(self, scan: Scan) -> Waiting:
        """The state before the first chunk."""
        return Waiting()

    def push(self, state: Waiting, port: str, item: Chunk | Gap) -> Iterable[Chunk | Gap]:
        """Take frames or values; give the frames that have both."""
        if isinstance(item, Gap):
            return [*self._push_gap(state, port, item)]
        return [*self._push_chunk(state, port, item)]

    def _push_gap(self, state: Waiting, port: str, gap: Gap) -> Iterator[Chunk | Gap]:
        if port == FRAMES:
            state.chunks[OTHER] = [left for chunk in state.chunks[OTHER] if (left := _outside(chunk, gap)) is not None]
            yield gap
            return
        kept: list[Chunk] = []
        for chunk in state.chunks[FRAMES]:
            yield from _missing(_inside(chunk, gap), _no_value(gap), gap.kind)
            if (left := _outside(chunk, gap)) is not None:
                kept.append(left)
        state.chunks[FRAMES] = kept
        state.gaps.append(gap)
        del state.gaps[: -self.window]

    def _push_chunk(self, state: Waiting, port: str, chunk: Chunk) -> Iterator[Chunk | Gap]:
        opposite = OTHER if port == FRAMES else FRAMES
        kept: list[Chunk] = []
        rest: Chunk | None = chunk
        reach = _reach(chunk)
        for partner in state.chunks[opposite]:
            left: Chunk | None = partner
            if rest is not None and partner.epoch == rest.epoch and _meet(reach, _reach(partner)):
                common, mine, theirs = np.intersect1d(rest.ids, partner.ids, assume_unique=True, return_indices=True)
                if len(common):
                    pair = (rest.take(_run(mine)), partner.take(_run(theirs)))
                    yield self._joined(*(pair if port == FRAMES else pair[::-1]))
                    rest, left = _without(rest, mine), _without(partner, theirs)
            if left is not None:
                kept.append(left)
        state.chunks[opposite] = kept
        for gap in state.gaps if port == FRAMES else ():
            if rest is not None:
                yield from _missing(_inside(rest, gap), _no_value(gap), gap.kind)
                rest = _outside(rest, gap)
        if rest is not None:
            yield from self._wait(state, port, rest)

    def _joined(self, frames: Chunk, other: Chunk) -> Chunk:
        coords = {**other.coords, **frames.coords, self.coordinate: other.data}
        return replace(frames, coords=coords, received=max(frames.received, other.received))

    def _wait(self, state: Waiting, port: str, chunk: Chunk) -> Iterator[Gap]:
        """Keep a chunk; give up the oldest frames beyond the bound, or all of it when no partner can come."""
        opposite = OTHER if port == FRAMES else FRAMES
        if opposite in state.ended:
            yield from _given_up(port, chunk, "lost", "the other stream ended without a value for it")
            return
        waiting = state.chunks[port]
        waiting.append(chunk)
        while (surplus := state.frames(port) - self.window) > 0:
            oldest = waiting.pop(min(range(len(waiting)), key=lambda i: (waiting[i].epoch, int(waiting[i].ids.min()))))
            order = np.argsort(oldest.ids, kind="stable")
            reason = f"no partner came within {self.window} frames"
            yield from _given_up(port, oldest.take(order[:surplus]), "dropped", reason)
            if len(oldest) > surplus:
                waiting.append(oldest.take(order[surplus:]))

    def finish(self, state: Waiting, port: str) -> Iterable[Chunk | Gap]:
        """Learn that a port has ended: what waits for it becomes gaps."""
        state.ended.add(port)
        opposite = OTHER if port == FRAMES else FRAMES
        waiting, state.chunks[opposite] = state.chunks[opposite], []
        reason = "the other stream ended without a value for it"
        return [gap for chunk in waiting for gap in _given_up(opposite, chunk, "lost", reason)]

    def flush(self, state: Waiting) -> Iterable[Chunk | Gap]:
        """Give up all that waits."""
        return [*self.finish(state, OTHER), *self.finish(state, FRAMES)]


def _no_value(gap: Gap) -> str:
    return f"the other stream has no value for it: {gap.reason}"


def _given_up(port: str, chunk: Chunk, kind: GapKind, reason: str) -> Iterator[Gap]:
    """Gaps for frames; values without a frame are let go, because the frames' own stream reports its loss."""
    if port == FRAMES:
        yield from _missing(chunk, reason, kind)


def _reach(chunk: Chunk) -> tuple[int, int]:
    """Lowest and highest id."""
    return int(chunk.ids.min()), int(chunk.ids.max())


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """False where no id can be in both: most chunks that wait are not those that come now."""
    return one[0] <= other[1] and other[0] <= one[1]


def _run(index: Array) -> Array | slice:
    """Positions as a slice where they follow each other: a slice of frames is a view, a list of positions copies them."""
    if len(index) and index[-1] - index[0] == len(index) - 1 and (np.diff(index) == 1).all():
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


def _mask(chunk: Chunk, gap: Gap) -> Array:
    if chunk.epoch != gap.epoch:
        return np.zeros(len(chunk), bool)
    return (chunk.ids >= gap.first) & (chunk.ids <= gap.last)


def _inside(chunk: Chunk, gap: Gap) -> Chunk | None:
    mask = _mask(chunk, gap)
    return chunk.take(_run(np.flatnonzero(mask))) if mask.any() else None


def _outside(chunk: Chunk, gap: Gap) -> Chunk | None:
    return _without(chunk, _mask(chunk, gap))


def _without(chunk: Chunk, away: Array) -> Chunk | None:
    """The other frames; `away` is a mask or a list of positions."""
    keep = np.ones(len(chunk), bool)
    keep[away] = False
    if keep.all():
        return chunk
    return chunk.take(_run(np.flatnonzero(keep))) if keep.any() else None


def _missing(chunk: Chunk | None, reason: str, kind: GapKind) -> Iterator[Gap]:
    """One gap for each run of neighbouring ids."""
    if chunk is None or len(chunk) == 0:
        return
    ids = np.sort(chunk.ids)
    for run in np.split(ids, np.flatnonzero(np.diff(ids) != 1) + 1):
        yield Gap(chunk.epoch, int(run[0]), int(run[-1]), reason, kind, MAIN)

"""Which blocks the eight sectors have, and which frames are whole: found from few heads, without reading all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.errors import SourceError

from . import wire

_MOST = 100
"""So many times more frames than there are may be lost: memory is taken for each."""
_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Sector:
    """A file of blocks; those between two of its runs are lost."""

    path: Path
    blocks: Array
    """(block,) of `wire.BLOCK`, mapped."""
    begins: Ids
    """Index of the first block of each run."""
    counts: Ids
    """Number of the first block of each run."""
    phase: int
    """What the number of a frame's first block leaves when divided by the blocks of a frame."""

    @property
    def last(self) -> int:
        """Number of the last block."""
        return int(self.counts[-1]) + len(self.blocks) - 1 - int(self.begins[-1])

    @property
    def lost(self) -> int:
        """Blocks that are missing between the first and the last."""
        return self.last - int(self.counts[0]) + 1 - len(self.blocks)

    def index(self, counts: Ids) -> Ids:
        """Index of the first block of frames, by its number; -1 where not all blocks of the frame are there."""
        run = np.searchsorted(self.counts, counts, "right") - 1
        at = self.begins[run] + counts - self.counts[run]
        ends = np.append(self.begins[1:], len(self.blocks))[run]
        return np.where((run >= 0) & (at + wire.BLOCKS <= ends), at, -1)


def opened(path: Path) -> Sector:
    """Map a file and find its runs of blocks.

    Raises:
        OSError: It can not be read.
        ValueError: It holds no blocks, or their numbers do not rise.
    """
    size = path.stat().st_size // wire.SIZE
    if not size:
        raise ValueError(f"{path.name} holds no whole block of {wire.SIZE} byte")
    blocks: Any = np.memmap(path, wire.BLOCK, "r", 0, (size,))

    def number(index: int) -> int:
        try:
            wire.place(blocks[index]["head"])
        except ValueError as error:
            raise ValueError(f"block {index} of {path.name} can not be read: {error}") from error
        return int(blocks[index]["head"]["count"])

    # Numbers rise by one or more: where the last of some blocks has the number that it has without a loss, none is lost between.
    begins, left = [(0, number(0))], [(0, size - 1, number(0), number(size - 1))]
    while left:
        low, high, first, last = left.pop()
        if last - first < high - low:
            raise ValueError(f"blocks {low} to {high} of {path.name} are numbered {first} to {last}")
        if last - first == high - low:
            continue
        if high - low == 1:
            begins.append((high, last))
            continue
        middle = (low + high) // 2
        left += [(low, middle, first, number(middle)), (middle, high, number(middle), last)]
    found = np.array(sorted(begins), np.int64)
    phase = (int(found[0, 1]) - wire.place(blocks[0]["head"])) % wire.BLOCKS
    return Sector(path, blocks, found[:, 0], found[:, 1], phase)


class Sectors:
    """Frames of all sectors, from the first to the last that none of them begins or ends in.

    Args:
        paths: The files, from left to right.

    Raises:
        OSError: One can not be read.
        ValueError: One is no such file, or they do not belong together.
    """

    def __init__(self, paths: list[Path]) -> None:
        """Only some heads are read."""
        self.sectors = [opened(path) for path in paths]
        phase = self.sectors[0].phase
        if any(each.phase != phase for each in self.sectors):
            raise ValueError("frames begin with other blocks in some sectors: they are not of one recording")
        first = max(-((phase - int(each.counts[0])) // wire.BLOCKS) for each in self.sectors)
        last = min((each.last + 1 - phase) // wire.BLOCKS for each in self.sectors)
        if last <= first:
            raise ValueError("its sectors have no whole frame in common")
        if last - first > _MOST * min(len(each.blocks) for each in self.sectors):
            raise ValueError(f"its blocks are numbered as if it had {last - first} frames, far more than there are")
        self.counts: Ids = phase + wire.BLOCKS * np.arange(first, last, dtype=np.int64)
        """(frame,) Number of the first block."""
        self.at: Ids = np.stack([each.index(self.counts) for each in self.sectors])
        """(sector, frame) Index of the first block; -1 where the sector has lost some."""
        self.there: Array = np.all(self.at >= 0, axis=0)
        whole = np.flatnonzero(self.there)
        if not len(whole):
            raise ValueError("none of its frames is whole: every one has lost a block")
        ids = {int(each.blocks[at[whole[0]]]["head"]["frame"]) for each, at in zip(self.sectors, self.at, strict=True)}
        if len(ids) > 1:
            raise ValueError(f"its sectors call the same frame {sorted(ids)}: they are not of one recording")

    def exposed(self) -> int:
        """The first frame that was taken with the shutter on, whole or not; -1 without one.

        Raises:
            ValueError: All sectors lost a part of the frame before, so that it may be that one.
        """
        has = self.at >= 0
        known = np.flatnonzero(has.any(axis=0))
        for begin in range(0, len(known), _AT_ONCE):
            some = known[begin : begin + _AT_ONCE]
            told, on = np.argmax(has[:, some], axis=0), np.zeros(len(some), bool)
            for number in np.unique(told):
                here, blocks = told == number, self.sectors[number].blocks
                on[here] = blocks["head"]["flags"][self.at[number, some[here]]] & wire.SHUTTER != 0
            if on.any():
                first = int(some[np.argmax(on)])
                if first and not has[:, first - 1].any():
                    raise ValueError(
                        f"whether the shutter was on for frame {first - 1} is lost; give shutter: false, and sync_offset"
                    )
                return first
        return -1


class SectorFrames:
    """Frames of the camera, unpacked as they are read; those that lost a block are zero, and have to be marked as missing.

    Args:
        sectors: All of the recording.
        frames: Which of them.
    """

    def __init__(self, sectors: Sectors, frames: slice) -> None:
        """Nothing is read yet."""
        self._sectors = sectors.sectors
        self._counts, self._at = sectors.counts[frames], sectors.at[:, frames]
        self.there: Array = sectors.there[frames]
        """(frame,) False where a sector has lost a block."""
        self.shape = (len(self._counts), wire.HEIGHT, wire.WIDTH * wire.SECTORS)
        self.dtype = np.dtype(np.uint16)

    def __getitem__(self, where: tuple[slice, slice, slice]) -> Array:
        """Frames, and a part of each; only the sectors that are asked for are read.

        Raises:
            SourceError: The head of a block is damaged.
        """
        frames, cols = range(self.shape[0])[where[0]], range(self.shape[2])[where[2]]
        low, high = (cols[0] // wire.WIDTH, cols[-1] // wire.WIDTH + 1) if len(cols) else (0, 0)
        found = np.empty((len(frames), wire.HEIGHT, wire.WIDTH * (high - low)), self.dtype)
        for into, frame in zip(found, frames, strict=True):
            if not self.there[frame]:
                into[...] = 0
                continue
            for sector in range(low, high):
                at, left = int(self._at[sector, frame]), wire.WIDTH * (sector - low)
                blocks = self._sectors[sector].blocks[at : at + wire.BLOCKS]
                try:
                    wire.decode_frame(blocks, int(self._counts[frame]), into[:, left : left + wire.WIDTH])
                except ValueError as error:
                    raise SourceError(
                        f"A frame can not be read (sector {sector + 1}: {error}).",
                        field="path",
                        value=str(self._sectors[sector].path),
                        next_move="The file is damaged: leave the frame out, or copy the file again.",
                    ) from error
        begin = wire.WIDTH * low
        return found[:, where[1], slice(cols.start - begin, cols.stop - begin, cols.step)]

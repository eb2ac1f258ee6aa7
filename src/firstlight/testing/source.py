"""What every source must keep: chunks as its scan says, every frame or a gap, and an end whenever it is asked for."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Item, Scan
from firstlight.core.selected import Selected
from firstlight.core.selection import Picked
from firstlight.core.source import RandomAccess, Source

from .demand import demand, demand_equal
from .fields import demand_documented, demand_round_trips

PROMPT = 5.0
"""Seconds within which a source must end after `stop`."""


class SourceContract(ABC):
    """Inherit, and give `make`: a source of a few small frames."""

    in_memory = False
    """True for a source that can not be written into a job file."""
    unlimited: frozenset[str] = frozenset()
    """Numbers for which no limit makes sense."""

    @abstractmethod
    def make(self, tmp_path: Path) -> Source:
        """A source, not opened."""

    def test_parameters(self, tmp_path: Path) -> None:
        """Documented, limited, and the same after JSON and pickle."""
        source = self.make(tmp_path)
        demand_documented(type(source), self.unlimited)
        if not self.in_memory:
            demand_round_trips(source)

    def test_chunks_agree_with_the_scan(self, tmp_path: Path) -> None:
        """Axes, shapes, types; coordinates for each frame."""
        scan, items = played_through(self.make(tmp_path))
        chunks = [item for item in items if isinstance(item, Chunk)]
        demand(chunks, "The source gave no frames.")
        for chunk in chunks:
            stream = scan.stream(chunk.stream)
            demand(chunk.axes == stream.frame_axes, f"{chunk.stream}: {chunk.axes}. The scan says {stream.frame_axes}.")
            demand(len(chunk), f"{chunk.stream}: a chunk without frames.")
            demand(
                chunk.data.dtype == np.dtype(stream.dtype), f"{chunk.stream}: {chunk.data.dtype}, not {stream.dtype}."
            )
            if not chunk.where:
                demand(chunk.data.shape[1:] == stream.frame_shape, f"{chunk.stream}: shape {chunk.data.shape}.")

    def test_ids_are_unique_and_everything_is_covered_or_named(self, tmp_path: Path) -> None:
        """Every frame that the scan announces comes once, or lies in one gap."""
        scan, items = played_through(self.make(tmp_path))
        for name, stream in scan.streams.items():
            ids = [(i.set, i.epoch, int(n)) for i in items if isinstance(i, Chunk) and i.stream == name for n in i.ids]
            demand(len(set(ids)) == len(ids) or name != MAIN, f"{name}: ids come twice.")
            gone = [n for i in items if isinstance(i, Gap) and i.stream == name for n in range(i.first, i.last + 1)]
            if stream.frames is not None:
                demand(
                    len(ids) + len(gone) == stream.frames,
                    f"{name}: {len(ids)} + {len(gone)} of {stream.frames} frames.",
                )
            if name == MAIN and stream.order == "sorted":
                places = [place[1:] for place in ids]
                demand(places == sorted(places), "The stream says that it is sorted, and is not.")
            if name == MAIN and ids and stream.frames is not None:
                demand(min(place[2] for place in ids) >= stream.first, f"An id lies before the first, {stream.first}.")

    def test_streams_end_once_and_come_in_the_order_that_the_scan_names(self, tmp_path: Path) -> None:
        """Nothing comes after an end."""
        scan, items = played_through(self.make(tmp_path))
        ended: set[str] = set()
        started: list[str] = []
        for item in items:
            demand(item.stream in scan.streams, f"The scan knows no stream '{item.stream}'.")
            demand(item.stream not in ended, f"{item} came after the end of its stream.")
            if isinstance(item, End) and item.set is None:
                ended.add(item.stream)
            if isinstance(item, Chunk) and item.stream not in started:
                started.append(item.stream)
        known = [name for name in scan.order if name in started]
        demand([name for name in started if name in known] == known, f"{started} came. The scan says {scan.order}.")

    def test_the_same_again_and_close_twice(self, tmp_path: Path) -> None:
        """A source can be opened again, and closed at any time."""
        source = self.make(tmp_path)
        source.close()
        first = [item for item in played_through(source)[1] if isinstance(item, Chunk)]
        source.close()
        second = [item for item in played_through(source)[1] if isinstance(item, Chunk)]
        demand(len(first) == len(second), "Another number of chunks the second time.")
        for left, right in zip(first, second, strict=True):
            demand_equal(left.ids, right.ids, "ids the second time")
            demand_equal(left.data, right.data, "frames the second time")

    def test_stop_ends_it_promptly(self, tmp_path: Path) -> None:
        """Before the first item, and after it; more than once."""
        for items_first in (0, 1):
            source = self.make(tmp_path)
            source.open()
            started = time.monotonic()
            seen = 0
            items = source.items()
            for _ in range(items_first):
                seen += next(items, None) is not None
            source.stop()
            source.stop()
            rest = sum(1 for item in items if not isinstance(item, End))
            demand(rest <= 2, f"{rest} items came after stop().")
            demand(time.monotonic() - started < PROMPT, "It did not end promptly after stop().")
            source.close()

    def test_blocks_equal_chunks(self, tmp_path: Path) -> None:
        """Where the source gives random access."""
        source = self.make(tmp_path)
        if not isinstance(source, RandomAccess):
            return
        _, items = played_through(source)
        scan = source.open()
        try:
            stream = scan.main
            whole = np.asarray(source.read({})).reshape(-1, *stream.frame_shape)
            for chunk in (item for item in items if isinstance(item, Chunk) and item.stream == MAIN):
                demand_equal(whole[chunk.ids - stream.first], chunk.data, "read() against the chunks")
            label = stream.frame_axes[0]
            part = np.asarray(source.read({label: slice(1, 3)}))
            wanted = np.take(
                np.asarray(source.read({})), range(1, min(3, stream.size(label))), axis=stream.axes.index(label)
            )
            demand_equal(part, wanted, f"a block of {label}")
        finally:
            source.close()

    def test_a_selected_part_is_that_part_of_the_whole(self, tmp_path: Path) -> None:
        """Whether the source reads only the part, or its frames are cut as they come."""
        scan, items = played_through(self.make(tmp_path))
        stream = scan.main
        label = next((each for each in stream.frame_axes if (stream.sizes.get(each) or 0) > 2), None)
        whole = [item for item in items if isinstance(item, Chunk)]
        if label is None or stream.arrival != 1 or any(label in chunk.where for chunk in whole):
            return
        last = len(whole) and max(int(chunk.ids.max()) for chunk in whole if chunk.stream == MAIN) - stream.first
        only = {label: Picked.parse("1:-1"), stream.axes[0]: Picked.parse(f"1:{last + 1}")}
        left, parts = played_through(Selected.of(self.make(tmp_path), only))
        frames = {place: frame for place, frame in _frames(whole) if place[0] != MAIN or place[3] > stream.first}
        found = dict(_frames([item for item in parts if isinstance(item, Chunk)]))
        demand(found.keys() == frames.keys(), "Other frames than those that were selected.")
        for place, frame in found.items():
            axes = scan.stream(place[0]).frame_axes
            cut = tuple(slice(1, -1) if each == label else slice(None) for each in axes)
            demand_equal(frame, frames[place][cut], f"the selected part of {place}")
        if stream.frames is not None:
            demand(left.main.frames == last, f"{left.main.frames} frames announced, {last} selected.")


def _frames(chunks: list[Chunk]) -> Iterator[tuple[tuple[str, int, int, int], Array]]:
    """Each frame with its stream, set, epoch and id."""
    for chunk in chunks:
        for number, place in enumerate(chunk.ids.tolist()):
            yield (chunk.stream, chunk.set, chunk.epoch, place), chunk.data[number]


def played_through(source: Source) -> tuple[Scan, list[Item]]:
    """The scan and every item, the source closed afterwards."""
    scan = source.open()
    try:
        return scan, list(source.items())
    finally:
        source.close()

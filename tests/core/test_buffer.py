"""Buffers: bounded, and what they give up is told."""

import threading
import time
from collections import deque
from typing import Any

import numpy as np
import pytest

from firstlight.core.buffer import Buffer, BufferFull, BufferSettings, gaps_of
from firstlight.core.chunk import Chunk, End, Gap
from firstlight.core.errors import Stopped

FRAME = 8
"""Bytes of a frame."""


def chunk(first: int, count: int = 2) -> Chunk:
    return Chunk(np.full((count, 1), first, np.float64), ("x",), np.arange(first, first + count))


class Shelf:
    """An overflow in memory with room for so many chunks."""

    def __init__(self, room: int) -> None:
        self.room, self.stored = room, deque[int]()
        self.chunks: dict[int, Chunk] = {}
        self.tickets = 0

    def put(self, chunk: Chunk) -> int | None:
        if len(self.stored) >= self.room:
            return None
        self.tickets += 1
        self.stored.append(self.tickets)
        self.chunks[self.tickets] = chunk
        return self.tickets

    def take(self, ticket: Any) -> Chunk:
        assert self.stored.popleft() == ticket
        return self.chunks.pop(ticket)

    def discard(self, ticket: Any) -> None:
        self.take(ticket)

    def close(self) -> None:
        self.stored.clear()


def buffer(policy: str, chunks: int = 2, shelf: int | None = None) -> tuple[Buffer, list[Gap]]:
    told: list[Gap] = []
    settings = BufferSettings(policy=policy, memory=chunks * 2 * FRAME)  # type: ignore[arg-type]
    return Buffer(settings, None if shelf is None else Shelf(shelf), "test", told.append), told


def emptied(full: Buffer) -> list[Any]:
    full.close()
    found: list[Any] = []
    while (item := full.get(timeout=60)) is not None:
        found.append(item)
    return found


def shown(items: list[Any]) -> list[Any]:
    return [
        i.ids.tolist() if isinstance(i, Chunk) else (i.first, i.last) if isinstance(i, Gap) else "end" for i in items
    ]


def test_items_come_in_order() -> None:
    plain = Buffer()
    for item in (chunk(0), Gap(0, 2, 2, "lost"), chunk(3), End()):
        plain.put(item)
    assert (len(plain), plain.frames, plain.bytes) == (4, 4, 4 * FRAME)
    assert shown(emptied(plain)) == [[0, 1], (2, 2), [3, 4], "end"]
    assert plain.finished
    assert plain.most_bytes == 4 * FRAME
    assert Buffer().get(timeout=0.0) is None


def test_wait_makes_the_writer_wait() -> None:
    full, told = buffer("wait")
    written: list[int] = []

    def write() -> None:
        for first in range(0, 20, 2):
            full.put(chunk(first))
            written.append(first)
        full.close()

    thread = threading.Thread(target=write)
    thread.start()
    while len(written) < 2:
        time.sleep(0.001)
    time.sleep(0.05)
    assert len(written) == 2
    found = [full.get(timeout=60) for _ in range(10)]
    thread.join(60)
    assert shown(found) == [[n, n + 1] for n in range(0, 20, 2)]
    assert full.most_bytes <= full.settings.memory
    assert not told


def test_drop_oldest_puts_one_gap_in_the_place_of_what_it_gave_up() -> None:
    full, told = buffer("drop_oldest")
    for first in range(0, 12, 2):
        full.put(chunk(first))
    full.put(End())
    assert full.dropped == 8
    assert shown(emptied(full)) == [(0, 7), [8, 9], [10, 11], "end"]
    assert [(gap.first, gap.last, gap.kind) for gap in told] == [(n, n + 1, "dropped") for n in range(0, 8, 2)]


def test_fail_fails() -> None:
    full, _ = buffer("fail")
    full.put(chunk(0))
    full.put(chunk(2))
    with pytest.raises(BufferFull, match="'test' is full"):
        full.put(chunk(4))


def test_spill_uses_memory_first_then_the_overflow_then_drops_the_oldest() -> None:
    full, told = buffer("spill", chunks=2, shelf=2)
    for first in range(0, 12, 2):
        full.put(chunk(first))
    assert full.most_bytes <= full.settings.memory
    assert full.frames + full.dropped == 12
    items = emptied(full)
    assert sorted(i for gap in told for i in range(gap.first, gap.last + 1)) == [0, 1, 2, 3]
    assert shown(items) == [(0, 3), [4, 5], [6, 7], [8, 9], [10, 11]]
    assert full.frames == 0


def test_spill_gives_order_back_while_it_is_read() -> None:
    full, told = buffer("spill", chunks=2, shelf=3)
    found: list[Any] = []
    for first in range(0, 40, 2):
        full.put(chunk(first))
        if first > 6:
            found.append(full.get(timeout=60))
    found += emptied(full)
    assert shown(found) == [[n, n + 1] for n in range(0, 40, 2)]
    assert not told


def test_spill_needs_somewhere_to_spill() -> None:
    full, _ = buffer("spill")
    full.put(chunk(0))
    full.put(chunk(2))
    with pytest.raises(BufferFull, match="nowhere"):
        full.put(chunk(4))


@pytest.mark.parametrize("policy", ["wait", "drop_oldest", "fail", "spill"])
def test_a_chunk_larger_than_the_buffer_passes(policy: str) -> None:
    full, _ = buffer(policy, chunks=1, shelf=0)
    full.put(chunk(0, count=50))
    assert shown([full.get(timeout=60)]) == [list(range(50))]


@pytest.mark.parametrize("policy", ["drop_oldest", "spill"])
def test_large_chunks_push_out_small_ones(policy: str) -> None:
    full, told = buffer(policy, chunks=2, shelf=1)
    for first in (0, 2):
        full.put(chunk(first))
    full.put(chunk(4, count=3))
    full.put(chunk(7, count=50))
    items = emptied(full)
    seen = [
        i
        for item in items
        for i in (item.ids.tolist() if isinstance(item, Chunk) else range(item.first, item.last + 1))
    ]
    assert seen == list(range(57))
    assert sum(map(len, told)) == full.dropped


def test_chunks_without_frames_are_not_held() -> None:
    empty, _ = buffer("wait")
    empty.put(chunk(0, count=0))
    assert len(empty) == 0
    assert gaps_of(chunk(0, count=0), "why") == ()


def test_frames_out_of_order_become_one_gap_for_each_run() -> None:
    mixed = Chunk(np.zeros((4, 1)), ("x",), np.array([7, 2, 3, 9]))
    assert [(gap.first, gap.last) for gap in gaps_of(mixed, "why")] == [(2, 3), (7, 7), (9, 9)]


@pytest.mark.parametrize("policy", ["drop_oldest", "spill"])
def test_nothing_is_lost_between_threads(policy: str) -> None:
    full, told = buffer(policy, chunks=2, shelf=2)
    found: list[Any] = []

    def write(start: int) -> None:
        for first in range(start, start + 400, 2):
            full.put(chunk(first))

    def read() -> None:
        while (item := full.get()) is not None:
            found.append(item)
            if len(found) % 5 == 0:
                time.sleep(1e-4)

    writers = [threading.Thread(target=write, args=(start,)) for start in (0, 1000)]
    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in (*writers, *readers):
        thread.start()
    for thread in writers:
        thread.join(10)
    full.close()
    for thread in readers:
        thread.join(10)
    seen = sorted(
        i
        for item in found
        for i in (item.ids.tolist() if isinstance(item, Chunk) else range(item.first, item.last + 1))
    )
    assert seen == [*range(400), *range(1000, 1400)]
    assert full.most_bytes <= full.settings.memory
    assert sum(map(len, told)) == full.dropped


def test_stop_wakes_writers_and_readers() -> None:
    full, _ = buffer("wait", chunks=1)
    full.put(chunk(0))
    raised: list[type[BaseException]] = []

    def attempt(work: Any) -> None:
        try:
            work()
        except Stopped as error:
            raised.append(type(error))

    threads = [
        threading.Thread(target=attempt, args=(lambda: full.put(chunk(2)),)),
        threading.Thread(target=attempt, args=(Buffer().get,)),
    ]
    threads[0].start()
    time.sleep(0.02)
    full.stop()
    threads[0].join(60)
    assert raised == [Stopped]
    with pytest.raises(Stopped):
        full.get()


def test_whoever_waits_can_be_woken_without_an_item():
    buffer = Buffer(BufferSettings())
    threading.Timer(0.05, buffer.wake).start()
    started = time.monotonic()
    assert buffer.get(timeout=60) is None
    assert time.monotonic() - started < 30
    buffer.wake()
    assert buffer.get(timeout=60) is None, "a call that came before is not lost"
    assert not buffer.finished

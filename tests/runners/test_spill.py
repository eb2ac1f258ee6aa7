"""The ring on disk: first in, first out, bounded, and nothing is mixed up."""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.core.chunk import Chunk
from firstlight.kernels.sparse_frames import SparseFrames
from firstlight.runners.spill import DiskRing


def chunk(number: int, count: int) -> Chunk:
    data = np.full((count, 3), number, np.uint16)
    return Chunk(data, ("x",), np.arange(number, number + count), 2, coords={"angle": np.arange(count) * 1.5}, set=1)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["put", "take", "discard"]), st.integers(1, 20)), max_size=60),
    st.integers(10, 300),
)
def test_what_goes_in_comes_out_in_order(moves: list[tuple[str, int]], capacity: int) -> None:
    ring = DiskRing(capacity)
    held: deque[tuple[Any, Chunk]] = deque()
    for number, (move, size) in enumerate(moves):
        if move == "put":
            given_ = chunk(number, size)
            ticket = ring.put(given_)
            if ticket is not None:
                held.append((ticket, given_))
            else:
                assert given_.nbytes > capacity or held
        elif held:
            ticket, wanted = held.popleft()
            if move == "discard":
                ring.discard(ticket)
                continue
            found = ring.take(ticket)
            np.testing.assert_array_equal(found.data, wanted.data)
            np.testing.assert_array_equal(found.ids, wanted.ids)
            assert (found.epoch, found.set, found.data.dtype) == (2, 1, np.uint16)
            np.testing.assert_array_equal(found.coords["angle"], wanted.coords["angle"])
        assert ring.bytes == sum(kept.nbytes for _, kept in held)
        assert ring.most_bytes <= capacity
    ring.close()


def test_sparse_frames_stay_sparse() -> None:
    ring = DiskRing(10_000)
    rng = np.random.default_rng(0)
    chunks: list[Chunk] = []
    for number in range(3):
        starts = np.concatenate([[0], np.cumsum(rng.integers(0, 9, 7))])
        events = rng.integers(0, 10**6, starts[-1]).astype(np.uint32)
        frames: Any = SparseFrames(starts, events, np.arange(len(events), dtype=np.uint8), (1000, 1000), np.uint16)
        chunks.append(Chunk(frames, ("row", "col"), np.arange(7) + number))
    tickets = [ring.put(each) for each in chunks]
    assert ring.bytes == sum(each.nbytes for each in chunks)
    for ticket, wanted in zip(tickets, chunks, strict=True):
        assert ticket is not None
        found = ring.take(ticket)
        assert found.sparse
        assert found.data.shape == (7, 1000, 1000)
        for name in ("indptr", "indices", "values"):
            np.testing.assert_array_equal(getattr(found.data, name), getattr(wanted.data, name))
    ring.close()


def test_a_full_disk_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = DiskRing(1000, str(tmp_path))

    def full(data: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ring, "_write", full)
    assert ring.put(chunk(0, 2)) is None
    assert not list(tmp_path.iterdir())
    ring.close()


def test_a_file_that_was_cut_short_is_told() -> None:
    ring = DiskRing(1000)
    ticket = ring.put(chunk(0, 2))
    assert ticket is not None
    ring._file.truncate(3)
    with pytest.raises(OSError, match="lost"):
        ring.take(ticket)
    ring.close()

"""How often a frame is copied between the socket and the state of a fold: at most twice, counted hop by hop.

From the network library's array into a chunk (small frames share one; large ones are handed on as they came), then
through the runner, then into whatever a fold keeps.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from firstlight.connectors.memory.source import MemorySource
from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.core.job import Job, RunnerSettings
from firstlight.core.pipeline import pipeline
from firstlight.runners.local import LocalRunner

MOST = 2


class Keep(Fold[list[Array]]):
    """Keeps the very arrays that it is given."""

    use: ClassVar[str] = "keep"
    signature: ClassVar[Any] = "[*] row col -> count: "

    def empty(self, scan: Scan) -> list[Array]:
        """Nothing kept."""
        return KEPT

    def add(self, state: list[Array], chunk: Chunk, *held: Held) -> None:
        """Keep the array itself."""
        state.append(chunk.data)

    def result(self, state: list[Array]) -> dict[str, Array]:
        """How many arrays were kept."""
        return {"count": np.int64(len(state))}


KEPT: list[Array] = []


def copies_in_the_runner() -> int:
    """Copies between a source's chunk and the `add` of a fold."""
    KEPT.clear()
    frames = np.arange(40 * 8 * 8, dtype=np.uint16).reshape(40, 8, 8)
    source = MemorySource.of(frames, angles=np.arange(40.0), frames=5)
    run = LocalRunner().start(Job(source, pipeline([Keep()]), runner=RunnerSettings(threads=2)))
    run.finished(100)
    assert sum(map(len, KEPT)) == 40
    return 0 if all(np.shares_memory(kept, frames) for kept in KEPT) else 1


def copies_in_the_source(side: int) -> int:
    """Copies between the array that p4p gives and the chunk that the PVA source hands on."""
    pytest.importorskip("p4p", reason="the extra 'epics' is not installed")
    from firstlight.connectors.pva import wire
    from firstlight.connectors.pva.chunks import Gatherer

    pixels = np.arange(side * side, dtype=np.uint16).reshape(side, side)
    update = wire.write_frame(pixels, 1, 0.0)
    frame = wire.read_frame(update)
    payload = np.frombuffer(frame.payload, np.uint8) if not isinstance(frame.payload, np.ndarray) else frame.payload
    gatherer = Gatherer((side, side), "uint16", ())
    chunks = [*gatherer.add(frame, 0, 1, {}), *gatherer.flush()]
    assert len(chunks) == 1
    np.testing.assert_array_equal(chunks[0].data[0], pixels)
    return 0 if np.shares_memory(payload, chunks[0].data) else 1


def test_the_runner_copies_no_frame() -> None:
    assert copies_in_the_runner() == 0


@pytest.mark.parametrize(("side", "most"), [(32, 1), (1024, 0)], ids=["small frames", "large frames"])
def test_the_source_copies_a_frame_at_most_once_and_a_large_one_never(side: int, most: int) -> None:
    assert copies_in_the_source(side) <= most


def test_from_the_socket_to_the_state_at_most_two_copies() -> None:
    into_the_state = 1  # what a fold that caches frames adds itself, such as live_slices
    assert copies_in_the_source(32) + copies_in_the_runner() + into_the_state <= MOST

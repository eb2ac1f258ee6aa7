"""What every sink must keep: what was written reads back, whatever the order, and an interrupted result says what it lacks."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Chunk, Gap, Scan, Stream
from firstlight.core.sink import Sink

from .demand import demand, demand_equal
from .fields import demand_documented, demand_round_trips
from .play import cut, recut

RECORD = {"job": {"name": "contract", "steps": [{"use": "mean"}]}, "complete": False}
LOST = (4, 5, 17)


class SinkContract(ABC):
    """Inherit, and give `make`, `read`, `missing` and `record`."""

    survives = True
    """False for a sink whose result is gone with its process."""
    unlimited: frozenset[str] = frozenset()
    """Numbers for which no limit makes sense."""

    @abstractmethod
    def make(self, tmp_path: Path) -> Sink:
        """A sink, not opened; the same place each time."""

    @abstractmethod
    def read(self, sink: Sink) -> Array:
        """What was written, in the axes of the stream."""

    @abstractmethod
    def missing(self, sink: Sink) -> list[int]:
        """The positions that the result says it lacks."""

    @abstractmethod
    def record(self, sink: Sink) -> dict[str, Any]:
        """The record in the result: the last one written."""

    def scan(self) -> Scan:
        """A scan of 24 frames that the sink can write."""
        return Scan({MAIN: Stream(("angle", "row", "col"), {"angle": 24, "row": 3, "col": 5}, "float32")})

    def test_parameters(self, tmp_path: Path) -> None:
        """Documented, limited, and the same after JSON and pickle."""
        sink = self.make(tmp_path)
        demand_documented(type(sink), self.unlimited)
        demand_round_trips(sink)

    def test_what_was_written_reads_back_whatever_the_order(self, tmp_path: Path) -> None:
        """Frames go where their ids say."""
        for number, seed in enumerate((None, 1, 2)):
            sink = self._fresh(tmp_path, number)
            frames = self._frames()
            chunks = recut(cut(frames, coords=self._coords()), 3, seed=seed)
            write(sink, self.scan(), chunks, [])
            demand_equal(self.read(sink), frames, f"frames in order {seed}")
            demand(self.missing(sink) == [], f"missing: {self.missing(sink)}")
            record = self.record(sink)
            demand(record.get("job") == RECORD["job"] and record.get("counts") == {"done": 24}, f"the record: {record}")

    def test_lost_frames_are_named(self, tmp_path: Path) -> None:
        """And the others are at their places."""
        sink = self._fresh(tmp_path, 0)
        frames = self._frames()
        kept = np.array([i for i in range(24) if i not in LOST])
        gaps = [Gap(0, 4, 5, "never came"), Gap(0, 17, 17, "never came")]
        write(sink, self.scan(), cut(frames[kept], ids=kept), gaps, complete=False)
        demand_equal(self.read(sink)[kept], frames[kept], "the frames that came")
        demand(self.missing(sink) == list(LOST), f"missing: {self.missing(sink)}. Expected {list(LOST)}.")

    def test_a_killed_writer_leaves_a_result_that_names_what_is_missing(self, tmp_path: Path) -> None:
        """The process is gone without a word after half of the frames."""
        if not self.survives:
            return
        sink = self._fresh(tmp_path, 0)
        frames = self._frames()
        chunks = cut(frames, coords=self._coords())
        child = multiprocessing.get_context("spawn").Process(
            target=write_and_die, args=(pickle.dumps((sink, self.scan(), chunks[:3])),)
        )
        child.start()
        child.join(60)
        demand(child.exitcode == 9, f"The writer ended with {child.exitcode}. Expected 9.")
        demand_equal(self.read(sink)[:12], frames[:12], "what was written before the end")
        demand(self.missing(sink) == list(range(12, 24)), f"missing: {self.missing(sink)}")
        demand(self.record(sink).get("job") == RECORD["job"], "The record is missing.")

    def test_close_without_a_frame(self, tmp_path: Path) -> None:
        """A run that fails before the first frame leaves a result that is all missing."""
        sink = self._fresh(tmp_path, 0)
        write(sink, self.scan(), [], [], complete=False)
        demand(self.missing(sink) == list(range(24)), f"missing: {self.missing(sink)}")

    def _fresh(self, tmp_path: Path, number: int) -> Sink:
        folder = tmp_path / str(number)
        folder.mkdir()
        return self.make(folder)

    def _frames(self) -> Array:
        shape = (24, *self.scan().main.frame_shape)
        return np.random.default_rng(3).integers(0, 1000, shape).astype(self.scan().main.dtype)

    def _coords(self) -> dict[str, Array]:
        return {"angle": np.linspace(0.0, 180.0, 24, endpoint=False)}


def write(sink: Sink, scan: Scan, chunks: list[Chunk], gaps: list[Gap], *, complete: bool = True) -> None:
    """A run, as a sink sees it."""
    sink.open(scan, RECORD)
    for chunk in chunks:
        sink.write(chunk)
    for gap in gaps:
        sink.miss(gap)
    done = sum(map(len, chunks))
    sink.close({**RECORD, "counts": {"done": done}, "complete": complete}, complete=complete)


def write_and_die(pickled: bytes) -> None:
    """Write some chunks, then leave like a process that was killed: nothing is flushed or closed."""
    sink, scan, chunks = pickle.loads(pickled)  # noqa: S301 (made by the test itself)
    sink.open(scan, RECORD)
    for chunk in chunks:
        sink.write(chunk)
    os._exit(9)

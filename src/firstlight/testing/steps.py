"""Small exact steps of every kind, for jobs that test a runner."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Gap, Scan
from firstlight.core.errors import SinkError
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.core.operator import operator
from firstlight.core.sink import Sink

Factor = Annotated[float, Field(ge=-1e6, le=1e6)]


@operator("row col, row col -> row col")
def subtract(frames: Array, background: Array) -> Array:
    """Subtract the image that holds."""
    return (frames - background).astype(np.float32)


@operator("row col -> row col")
def scale(frames: Array, *, factor: Factor = 1.0) -> Array:
    """Multiply.

    Args:
        frames: shape (frame, row, col).
        factor: By what.
    """
    return (frames * np.float32(factor)).astype(np.float32)


@operator("angle col -> angle col")
def level(sinograms: Array) -> Array:
    """Subtract the first projection of each sinogram from all."""
    return (sinograms - sinograms[:, :1]).astype(np.float32)


Window = Annotated[int, Field(ge=1, le=99)]


def _median(data: Array, axis: int, size: int) -> Array:
    half = size // 2
    padded = np.pad(data, [(half, half) if n == axis else (0, 0) for n in range(data.ndim)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=axis)
    return np.median(windows, axis=-1).astype(np.float32)


@operator("row~size angle col -> row angle col")
def median_of_rows(sinograms: Array, *, size: Window = 3) -> Array:
    """Median of neighbouring rows; the edges mirror.

    Args:
        sinograms: shape (block, row, angle, col).
        size: Rows of a window.
    """
    return _median(sinograms, 1, size)


@operator("col row~1 -> col row")
def row_steps(frames: Array) -> Array:
    """Difference of the row behind and the row before; the edges are their own neighbours."""
    padded = np.pad(frames, ((0, 0), (0, 0), (1, 1)), mode="edge")
    return (padded[..., 2:] - padded[..., :-2]).astype(np.float32)


@operator("angle~size row col -> angle row col")
def median_of_angles(projections: Array, *, size: Window = 3) -> Array:
    """Median of neighbouring projections; the edges mirror.

    Args:
        projections: shape (block, angle, row, col).
        size: Projections of a window.
    """
    return _median(projections, 1, size)


@operator("row col -> ")
def total(frames: Array) -> Array:
    """Sum each frame."""
    return frames.sum(axis=(1, 2), dtype=np.float64).astype(np.float32)


@operator("row col -> row col")
def linger(frames: Array, *, seconds: Annotated[float, Field(ge=0, le=60)] = 1e-3, fail_on: int = -1) -> Array:
    """Take some time, and fail on a frame whose pixels all have one value.

    Args:
        frames: shape (frame, row, col).
        seconds: Time per chunk in second.
        fail_on: Value of the pixels of the frame to fail on; -1 for none.
    """
    time.sleep(seconds * float(np.random.default_rng().random()))
    if fail_on >= 0 and any((frame == fail_on).all() for frame in frames):
        raise ZeroDivisionError("as it was told to")
    return frames.astype(np.float32)


@dataclass
class Sums:
    """Sum of the frames and what it was made of."""

    sum: Array
    count: int = 0
    missed: int = 0
    places: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])


class Adding(Fold[Sums]):
    """Sum of all frames, with their number."""

    use: ClassVar[str] = "adding"
    signature: ClassVar[Any] = "[*] row col -> image: row col, count: "

    fail_at: int = -1
    """Number of frames after which it fails; -1 for never."""
    fail_in: str = "add"
    """Where it fails: add, result or digest."""
    factor: float = 1.0
    """What the sum is multiplied by."""
    slow: float = 0.0
    """Time per chunk in second."""

    def empty(self, scan: Scan) -> Sums:
        """Nothing summed."""
        return Sums(np.zeros(scan.main.frame_shape))

    def digest(self, chunk: Chunk) -> Chunk:
        """Nothing to do, but perhaps to fail."""
        if self.fail_in == "digest" and self.fail_at >= 0 and self.fail_at in chunk.ids:
            raise ZeroDivisionError("as it was told to")
        return chunk

    def add(self, state: Sums, chunk: Chunk, *held: Held) -> None:
        """Sum the frames; a frame that comes twice is an error."""
        time.sleep(self.slow)
        places = {(chunk.epoch, int(place)) for place in chunk.ids}
        if places & state.places:
            raise ValueError(f"frames came twice: {sorted(places & state.places)}")
        state.places |= places
        state.sum += chunk.data.sum(axis=0, dtype=np.float64)
        state.count += len(chunk)
        if self.fail_in == "add" and 0 <= self.fail_at <= state.count:
            raise ZeroDivisionError("as it was told to")

    def miss(self, state: Sums, gap: Gap) -> None:
        """Count what is missing."""
        state.missed += len(gap)

    def ready(self, state: Sums) -> bool:
        """A sum of nothing means nothing."""
        return state.count > 0

    def result(self, state: Sums) -> dict[str, Array]:
        """Sum and number."""
        if self.fail_in == "result" and self.fail_at >= 0:
            raise ZeroDivisionError("as it was told to")
        image = (state.sum * self.factor).astype(np.float32)
        return {"image": image, "count": np.array(state.count, np.float32)}

    def adapt(self, state: Sums, old: Fold[Sums]) -> Sums:
        """Another factor needs no frame again."""
        return state


class Blocked(Adding):
    """Adds nothing before it is told to."""

    use: ClassVar[str] = "blocked"

    _may: threading.Event = PrivateAttr(default_factory=threading.Event)

    def go(self) -> None:
        """Let it add."""
        self._may.set()

    def add(self, state: Sums, chunk: Chunk, *held: Held) -> None:
        """Wait, then sum."""
        self._may.wait()
        super().add(state, chunk, *held)


class Collecting(Sink):
    """Keeps what it gets; slow, or failing, if told to."""

    use: ClassVar[str] = "collecting"

    path: str = ""
    """Where it would write."""
    slow: float = 0.0
    """Time per chunk in second."""
    fail_in: str = ""
    """Where it fails: open, write, miss or close."""

    _chunks: list[Chunk] = PrivateAttr(default_factory=lambda: [])
    _gaps: list[Gap] = PrivateAttr(default_factory=lambda: [])
    _records: list[dict[str, Any]] = PrivateAttr(default_factory=lambda: [])
    _complete: list[bool] = PrivateAttr(default_factory=lambda: [])

    def open(self, scan: Scan, record: dict[str, Any]) -> None:
        """Keep the record."""
        self._fail("open")
        self._records.append(record)

    def write(self, chunk: Chunk) -> None:
        """Keep the chunk."""
        time.sleep(self.slow)
        self._fail("write")
        self._chunks.append(chunk)

    def miss(self, gap: Gap) -> None:
        """Keep the gap."""
        self._fail("miss")
        self._gaps.append(gap)

    def close(self, record: dict[str, Any], *, complete: bool) -> None:
        """Keep the record."""
        self._fail("close")
        self._records.append(record)
        self._complete.append(complete)

    def _fail(self, where: str) -> None:
        if self.fail_in == where:
            raise SinkError(
                "No space left on device.", field="path", value=self.path or "/full", next_move="Free some."
            )

    @property
    def chunks(self) -> list[Chunk]:
        """What was written."""
        return list(self._chunks)

    @property
    def gaps(self) -> list[Gap]:
        """What was missed."""
        return list(self._gaps)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The first record, and the last."""
        return list(self._records)

    @property
    def complete(self) -> list[bool]:
        """What was said at each close."""
        return list(self._complete)

"""Tiny sources and steps, written against `firstlight.core` alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from pydantic import PrivateAttr

from firstlight.core.arrays import Array, as_ids
from firstlight.core.chunk import MAIN, Chunk, Gap, Item, Scan, Stream
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.core.operator import operator
from firstlight.core.solver import Solver
from firstlight.core.source import Source


class Script(Source):
    """Plays a list of items; a number among them is a pause in second, a callable is called."""

    use: ClassVar[str] = "script"

    live: bool = False
    """Pretend to be a detector that can not be paused."""

    _scan: Scan = PrivateAttr()
    _items: list[Any] = PrivateAttr(default_factory=list)
    _stopped: threading.Event = PrivateAttr(default_factory=threading.Event)

    @classmethod
    def of(cls, scan: Scan, items: list[Any], *, live: bool = False) -> Script:
        """A source that gives these items."""
        made = LiveScript() if live else cls()
        made._scan = scan
        made._items = items
        return made

    def open(self) -> Scan:
        """The scan it was made with."""
        self._stopped.clear()
        return self._scan

    def items(self) -> Iterator[Item]:
        """The items, one after the other."""
        for item in self._items:
            if self._stopped.is_set():
                return
            if isinstance(item, float):
                self._stopped.wait(item)
            elif callable(item):
                item()
            else:
                yield item

    def stop(self) -> None:
        """End soon."""
        self._stopped.set()

    def close(self) -> None:
        """Nothing to give back."""


class LiveScript(Script):
    """A script that can not be paused."""

    use: ClassVar[str] = "live_script"
    pausable: ClassVar[bool] = False


def chunks(data: Array, axes: tuple[str, ...], ids: Any, size: int, **coords: Array) -> list[Chunk]:
    """Frames cut into chunks of `size`, with coordinates indexed like the frames."""
    places = as_ids(ids)
    return [
        Chunk(data[s : s + size], axes, places[s : s + size], coords={n: v[s : s + size] for n, v in coords.items()})
        for s in range(0, len(data), size)
    ]


@operator("row col, row col -> row col")
def divide(frames: Array, flat: Array) -> Array:
    """Divide by the flat image that holds."""
    return (frames / flat).astype(np.float32)


@operator("row col -> row col")
def scale(frames: Array, *, factor: float = 1.0) -> Array:
    """Multiply.

    Args:
        factor: By what.
    """
    return frames * np.float32(factor)


@operator("row col -> ")
def inside(frames: Array, *, radius: float = 1.5) -> Array:
    """Sum the frame inside a disk about its middle.

    Args:
        radius: Radius of the disk in pixels.
    """
    rows, cols = np.indices(frames.shape[1:])
    middle = [(n - 1) / 2 for n in frames.shape[1:]]
    mask = (rows - middle[0]) ** 2 + (cols - middle[1]) ** 2 <= radius**2
    return frames[:, mask].sum(axis=1, dtype=np.float64).astype(np.float32)


@dataclass
class Total:
    """Sum and number of frames."""

    sum: Array
    count: int = 0


class Average(Fold[Total]):
    """Mean of all frames."""

    use: ClassVar[str] = "average"
    signature: ClassVar[Any] = "[*] row col -> row col"

    def empty(self, scan: Scan) -> Total:
        """Nothing summed."""
        return Total(np.zeros(scan.main.frame_shape))

    def add(self, state: Total, chunk: Chunk, *held: Held) -> None:
        """Sum the frames."""
        state.sum += chunk.data.sum(axis=0, dtype=np.float64)
        state.count += len(chunk)

    def ready(self, state: Total) -> bool:
        """A mean of nothing means nothing."""
        return state.count > 0

    def result(self, state: Total) -> dict[str, Array]:
        """The mean so far."""
        return {"data": (state.sum / state.count).astype(np.float32)}


@dataclass
class Rows:
    """Column sums of each projection by angle: a back-projector for children."""

    lines: dict[float, Array] = field(default_factory=dict)
    shift: float = 0.0


class Smear(Fold[Rows]):
    """Smear each projection over a square at its angle, about a shifted axis."""

    use: ClassVar[str] = "smear"
    signature: ClassVar[Any] = "[angle] row col -> plane: y x"

    shift: float = 0.0
    """Shift of the axis in pixels."""

    def sizes(self, known: Any, scan: Scan) -> dict[str, int | None]:
        """A square as wide as the detector."""
        return {"y": known["col"], "x": known["col"]}

    def empty(self, scan: Scan) -> Rows:
        """No projection yet."""
        return Rows(shift=self.shift)

    def add(self, state: Rows, chunk: Chunk, *held: Held) -> None:
        """Keep the column sums."""
        for angle, frame in zip(chunk.coords["angle"], chunk.data, strict=True):
            state.lines[float(angle)] = frame.sum(axis=0)

    def result(self, state: Rows) -> dict[str, Array]:
        """The smeared square."""
        n = len(next(iter(state.lines.values()), np.zeros(4)))
        grid = np.arange(n) - (n - 1) / 2
        plane = np.zeros((n, n))
        for angle in sorted(state.lines):
            theta = np.deg2rad(angle)
            place = grid[None, :] * np.cos(theta) - grid[:, None] * np.sin(theta) + (n - 1) / 2 + state.shift
            plane += np.interp(place, np.arange(n), state.lines[angle])
        return {"plane": plane.astype(np.float32)}

    def adapt(self, state: Rows, old: Smear) -> Rows:
        """Another shift needs no frame again."""
        state.shift = self.shift
        return state


class Middle(Fold[list[float]]):
    """Mean column of the light: a centre finder for children."""

    use: ClassVar[str] = "middle"
    signature: ClassVar[Any] = "[angle] row col -> shift: "

    def empty(self, scan: Scan) -> list[float]:
        """Nothing seen."""
        return []

    def add(self, state: list[float], chunk: Chunk, *held: Held) -> None:
        """Note the mean column of each frame."""
        cols = np.arange(chunk.data.shape[-1]) - (chunk.data.shape[-1] - 1) / 2
        state += [float((frame.sum(axis=0) * cols).sum() / frame.sum()) for frame in chunk.data]

    def ready(self, state: list[float]) -> bool:
        """Needs a frame."""
        return bool(state)

    def result(self, state: list[float]) -> dict[str, Array]:
        """The mean."""
        return {"shift": np.float64(np.mean(sorted(state)))}


@dataclass
class Spots:
    """Frames and positions by id, and the estimate."""

    frames: dict[tuple[int, int], tuple[Array, Array]] = field(default_factory=dict)
    estimate: float = 0.0
    rounds: int = 0


class Fit(Solver[Spots]):
    """Fit frame = a · |position| by gradient steps: a solver for children."""

    use: ClassVar[str] = "fit"
    signature: ClassVar[Any] = "[position] row col, [position] xy -> slope: , used: , done: "
    arguments: ClassVar[tuple[str, ...]] = ("frames", "positions")

    iterations: int = 40
    """Rounds after the last frame."""

    @property
    def rounds(self) -> int:
        """Rounds after the last frame."""
        return self.iterations

    def empty(self, scan: Scan) -> Spots:
        """Nothing known."""
        return Spots()

    def add(self, state: Spots, chunk: Chunk, *held: Held) -> None:
        """Keep frames with their positions."""
        for place, frame, xy in zip(chunk.ids, chunk.data, chunk.coords["positions"], strict=True):
            state.frames[chunk.epoch, int(place)] = (frame, xy)

    def advance(self, state: Spots, rounds: int) -> None:
        """Gradient steps over all frames in the order of their ids."""
        for _ in range(rounds):
            for key in sorted(state.frames):
                frame, xy = state.frames[key]
                length = float(np.hypot(*xy))
                state.estimate += 0.1 * length * (float(frame.mean()) - state.estimate * length) / (1 + length**2)
            state.rounds += 1

    def result(self, state: Spots) -> dict[str, Array]:
        """The slope, how many frames took part, and after how many rounds."""
        return {
            "slope": np.float64(state.estimate),
            "used": np.int64(len(state.frames)),
            "done": np.int64(state.rounds),
        }


def tomography(angles: int | None, rows: int = 2, cols: int = 16) -> Scan:
    """A scan of projections and flats."""
    return Scan(
        {
            MAIN: Stream(("angle", "row", "col"), {"angle": angles, "row": rows, "col": cols}, "float32"),
            "flat": Stream(("frame", "row", "col"), {"frame": None, "row": rows, "col": cols}, "float32"),
        }
    )


def blob(angle: float, shift: float, rows: int = 2, cols: int = 16) -> Array:
    """One projection: a Gaussian on the shifted axis, whatever the angle."""
    x = np.arange(cols) - (cols - 1) / 2
    return np.tile(np.exp(-((x - shift) ** 2) / 4), (rows, 1)).astype(np.float32)


__all__ = ["Gap", "time"]

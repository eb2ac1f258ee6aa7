"""Sources that play a script: any order, any pause, any mistake; and ways to cut and shuffle frames."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
from pydantic import PrivateAttr

from firstlight.core.arrays import Array, as_ids
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Item, Scan, Stream
from firstlight.core.source import Source

Cue: TypeAlias = Item | float | Exception | Callable[[], object]
"""An item; a pause in second; an error to raise; something to call."""


class Played(Source):
    """Plays cues one after the other."""

    use: ClassVar[str] = "played"

    _scan: Scan | None = PrivateAttr(None)
    _cues: tuple[Cue, ...] = PrivateAttr(())
    _stopped: threading.Event = PrivateAttr(default_factory=threading.Event)
    _closed: int = PrivateAttr(0)

    def open(self) -> Scan:
        """The scan it was made with."""
        self._stopped.clear()
        if self._scan is None:
            raise TypeError("Make it with firstlight.testing.played().")
        return self._scan

    def items(self) -> Iterator[Item]:
        """Items among the cues."""
        for cue in self._cues:
            if self._stopped.is_set():
                return
            if isinstance(cue, int | float):
                self._stopped.wait(cue)
            elif isinstance(cue, Exception):
                raise cue
            elif isinstance(cue, Chunk | Gap | End):
                yield cue
            else:
                cue()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is stopped: a cue for a source that falls silent."""
        return self._stopped.wait(timeout)

    def stop(self) -> None:
        """End soon."""
        self._stopped.set()

    def close(self) -> None:
        """Count how often it was closed."""
        self._closed += 1

    @property
    def closed(self) -> int:
        """How often it was closed."""
        return self._closed


class LivePlayed(Played):
    """The same, of a detector that can not be paused."""

    use: ClassVar[str] = "live_played"
    pausable: ClassVar[bool] = False


def played(scan: Scan, cues: Sequence[Cue], *, live: bool = False) -> Played:
    """A source that plays cues."""
    source = LivePlayed() if live else Played()
    source._scan = scan
    source._cues = tuple(cues)
    return source


def cut(
    data: Array,
    axes: tuple[str, ...] = ("row", "col"),
    ids: Any = None,
    size: int = 4,
    *,
    stream: str = MAIN,
    epoch: int = 0,
    number: int = 0,
    coords: Mapping[str, Array] | None = None,
) -> list[Chunk]:
    """Frames in chunks of `size`; `coords` are indexed like the frames, `number` is the set."""
    places = np.arange(len(data), dtype=np.int64) if ids is None else as_ids(ids)
    return [
        Chunk(
            data[s : s + size],
            axes,
            places[s : s + size],
            epoch,
            coords={name: values[s : s + size] for name, values in (coords or {}).items()},
            stream=stream,
            set=number,
        )
        for s in range(0, len(data), size)
    ]


def recut(chunks: Sequence[Chunk], size: int, *, seed: int | None = None) -> list[Chunk]:
    """The same frames in chunks of another size, in a random order if a seed is given."""
    single = [chunk.take(slice(n, n + 1)) for chunk in chunks for n in range(len(chunk))]
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(single))
        single = [single[n] for n in order]
    joined: list[Chunk] = []
    for start in range(0, len(single), size):
        lot = single[start : start + size]
        for epoch in sorted({chunk.epoch for chunk in lot}):
            joined.append(_joined([chunk for chunk in lot if chunk.epoch == epoch]))
    return joined


def _joined(lot: Sequence[Chunk]) -> Chunk:
    first = lot[0]
    coords = {name: np.concatenate([chunk.coords[name] for chunk in lot]) for name in first.coords}
    return Chunk(
        np.concatenate([chunk.data for chunk in lot]),
        first.axes,
        np.concatenate([chunk.ids for chunk in lot]),
        first.epoch,
        first.where,
        coords,
        first.stream,
        first.set,
        max(chunk.received for chunk in lot),
    )


def with_pauses(items: Sequence[Cue], seed: int, longest: float = 2e-3) -> list[Cue]:
    """The same items with random pauses between them."""
    rng = np.random.default_rng(seed)
    return [cue for item in items for cue in (float(rng.random() * longest), item)]


def projections(
    count: int = 24, rows: int = 3, cols: int = 8, *, known: bool = True, seed: int = 0
) -> tuple[Scan, Array]:
    """A scan of whole-numbered projections (sums of them are exact in any order), and its frames."""
    frames = np.random.default_rng(seed).integers(0, 50, (count, rows, cols)).astype(np.float32)
    main = Stream(("angle", "row", "col"), {"angle": count if known else None, "row": rows, "col": cols}, "float32")
    single = Stream(("frame", "row", "col"), {"frame": None, "row": rows, "col": cols}, "float32")
    angles = np.linspace(0.0, 180.0, count, endpoint=False)
    return Scan({MAIN: main, "flat": single}, coords={"angle": angles}, order=("flat", MAIN)), frames

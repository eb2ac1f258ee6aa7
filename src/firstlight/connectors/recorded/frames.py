"""Frames of one stream in one array of a file, read by place."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Protocol

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import MAIN, GapKind, Scan, Stream
from firstlight.core.errors import SourceError
from firstlight.core.selection import as_slice, frames_of, moved_set

from .place import boxes, runs, volume
from .whole import Whole


class Reader(Protocol):
    """An array in a file, read in blocks; callable from several threads."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each dimension."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values as the file has them."""
        ...

    @property
    def stored(self) -> int:
        """Positions along the first dimension that are stored together, and best read together."""
        ...

    @property
    def name(self) -> str:
        """What it is and where, for messages."""
        ...

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Read a block, in this machine's byte order.

        Raises:
            OSError: The file is damaged, or its compression is not known.
        """
        ...


@dataclass(frozen=True, slots=True)
class ArrayReader:
    """An array in memory, or one that is mapped from a file."""

    array: Array
    name: str
    stored: int = 1
    file: Whole | None = field(init=False)
    """The file that it is mapped from."""

    def __post_init__(self) -> None:
        """Remember how long a mapped file is."""
        object.__setattr__(self, "file", Whole.under(self.array))

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each dimension."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.array.dtype

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Copy a block.

        Raises:
            SourceError: The file that it is mapped from became shorter.
        """
        if self.file is not None:
            self.file.check()
        out[...] = self.array[where]


@contextmanager
def readable(reader: Reader, what: str) -> Generator[None]:
    """Turn a failure to read into an error that names the file and the next move; `what` is read, such as ``Frames 3 to 5``.

    Raises:
        SourceError: The file is damaged, cut short or gone, or a compression filter is missing.
    """
    try:
        yield
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(
            f"{what} of {reader.name} can not be read ({error}).",
            field="path",
            value=reader.name,
            next_move="The file is damaged, or its compression is not known here: try to read it with another program.",
        ) from error


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of one stream (or of one set of it) that lie in one array of a file."""

    reader: Reader
    rows: Ids
    """Place of each frame in the array's flattened arrival; rising."""
    ids: Ids
    keep: Array | None = None
    """False where a frame is marked as invalid; None: all are good."""
    coords: Mapping[str, Array] = field(default_factory=dict[str, Array])
    stream: str = MAIN
    set: int = 0
    arrival: int = 1
    """How many leading axes of the array were flattened."""
    reason: str = "marked as invalid in the file"
    kind: GapKind = "excluded"
    """What frames count as that are not kept."""
    ignored: Array | None = None
    """True where the user does not want a frame."""
    cuts: tuple[range, ...] = ()
    """The positions of each frame axis that are read; empty: all."""

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame, as it is read."""
        return tuple(map(len, self.cuts)) if self.cuts else self.reader.shape[self.arrival :]

    def narrowed(self, scan: Scan, chosen: Mapping[str, range], after: int) -> Frames:
        """The selected part; `scan` is the whole one, `after` the last id of the set of darks or flats before."""
        shape, axes = self.reader.shape[self.arrival :], scan.stream(self.stream).frame_axes
        cuts = tuple(chosen.get(label, range(size)) for label, size in zip(axes, shape, strict=True))
        made = replace(self, cuts=cuts) if any(label in chosen for label in axes) else self
        if self.stream != MAIN:
            return replace(made, ids=moved_set(self.ids, scan.main, chosen, after))
        if not any(label in chosen for label in scan.main.arrival_axes):
            return made
        again = frames_of(scan.main, chosen)
        index = np.asarray(chosen[scan.main.axes[0]], np.int64) if again is None else again
        ids = self.ids[index] if again is None else np.arange(len(index), dtype=np.int64)
        keep = None if self.keep is None else self.keep[index]
        ignored = None if self.ignored is None else self.ignored[index]
        coords = {name: values[index] for name, values in self.coords.items()}
        return replace(made, rows=self.rows[index], ids=ids, keep=keep, ignored=ignored, coords=coords)

    @property
    def dtype(self) -> str:
        """Name of the values' type in this machine's byte order."""
        return self.reader.dtype.newbyteorder("=").name

    def read(self, start: int, stop: int, parts: tuple[slice, ...] = ()) -> Array:
        """Frames `start` to `stop` of this list, cut to `parts` of the frame axes, in this machine's byte order.

        Raises:
            SourceError: The file is damaged, or a compression filter is missing.
        """
        wanted = self.cuts or tuple(range(size) for size in self.frame_shape)
        if parts:
            wanted = tuple(each[part] for each, part in zip(wanted, parts, strict=True))
        step = wanted[-1].step if wanted and len(wanted[-1]) else 1
        if step > 1:  # files give single columns far slower than all between them
            wanted = (*wanted[:-1], range(wanted[-1][0], wanted[-1][-1] + 1))
        cuts = tuple(map(as_slice, wanted))
        out = np.empty((stop - start, *map(len, wanted)), self.reader.dtype.newbyteorder("="))
        rows = self.rows[start:stop]
        with readable(self.reader, f"Frames {rows[0]} to {rows[-1]}" if len(rows) else "No frames"):
            for first, last in runs(rows):
                self._read_run(int(rows[first]), int(rows[last - 1]) + 1, cuts, out[first:last])
        return out if step == 1 else out[..., ::step]

    def _read_run(self, start: int, stop: int, cuts: tuple[slice, ...], out: Array) -> None:
        done = 0
        for box in boxes(start, stop, self.reader.shape[: self.arrival]):
            count = volume(box)
            lengths = tuple(part.stop - part.start for part in box)
            if out.size:
                self.reader.read_into((*box, *cuts), out[done : done + count].reshape(lengths + out.shape[1:]))
            done += count


def _nothing() -> None:
    """Nothing to close."""


@dataclass(frozen=True, slots=True)
class Recording:
    """An open file: its scan, and its frames in the order in which they are played."""

    scan: Scan
    parts: tuple[Frames, ...]
    close: Callable[[], None] = _nothing


def image_stream(part: Frames, main: Stream) -> Stream:
    """How a stream of dark or flat frames looks beside the data."""
    axes = ("frame", *main.frame_axes)
    sizes = {label: main.sizes[label] for label in main.frame_axes} | {"frame": len(part.rows)}
    return Stream(axes, sizes, part.dtype, unit=main.unit, first=-len(part.rows))


def image_frames(reader: Reader, name: str, main: Stream) -> Frames:
    """Dark or flat frames of an array of their own, which count as taken before the first frame (ids −n … −1).

    Raises:
        SourceError: They do not have the shape of the data's.
    """
    if reader.shape[1:] != main.frame_shape:
        raise SourceError(
            f"The {name} frames in {reader.name} do not fit the data.",
            field=f"{name}s",
            value=reader.shape,
            expected=f"(frames, {', '.join(map(str, main.frame_shape))})",
            next_move="Name those that were taken with the same region of the detector.",
        )
    rows = np.arange(reader.shape[0], dtype=np.int64)
    return Frames(reader, rows, rows - len(rows), stream=name)


def frames_per_chunk(part: Frames, size: float) -> int:
    """How many frames make a chunk of about `size` byte, in whole storage chunks where those are small enough."""
    frame_bytes = max(1, prod(part.frame_shape) * part.reader.dtype.itemsize)
    count = max(1, int(size // frame_bytes))
    stored = part.reader.stored if part.arrival == 1 else 1
    if stored > count:
        return stored if stored * frame_bytes <= 4 * size else count
    return count // stored * stored

"""Play frames of HDF5 datasets as streams: what all sources over HDF5 files share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import MAIN, Chunk, End, Gap, GapKind, Item, Scan
from firstlight.core.errors import SourceError, UnknownName
from firstlight.core.source import DARK, Source, dark_of_level, with_dark_level
from firstlight.core.units import Bytes

from .files import open_file
from .handles import Dataset, File
from .place import boxes, runs, volume

CHUNK = 8 * 2.0**20
"""Default size of a chunk in byte: some 10 ms of reading from a fast disk."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of one stream (or of one set of it) that lie in one dataset."""

    dataset: Dataset
    rows: Ids
    """Place of each frame in the dataset's flattened arrival; rising."""
    ids: Ids
    keep: Array | None = None
    """False where a frame is marked as invalid; None: all are good."""
    coords: Mapping[str, Array] = field(default_factory=dict[str, Array])
    stream: str = MAIN
    set: int = 0
    arrival: int = 1
    """How many leading axes of the dataset were flattened."""
    reason: str = "marked as invalid in the file"
    kind: GapKind = "excluded"
    """What frames count as that are not kept."""

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame."""
        return self.dataset.shape[self.arrival :]

    def read(self, start: int, stop: int, parts: tuple[slice, ...] = ()) -> Array:
        """Frames `start` to `stop` of this list, cut to `parts` of the frame axes, in this machine's byte order.

        Raises:
            SourceError: The file is damaged, or a compression filter is missing.
        """
        cuts = parts or tuple(slice(0, size) for size in self.frame_shape)
        shape = tuple(len(range(*cut.indices(size))) for cut, size in zip(cuts, self.frame_shape, strict=True))
        out = np.empty((stop - start, *shape), self.dataset.dtype.newbyteorder("="))
        rows = self.rows[start:stop]
        try:
            for first, last in runs(rows):
                self._read_run(int(rows[first]), int(rows[last - 1]) + 1, cuts, out[first:last])
        except OSError as error:
            raise SourceError(
                f"Frames {rows[0]} to {rows[-1]} of '{self.dataset.name}' in {self.dataset.file.filename} can not be read ({error}).",
                field="path",
                value=self.dataset.file.filename,
                next_move="The file is damaged, or its compression is not known here: try to read that dataset with h5dump.",
            ) from error
        return out

    def _read_run(self, start: int, stop: int, cuts: tuple[slice, ...], out: Array) -> None:
        done = 0
        for box in boxes(start, stop, self.dataset.shape[: self.arrival]):
            count = volume(box)
            lengths = tuple(part.stop - part.start for part in box)
            if out.size:
                self.dataset.read_direct(out[done : done + count].reshape(lengths + out.shape[1:]), (*box, *cuts))
            done += count


@dataclass(frozen=True, slots=True)
class Recording:
    """An open file: its scan, and its frames in the order in which they are played."""

    scan: Scan
    parts: tuple[Frames, ...]


class FileSource(Source):
    """A source over one HDF5 file: plays its frames in order, and reads any block."""

    path: Path
    """The file."""
    chunk: Annotated[Bytes, Field(gt=0)] = CHUNK
    """Size of a chunk: as many whole frames as fit, at least one."""
    dark_level: Annotated[float, Field(ge=0)] | None = None
    """Counts of a pixel without light, where there are no dark frames: 0 for a detector that counts photons."""

    _flat_dark: float | None = PrivateAttr(None)
    """The level, if it stands for the dark frames of the open file."""
    _recording: Recording | None = PrivateAttr(None)
    _file: Any = PrivateAttr(None)
    _stopped: bool = PrivateAttr(False)

    @abstractmethod
    def record(self, file: File) -> Recording:
        """Find the scan and the frames in the open file.

        Raises:
            SourceError: Something that is needed is missing or makes no sense.
        """

    def open(self) -> Scan:
        """Open the file and find its streams.

        Raises:
            SourceError: The file can not be read, or lacks what is needed; the message names it.
        """
        self.close()
        file = open_file(self.path)
        try:
            found = self.record(file)
            scan = with_dark_level(found.scan, self.dark_level)
            self._flat_dark = self.dark_level if scan is not found.scan else None
            self._recording = replace(found, scan=scan)
        except BaseException:
            file.close()
            raise
        self._file, self._stopped = file, False
        return self._recording.scan

    def items(self) -> Iterator[Item]:
        """Darks and flats set by set, then the data in the order of their ids; each set and each stream with its end."""
        recording = self._opened()
        if self._flat_dark is not None:
            yield from dark_of_level(recording.scan, self._flat_dark)
        for number, part in enumerate(recording.parts):
            for item in self._play(part):
                if self._stopped:
                    return
                yield item
            if part.stream != MAIN:
                yield End(part.stream, part.set)
            if part.stream not in {later.stream for later in recording.parts[number + 1 :]}:
                yield End(part.stream)

    def _play(self, part: Frames) -> Iterator[Chunk | Gap]:
        step = frames_per_chunk(part, self.chunk)
        for start in range(0, len(part.rows), step):
            stop = min(start + step, len(part.rows))
            keep = slice(None) if part.keep is None or part.keep[start:stop].all() else part.keep[start:stop]
            ids = part.ids[start:stop]
            if not isinstance(keep, slice):
                wrong = ids[~keep]
                for first, last in runs(wrong):
                    yield Gap(0, int(wrong[first]), int(wrong[last - 1]), part.reason, part.kind, part.stream)
                if not keep.any():
                    continue
            coords = {name: values[start:stop][keep] for name, values in part.coords.items()}
            axes = self._opened().scan.stream(part.stream).frame_axes
            yield Chunk(part.read(start, stop)[keep], axes, ids[keep], coords=coords, stream=part.stream, set=part.set)

    def read(self, where: Mapping[str, slice], stream: str = MAIN) -> Array:
        """One block of a stream, as the file has it (frames that are marked as invalid included).

        Args:
            where: Part of each axis; axes that are not named are whole. Along the arrival, positions of `data` are ids;
                those of `dark` and `flat` count all sets one after the other.
            stream: Which stream.

        Raises:
            UnknownName: There is no such axis or stream.
            SourceError: The block can not be read.
        """
        described = self._opened().scan.stream(stream)
        if unknown := set(where) - set(described.axes):
            raise UnknownName(
                f"The stream '{stream}' has no axis '{min(unknown)}'.",
                field="where",
                value=sorted(where),
                expected="axes out of " + " ".join(described.axes),
            )
        if stream == DARK and self._flat_dark is not None:
            whole = np.full([described.size(label) for label in described.axes], self._flat_dark, np.float32)
            return whole[tuple(where.get(label, slice(None)) for label in described.axes)]
        if described.arrival > 1 and any(label in where for label in described.arrival_axes):
            return self._read_box(where, stream)
        cuts = tuple(where.get(label, slice(None)) for label in described.frame_axes)
        parts = [part for part in self._opened().parts if part.stream == stream]
        total = sum(len(part.rows) for part in parts)
        start, stop, step = (
            where.get(described.axes[0], slice(None)).indices(total) if described.arrival == 1 else (0, total, 1)
        )
        blocks: list[Array] = []
        for part in parts:
            first, last = min(max(start, 0), len(part.rows)), min(max(stop, 0), len(part.rows))
            if last > first:
                blocks.append(part.read(first, last, cuts))
            start, stop = start - len(part.rows), stop - len(part.rows)
        if not blocks:
            return parts[0].read(0, 0, cuts)
        block = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        block = block[::step] if step != 1 else block
        if described.arrival > 1:
            block = block.reshape(*parts[0].dataset.shape[: described.arrival], *block.shape[1:])
        return block

    def _read_box(self, where: Mapping[str, slice], stream: str) -> Array:
        """A block of a stream with several scan axes, which lies in one dataset as it is."""
        part = next(part for part in self._opened().parts if part.stream == stream)
        index = tuple(where.get(label, slice(None)) for label in self._opened().scan.stream(stream).axes)
        return np.asarray(part.dataset[index])

    def stop(self) -> None:
        """End `items` after the chunk in hand."""
        self._stopped = True

    def close(self) -> None:
        """Close the file."""
        file, self._file, self._recording = self._file, None, None
        if file is not None:
            file.close()

    def _opened(self) -> Recording:
        if self._recording is None:
            raise SourceError(
                "The file is not open.", field="path", value=str(self.path), next_move="Call open() first."
            )
        return self._recording


def frames_per_chunk(part: Frames, size: float) -> int:
    """How many frames make a chunk of about `size` byte, in whole storage chunks where those are small enough."""
    frame_bytes = max(1, int(np.prod(part.frame_shape, dtype=np.int64)) * part.dataset.dtype.itemsize)
    count = max(1, int(size // frame_bytes))
    stored = part.dataset.chunks[0] if part.dataset.chunks and part.arrival == 1 else 1
    if stored > count:
        return stored if stored * frame_bytes <= 4 * size else count
    return count // stored * stored


def check_numbers(found: Dataset, field: str, dimensions: int | None = None) -> None:
    """Refuse a dataset that does not hold frames.

    Raises:
        SourceError: Its values are not numbers, it has the wrong number of dimensions, or it is empty.
    """
    where = f"The dataset '{found.name}' in {found.file.filename}"
    if found.dtype.kind not in "biufc":
        raise SourceError(
            f"{where} does not hold numbers.",
            field=field,
            value=str(found.dtype),
            expected="integers or floats",
            next_move="Name another dataset.",
        )
    if dimensions is not None and found.ndim != dimensions:
        raise SourceError(
            f"{where} has the shape {found.shape}.",
            field=field,
            value=found.ndim,
            expected=f"{dimensions} dimensions",
            next_move="Name another dataset, or other axes.",
        )
    if not found.size:
        raise SourceError(
            f"{where} is empty: its shape is {found.shape}.",
            field=field,
            value=found.shape,
            expected="at least one frame",
        )

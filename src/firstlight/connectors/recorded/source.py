"""Play frames of files as streams: what all sources over recorded files share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import MAIN, Chunk, End, Gap, GapKind, Item, Scan
from firstlight.core.errors import SourceError, UnknownName
from firstlight.core.selection import BEFORE, as_slice
from firstlight.core.source import DARK, Source, dark_of_level, with_dark_level
from firstlight.core.units import Bytes, KeV, Micrometre, Quantity

from .angles import AngleUnit
from .frames import Frames, Recording, frames_per_chunk, readable
from .place import runs

CHUNK = 8 * 2.0**20
"""Default size of a chunk in byte: some 10 ms of reading from a fast disk."""

_LEFT_OUT = "left out by the user"


class RecordedSource(Source):
    """A source over recorded files: plays its frames in order, and reads any block."""

    path: Path
    """The file."""
    angles: str | tuple[float, ...] | None = None
    """Angle of every frame: its dataset in the file, a text file, a list in degree, or a range: ``0:180`` (its end left out), ``0:180:0.5``, ``-60::2``; default: what the file says."""
    angle_unit: AngleUnit | None = None
    """Unit of the angles; default: what the file says, or degree."""
    pixel: Annotated[Micrometre, Field(gt=0)] | None = None
    """Pixel size at the sample; default: what the file says."""
    energy: Annotated[KeV, Field(gt=0)] | None = None
    """Photon energy; default: what the file says."""
    ignore: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Frames to leave out, by their number from 0 (darks and flats are not counted)."""
    chunk: Annotated[Bytes, Field(gt=0)] = CHUNK
    """Size of a chunk: as many whole frames as fit, at least one."""
    dark_level: Annotated[float, Field(ge=0)] | None = None
    """Counts of a pixel without light, where there are no dark frames: 0 for a detector that counts photons."""

    _flat_dark: float | None = PrivateAttr(None)
    """The level, if it stands for the dark frames of the open file."""
    _recording: Recording | None = PrivateAttr(None)
    _stopped: bool = PrivateAttr(False)
    _chosen: Mapping[str, range] = PrivateAttr(default_factory=lambda: {})
    """The part that is played, if not all of it is."""

    @abstractmethod
    def load(self) -> Recording:
        """Open the file and find the scan and its frames.

        Raises:
            SourceError: The file can not be read, or something that is needed is missing or makes no sense.
        """

    def open(self) -> Scan:
        """Open the file and find its streams.

        Raises:
            SourceError: The file can not be read, or lacks what is needed; the message names it.
        """
        self.close()
        found = self._without_ignored(self.load())
        scan = with_dark_level(found.scan, self.dark_level)
        self._flat_dark = self.dark_level if scan is not found.scan else None
        self._recording, self._stopped, self._chosen = replace(found, scan=scan), False, {}
        return scan

    def narrow(self, scan: Scan, chosen: Mapping[str, range]) -> None:
        """Read only the selected part from now on; `scan` is what is left."""
        whole = self.opened()
        last: dict[str, int] = {}
        parts: list[Frames] = []
        for part in whole.parts:
            parts.append(each := part.narrowed(whole.scan, chosen, last.get(part.stream, BEFORE)))
            if len(each.ids):
                last[part.stream] = int(each.ids[-1])
        self._recording, self._chosen = replace(whole, scan=scan, parts=tuple(parts)), dict(chosen)

    def _without_ignored(self, found: Recording) -> Recording:
        """The recording with the frames that the user does not want marked.

        Raises:
            SourceError: There is no such frame.
        """
        if not self.ignore:
            return found
        frames = found.scan.main.frames or 0
        if max(self.ignore) >= frames:
            found.close()
            raise SourceError(
                "A frame that shall be left out does not exist.",
                field="ignore",
                value=max(self.ignore),
                expected=f"numbers from 0 to {frames - 1}",
            )
        unwanted = np.array(self.ignore, np.int64)
        parts = [
            part if part.stream != MAIN else replace(part, ignored=np.isin(part.ids, unwanted)) for part in found.parts
        ]
        return replace(found, parts=tuple(parts))

    def known(self, found: Mapping[str, Quantity | None]) -> dict[str, Quantity]:
        """The calibration: what the user gives, and of the rest what the file has."""
        given = {
            "pixel": Quantity(self.pixel, "um") if self.pixel else None,
            "energy": Quantity(self.energy, "keV") if self.energy else None,
        }
        values = {name: given.get(name) or found.get(name) for name in {**given, **found}}
        return {name: value for name, value in values.items() if value is not None}

    def items(self) -> Iterator[Item]:
        """Darks and flats set by set, then the data in the order of their ids; each set and each stream with its end."""
        recording = self.opened()
        if self._flat_dark is not None:
            yield from dark_of_level(recording.scan, self._flat_dark)
        for number, part in enumerate(recording.parts):
            for item in self.play(part):
                if self._stopped:
                    return
                yield item
            if self._stopped:
                return
            if part.stream != MAIN:
                yield End(part.stream, part.set)
            if part.stream not in {later.stream for later in recording.parts[number + 1 :]}:
                yield End(part.stream)

    def play(self, part: Frames) -> Iterator[Chunk | Gap]:
        """The frames of one part in order, those that are not kept as gaps."""
        step = frames_per_chunk(part, self.chunk)
        for start in range(0, len(part.rows), step):
            yield from self.chunk_of(part, start, min(start + step, len(part.rows)))

    def chunk_of(self, part: Frames, start: int, stop: int) -> Iterator[Chunk | Gap]:
        """Frames `start` to `stop` of a part, and the gaps among them."""
        ids = part.ids[start:stop]
        wanted = np.ones(stop - start, bool) if part.ignored is None else ~part.ignored[start:stop]
        valid = np.ones(stop - start, bool) if part.keep is None else part.keep[start:stop]
        yield from _gaps(ids[wanted & ~valid], part.reason, part.kind, part.stream)
        yield from _gaps(ids[~wanted], _LEFT_OUT, "excluded", part.stream)
        good = wanted & valid
        if not good.any():
            return
        keep = slice(None) if good.all() else good
        coords = {name: values[start:stop][keep] for name, values in part.coords.items()}
        axes = self.opened().scan.stream(part.stream).frame_axes
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
        described = self.opened().scan.stream(stream)
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
        if described.arrival > 1:
            return self._read_grid(where, stream)
        cuts = tuple(where.get(label, slice(None)) for label in described.frame_axes)
        parts = [part for part in self.opened().parts if part.stream == stream]
        total = sum(len(part.rows) for part in parts)
        start, stop, step = where.get(described.axes[0], slice(None)).indices(total)
        blocks: list[Array] = []
        for part in parts:
            first, last = min(max(start, 0), len(part.rows)), min(max(stop, 0), len(part.rows))
            if last > first:
                blocks.append(part.read(first, last, cuts))
            start, stop = start - len(part.rows), stop - len(part.rows)
        if not blocks:
            return parts[0].read(0, 0, cuts)
        block = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return block[::step] if step != 1 else block

    def _read_grid(self, where: Mapping[str, slice], stream: str) -> Array:
        """A block of a stream with several scan axes, which lies in one array as it is."""
        part = next(part for part in self.opened().parts if part.stream == stream)
        labels = self.opened().scan.stream(stream).axes
        own = self._chosen if stream == MAIN else {}
        sizes = zip(labels, part.reader.shape, strict=True)
        wanted = [own.get(label, range(size))[where.get(label, slice(None))] for label, size in sizes]
        out = np.empty([*map(len, wanted)], part.reader.dtype.newbyteorder("="))
        if out.size:
            with readable(part.reader, "A block"):
                part.reader.read_into(tuple(map(as_slice, wanted)), out)
        return out

    def stored_together(self, label: str) -> int:
        """Positions along a frame axis that lie in one storage chunk: reading one of them reads them all."""
        main = self.opened().scan.main
        part = next((part for part in self.opened().parts if part.stream == MAIN), None)
        chunks: tuple[int, ...] | None = None if part is None else getattr(part.reader, "storage", None)
        if chunks is None or label not in main.frame_axes or len(chunks) < len(main.frame_axes):
            return 1
        return chunks[main.frame_axes.index(label) - len(main.frame_axes)]

    def stop(self) -> None:
        """End `items` after the chunk in hand."""
        self._stopped = True

    def close(self) -> None:
        """Close the file."""
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.close()

    def opened(self) -> Recording:
        """What is open.

        Raises:
            SourceError: Nothing is.
        """
        if self._recording is None:
            raise SourceError(
                "The file is not open.", field="path", value=str(self.path), next_move="Call open() first."
            )
        return self._recording


def _gaps(ids: Ids, reason: str, kind: GapKind, stream: str) -> Iterator[Gap]:
    """One gap for each stretch of ids."""
    for first, last in runs(ids):
        yield Gap(0, int(ids[first]), int(ids[last - 1]), reason, kind, stream)

"""Source: a .mib file that Merlin wrote. Its frames are mapped into memory and decoded block by block."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Item, Scan, Stream
from firstlight.core.errors import SourceError, UnknownName
from firstlight.core.scan_sizes import scan_sizes
from firstlight.core.source import Source, dark_of_level, with_dark_level
from firstlight.core.units import Bytes

from ..recorded.appended import TOLD
from ..recorded.sidecar import read_json
from .recording import FIRST
from .wire import BadMessage, Format, Start, decode_many, read_format, read_start


class MibSource(Source):
    """Reads frames of a Merlin detector from a .mib file; the .hdr file beside it tells about the acquisition.

    Frames are placed by the number in their header. Where numbers are missing, frames are lost. Rows are in the order of the
    file, as over the live connection; Merlin's own display, and RosettaSciIO, show them upside down.
    """

    use: ClassVar[str] = "mib"

    path: Path
    """The .mib file, or the .hdr file beside it."""
    scan_y: Annotated[int, Field(gt=0)] | None = None
    """Lines of the scan; default: what the .hdr file and `scan_x` say."""
    scan_x: Annotated[int, Field(gt=0)] | None = None
    """Points of a line; default: what the .hdr file and `scan_y` say."""
    sync_offset: int = Field(default=0, ge=-(10**9), le=10**9)
    """Number of the frame that belongs to the first scan point; those before are left out. Negative: points are missing."""
    dark_level: Annotated[float, Field(ge=0)] | None = None
    """Counts of a pixel without light, for steps that want a dark image: 0 for this detector, which counts."""
    chunk: Annotated[Bytes, Field(gt=0)] = 4 * 2.0**20
    """Size of a chunk: as many whole frames as fit, at least one."""

    _map: memoryview | None = PrivateAttr(None)
    _format: Format | None = PrivateAttr(None)
    _places: Ids | None = PrivateAttr(None)
    _scan: Scan | None = PrivateAttr(None)
    _stopped: bool = PrivateAttr(False)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a file that begins like a frame of Merlin."""
        try:
            with path.open("rb") as file:
                return file.read(4) == b"MQ1,"
        except OSError:
            return False

    def open(self) -> Scan:
        """Map the file and read the numbers of its frames.

        Raises:
            SourceError: It is no .mib file, or has another number of frames than the scan.
        """
        self.close()
        self._stopped = False
        file = self.path.with_suffix(".mib")
        try:
            with file.open("rb") as opened:
                self._map = memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
            like = self._format = read_format(self._map)
            start = self._start()
            numbers = self._numbers(self._map, like)
        except (OSError, ValueError) as error:
            self.close()
            raise SourceError(
                f"The file can not be read: {error}", field="path", value=str(file), expected="a .mib file of Merlin"
            ) from error
        total = start.frames or (int(numbers.max()) + 1)
        told = start.scan or self._told_scan()
        says = f"{file.name}: {len(numbers)} frames"
        sizes = scan_sizes(total, self.scan_y, self.scan_x, told=told, says=says)
        count = total if None in sizes.values() else int(np.prod([size or 1 for size in sizes.values()]))
        self._places = np.where((0 <= numbers) & (numbers < count), numbers, -1)
        frame = {"row": like.shape[0], "col": like.shape[1]}
        stream = Stream((*sizes, *frame), {**sizes, **frame}, like.dtype, len(sizes), order="any", unit="counts")
        metadata = {key: value for key, value in start.values.items() if value}
        self._scan = with_dark_level(Scan({MAIN: stream}, file.stem, metadata=metadata), self.dark_level)
        return self._scan

    def _start(self) -> Start:
        header = self.path.with_suffix(".hdr")
        return read_start(header.read_bytes()[:16384]) if header.is_file() else Start()

    def _beside(self) -> dict[str, Any]:
        """What stands in the description beside a file that we recorded; otherwise nothing."""
        path = self.path.with_suffix(".mib")
        path = path.with_name(path.name + TOLD)
        return read_json(path) if path.is_file() else {}

    def _told_scan(self) -> tuple[int, int] | None:
        """(scan_y, scan_x) of the live run, if it was recorded with them."""
        sizes = self._beside().get("sizes")
        if not isinstance(sizes, dict):
            return None
        y, x = sizes.get("scan_y"), sizes.get("scan_x")
        return (y, x) if type(y) is int and type(x) is int and 0 < y * x < 2**40 else None

    def _numbers(self, mapped: memoryview, like: Format) -> Ids:
        """Number of each whole frame in the file, counted from 0 at the first scan point."""
        frames = len(mapped) // like.nbytes
        heads = np.frombuffer(mapped[: frames * like.nbytes], np.uint8).reshape(frames, like.nbytes)[:, :10]
        if frames == 0 or not (heads[:, :4] == np.frombuffer(b"MQ1,", np.uint8)).all():
            raise BadMessage(
                "Not every frame begins like the first.", field="path", expected=f"frames of {like.nbytes} byte"
            )
        digits = heads[:, 4:].astype(np.int64) - ord("0")
        if ((digits < 0) | (digits > 9)).any():
            raise BadMessage("A frame has no number.", field="path", expected="six digits after MQ1,")
        numbers = digits @ 10 ** np.arange(5, -1, -1) - 1
        # a series that began before the file did
        total = self._start().frames
        if (known := self._beside().get(FIRST)) is not None and type(known) is int:
            return np.asarray(numbers - known - self.sync_offset, np.int64)
        first = int(numbers.min()) if total is None or int(numbers.max()) >= total else 0
        return np.asarray(numbers - first - self.sync_offset, np.int64)

    def items(self) -> Iterator[Item]:
        """The frames in the order of the file, and a gap for each that it lacks.

        Raises:
            SourceError: The source is not open.
        """
        scan, like, places = self._scan, self._format, self._places
        if scan is None or like is None or places is None:
            raise SourceError(
                "The source is not open.", field="path", value=str(self.path), next_move="Call open() first."
            )
        if self.dark_level is not None:
            yield from dark_of_level(scan, self.dark_level)
        inside = np.flatnonzero(places >= 0)
        inside = inside[np.sort(np.unique(places[inside], return_index=True)[1])]
        step = max(1, int(self.chunk // np.prod([*like.shape, np.dtype(like.dtype).itemsize])))
        for begin in range(0, len(inside), step):
            if self._stopped:
                return
            part = inside[begin : begin + step]
            yield Chunk(self._decoded(part), ("row", "col"), places[part])
        for first, last in _holes(places[inside], scan.main.frames or 0):
            yield Gap(0, first, last, "the file lacks it")
        yield End(MAIN)

    def _decoded(self, records: Ids) -> Array:
        """Frames at some positions of the file, shape (frame, row, col); zero where the position is negative."""
        like, mapped = self._format, self._map
        if like is None or mapped is None:
            raise SourceError(
                "The source is not open.", field="path", value=str(self.path), next_move="Call open() first."
            )
        out = np.zeros((len(records), *like.shape), like.dtype)
        there = np.flatnonzero(records >= 0)
        memory = np.frombuffer(mapped, np.uint8)
        if len(there) == len(records):
            decode_many(like, memory, records * like.nbytes, out)
        else:
            for at in there:
                decode_many(like, memory, records[at : at + 1] * like.nbytes, out[at : at + 1])
        return out

    def read(self, where: Mapping[str, slice], stream: str = MAIN) -> Array:
        """One block of the scan; frames that the file lacks are zero.

        Raises:
            UnknownName: There is no such stream or axis.
            SourceError: The source is not open.
        """
        if self._scan is None or self._places is None:
            raise SourceError(
                "The source is not open.", field="path", value=str(self.path), next_move="Call open() first."
            )
        described = self._scan.stream(stream)
        if unknown := set(where) - set(described.axes):
            expected = "axes out of " + " ".join(described.axes)
            raise UnknownName(
                f"The scan has no axis '{min(unknown)}'.", field="where", value=sorted(where), expected=expected
            )
        arrival = [described.size(label) for label in described.arrival_axes]
        if stream != MAIN:
            whole = np.full((*arrival, *described.frame_shape), self.dark_level or 0.0, np.float32)
            return whole[tuple(where.get(label, slice(None)) for label in described.axes)]
        records = np.full(described.frames or 0, -1, np.int64)
        inside = np.flatnonzero(self._places >= 0)[::-1]
        records[self._places[inside]] = inside
        block = records.reshape(arrival)[tuple(where.get(label, slice(None)) for label in described.arrival_axes)]
        frames = self._decoded(block.ravel())[:, where.get("row", slice(None)), where.get("col", slice(None))]
        return frames.reshape(*block.shape, *frames.shape[1:])

    def stop(self) -> None:
        """End `items` after the chunk in hand."""
        self._stopped = True

    def close(self) -> None:
        """Let go of the file."""
        self._map = self._scan = self._format = self._places = None


def _holes(places: Ids, count: int) -> list[tuple[int, int]]:
    """Ranges out of 0 to count − 1 that `places` lacks."""
    edges = np.concatenate([[-1], np.sort(places), [count]])
    return [(a + 1, b - 1) for a, b in pairwise(edges.tolist()) if b - a > 1]


def read_recording(path: Path) -> tuple[bytes, list[memoryview]]:
    """The header in the .hdr file beside a .mib file, and its whole frames as views into it.

    Raises:
        SourceError: The file holds something else.
    """
    try:
        with path.open("rb") as opened:
            mapped = memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
        size = read_format(mapped).nbytes
    except (OSError, ValueError) as error:
        raise SourceError(
            f"The file can not be read: {error}", field="replay", value=str(path), expected="a .mib file of Merlin"
        ) from error
    frames = [mapped[at : at + size] for at in range(0, len(mapped) - size + 1, size)]
    return path.with_suffix(".hdr").read_bytes(), frames

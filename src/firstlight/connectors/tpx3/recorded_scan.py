"""Source: a recorded stream of Accos."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Annotated, ClassVar

from pydantic import Field, PrivateAttr

from firstlight.core.chunk import Item, Scan
from firstlight.core.errors import SourceError, Stopped
from firstlight.core.source import Source

from .link import Link
from .source import Tpx3Source

_PIECE = 2**20
"""Bytes that are read at a time, so that memory is taken as they come."""


class FileLink(Link):
    """A recorded stream in place of a connection."""

    def __init__(self, path: Path) -> None:
        """Not opened yet."""
        super().__init__(str(path), 0)
        self._path = path
        self._file: IO[bytes] | None = None

    @property
    def where(self) -> str:
        """For messages."""
        return str(self._path)

    def connect(self, end: float, stopped: Callable[[], bool]) -> None:
        """Open the file.

        Raises:
            SourceError: It can not be read.
        """
        try:
            self._file = self._file or self._path.expanduser().open("rb")
        except OSError as error:
            raise SourceError(f"The file can not be read: {error}.", field="path", value=str(self._path)) from error

    def receive(self, size: int, end: float, stopped: Callable[[], bool]) -> memoryview:
        """So many bytes.

        Raises:
            SourceError: The file ends before.
            Stopped: It was given up.
        """
        if stopped():
            raise Stopped("The run was stopped.")
        found = bytearray()
        while len(found) < size:
            part = b"" if self._file is None else self._file.read(min(size - len(found), _PIECE))
            if not part:
                raise SourceError("The recording ends in the middle.", field="path", value=str(self._path))
            found += part
        return memoryview(found)

    def close(self) -> None:
        """Close the file; harmless when called twice."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


class Tpx3ScanSource(Source):
    """Plays the first scan of a recorded stream of Accos (``.csr``): sparse frames, as the source `tpx3` gave them live."""

    use: ClassVar[str] = "tpx3_scan"

    path: Path
    """The file: what Accos sent, byte for byte."""
    dtype: Annotated[str, Field(pattern=r"^uint(8|16|32|64)$")] = "uint32"
    """Type of the dense frames; values that are too large for it end the run."""
    scan_y: Annotated[int, Field(ge=1)] | None = None
    """Lines of the scan. Default: as the file says."""
    scan_x: Annotated[int, Field(ge=1)] | None = None
    """Points of a line. Default: as the file says."""

    _link: FileLink | None = PrivateAttr(default=None)
    _scan: Tpx3Source | None = PrivateAttr(default=None)

    def open(self) -> Scan:
        """Open the file and read how the scan begins.

        Raises:
            SourceError: It can not be read, or holds no scan.
        """
        self._link = FileLink(self.path)
        self._scan = Tpx3Source(dtype=self.dtype, scan_y=self.scan_y, scan_x=self.scan_x).over(self._link)
        try:
            return self._scan.open()
        except BaseException:
            self.close()
            raise

    def items(self) -> Iterator[Item]:
        """Chunks of sparse frames, gaps and the end.

        Raises:
            SourceError: The source is not open, or the file makes no sense any more.
        """
        if self._scan is None:
            raise SourceError("The file is not open.", field="path", next_move="Call open() first.")
        yield from self._scan.items()

    def stop(self) -> None:
        """End soon; what has been given out stays."""
        if self._scan is not None:
            self._scan.stop()

    def close(self) -> None:
        """Close the file; harmless when called twice."""
        link, self._link, self._scan = self._link, None, None
        if link is not None:
            link.close()

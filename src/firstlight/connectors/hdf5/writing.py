"""Write a file while frames arrive: what all sinks over HDF5 files share."""

from __future__ import annotations

import contextlib
import errno
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from firstlight.core.arrays import Ids
from firstlight.core.chunk import Chunk, Gap, Scan
from firstlight.core.errors import SinkError
from firstlight.core.sink import Sink

from ..recorded.disk import disk_error, disk_errors, free_bytes
from .create import Compression, create_file
from .handles import File
from .space import close_file, take_space
from .target import Storage, Target, whole_bytes
from .undo import forget


class Writing(ABC):
    """A file that is being written; used by one writer thread.

    Args:
        path: Where it is.
        file: The open file.
        scan: What will be written is `scan.main`.
        storage: Layout of the arrays.
    """

    def __init__(self, path: Path, file: File, scan: Scan, storage: Storage) -> None:
        """Nothing is written yet."""
        self.path, self.file, self.scan, self.storage = path, file, scan, storage
        self.gaps: list[Gap] = []
        self.failed = False

    @abstractmethod
    def begin(self, record: dict[str, Any]) -> None:
        """Write the head, and the arrays whose shape is known."""

    @abstractmethod
    def target(self, chunk: Chunk) -> Target:
        """The array that the frames of a chunk belong to; made if it is not there yet."""

    @abstractmethod
    def note(self, target: Target, chunk: Chunk | None) -> None:
        """Write what tells that frames are there; without a chunk, fit what goes with them to an array that became shorter."""

    @abstractmethod
    def end(self, record: dict[str, Any], *, complete: bool) -> None:
        """Write what is missing, and the final record."""

    def prepare(self, target: Target, chunk: Chunk) -> None:  # noqa: B027 (not all have something)
        """Write what goes with frames before they are marked as there: a killed writer leaves no frame without its angle."""

    def flush(self, target: Target) -> None:
        """Hand what was written to the operating system, so that a killed process loses nothing."""
        self.file.flush()

    def write(self, chunk: Chunk) -> None:
        """Write and flush one chunk.

        Raises:
            SinkError: The disk is full, or a frame does not fit.
        """
        doing = f"write frames {chunk.ids.min()} to {chunk.ids.max()}"
        if self.failed:
            raise SinkError(
                "An earlier write to this file failed.",
                field="path",
                value=str(self.path),
                next_move="Run the job again with another path.",
            )
        self.failed = True
        with disk_errors(self.path, doing, chunk.nbytes):
            target = self.target(chunk)
            target.check(chunk)
            if not target.settled:
                self.take_space(doing, target.room(chunk))
            try:
                self.prepare(target, chunk)
                target.write(chunk)
                self.note(target, chunk)
                self.flush(target)
            except (OSError, RuntimeError) as error:
                if not isinstance(error, SinkError):
                    self._give_back(target)
                raise
        self.failed = False

    def take_space(self, doing: str, size: int) -> None:
        """Make sure that the disk has room for `size` more byte.

        Raises:
            SinkError: It has not.
        """
        take_space(self.path, self.file, doing, size)

    def _give_back(self, target: Target) -> None:
        """Make the file whole again after a write that the disk refused."""
        with contextlib.suppress(OSError, RuntimeError):
            target.shrink()
            self.note(target, None)
            self.file.flush()

    def finish(self, record: dict[str, Any], *, complete: bool) -> None:
        """Write the end of the file and close it, whatever happens."""
        doing = "write the final record"
        try:
            self.take_space(doing, 2 * len(repr(record)) + 64 * len(self.gaps))
            with disk_errors(self.path, doing):
                self.keep()
                self.end(record, complete=complete and not self.failed)
        finally:
            with disk_errors(self.path, "close the file"):
                close_file(self.path, self.file)
                forget(self.path)

    def keep(self) -> None:  # noqa: B027 (not all have something)
        """Copy what the file is before groups are changed, for a run that goes on in it after a kill."""


class FileSink(Sink):
    """A sink into one HDF5 file."""

    path: Path
    """The file; its folder is created if that is missing."""
    overwrite: bool = False
    """Replace a file that exists already."""
    compression: Compression = "none"
    """Filter for frames of 1 KiB or more; readers need the same one (bslz4, zstd and blosc: the package hdf5plugin)."""

    _writing: Writing | None = PrivateAttr(None)

    @abstractmethod
    def writing(self, path: Path, scan: Scan) -> Writing:
        """Create the file.

        Raises:
            SinkError: It exists, or can not be created.
        """

    def open(self, scan: Scan, record: dict[str, Any]) -> None:
        """Create the file, write the record, and make room for the frames if their number is known.

        Raises:
            SinkError: The file exists, can not be created, or does not fit on the disk.
        """
        previous, self._writing = self._writing, None
        if previous is not None:
            previous.file.close()
        path = self.path.expanduser()
        self._spare_old(path, scan)
        begun = self.writing(path, scan)
        try:
            forget(path)
            begun.take_space("write the head of the file", 4 * len(repr(record)))
            with disk_errors(path, "write the head of the file"):
                begun.begin(record)
                begun.file.flush()
        except BaseException:
            with contextlib.suppress(Exception):
                begun.file.close()
            path.unlink(missing_ok=True)
            raise
        self._writing = begun

    def resume(self, scan: Scan, record: dict[str, Any], done: Ids) -> None:
        """Open the file that an interrupted run left.

        Raises:
            SinkError: It is not there, is damaged, or does not fit.
        """
        if not self.resumable:
            super().resume(scan, record, done)
        path = self.path.expanduser()
        try:
            self._writing = self.reopened(path, scan, done)
        except SinkError:
            raise
        except (OSError, RuntimeError, LookupError, ValueError) as error:  # h5py has many for a damaged group
            raise SinkError(
                f"The file of the interrupted run can not be gone on with: it is damaged ({error}).",
                field="path",
                value=str(path),
                next_move="Run the job without --resume, and with 'overwrite: true' if the file is to be replaced.",
            ) from error

    def reopened(self, path: Path, scan: Scan, done: Ids) -> Writing:
        """The file of an interrupted run.

        Raises:
            OSError: It can not be opened.
            SinkError: This sink can not go on with it.
        """
        raise SinkError(f"The sink '{self.use}' can not go on with a file.", field="path", value=str(path))

    def _spare_old(self, path: Path, scan: Scan) -> None:
        """Do not give up the file that is to be replaced for one that would not fit on the disk.

        Raises:
            SinkError: It would not.
        """
        stream = scan.main
        if not (self.overwrite and path.is_file() and all(stream.sizes.get(label) for label in stream.axes)):
            return
        needed = whole_bytes(stream) if self.compression == "none" else 0
        if needed > free_bytes(path) + path.stat().st_size:
            raise disk_error(path, "replace the file", needed, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def create(self, path: Path, *, latest: bool = False) -> File:
        """Create the file.

        Raises:
            SinkError: It exists, or can not be created.
        """
        return create_file(path, overwrite=self.overwrite, latest=latest)

    def write(self, chunk: Chunk) -> None:
        """Write the frames of one chunk to the places that their ids name, and hand them to the operating system.

        Raises:
            SinkError: The disk is full (the message names the path and the bytes), or a frame does not fit.
        """
        if self._writing is None:
            raise SinkError("The file is not open.", field="path", value=str(self.path), next_move="Call open() first.")
        if len(chunk):
            self._writing.write(chunk)

    def miss(self, gap: Gap) -> None:
        """Note frames that will not come, for the list in the file."""
        if self._writing is not None:
            self._writing.gaps.append(gap)

    def close(self, record: dict[str, Any], *, complete: bool) -> None:
        """List what is missing, write the final record and close the file; harmless when called twice.

        Raises:
            SinkError: The disk is full; what was written before stays.
        """
        opened, self._writing = self._writing, None
        if opened is not None:
            opened.finish(record, complete=complete)

    def location(self) -> str:
        """The path."""
        return str(self.path)

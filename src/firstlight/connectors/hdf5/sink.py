"""Sink for HDF5 and NeXus files: written while data arrive, whole at every moment."""

from __future__ import annotations

import contextlib
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import PrivateAttr

from firstlight.core.chunk import Chunk, Gap, Scan, Stream
from firstlight.core.errors import SinkError
from firstlight.core.sink import Sink

from .create import Compression, create_file, disk_errors, ensure_space
from .handles import File
from .nexus import begin_entry, data_group, describe_data, end_entry, extend_axis
from .target import Storage, Target


class Hdf5Sink(Sink):
    """Writes one output into an HDF5 file that NeXus readers understand.

    The attributes ``default`` and ``signal`` lead to the array. ``covered`` tells what of it is there, also while it is
    written and after a crash. What came after a restart of the detector goes into groups of its own (``epoch_1`` …).
    """

    use: ClassVar[str] = "hdf5"

    path: Path
    """The file; its folder is created if that is missing."""
    overwrite: bool = False
    """Replace a file that exists already."""
    compression: Compression = "none"
    """Filter for the frames; readers need the same one (bslz4, zstd and blosc: the package hdf5plugin)."""
    chunks: tuple[int, ...] | None = None
    """Shape of a storage chunk over all axes; default: none where all lengths are known, else whole frames."""
    swmr: bool = False
    """Let readers follow through HDF5's single-writer mode; a killed writer then leaves a flag that must be cleared."""

    _open: _Open | None = PrivateAttr(None)

    def open(self, scan: Scan, record: dict[str, Any]) -> None:
        """Create the file, write the record, and make room for the frames if their number is known.

        Raises:
            SinkError: The file exists, can not be created, or does not fit on the disk.
        """
        self._release()
        path = self.path.expanduser()
        existed = path.exists()
        file = create_file(path, overwrite=self.overwrite, latest=self.swmr)
        begun = _Open(path, file, scan, Storage(self.compression, self.chunks, self.swmr))
        try:
            with disk_errors(path, "write the head of the file"):
                begun.begin(record)
        except BaseException:
            with contextlib.suppress(Exception):
                file.close()
            if not existed:
                path.unlink(missing_ok=True)
            raise
        self._open = begun

    def write(self, chunk: Chunk) -> None:
        """Write the frames of one chunk to the places that their ids name, and hand them to the operating system.

        Raises:
            SinkError: The disk is full (the message names the path and the bytes), or a frame does not fit.
        """
        if self._open is None:
            raise SinkError("The file is not open.", field="path", value=str(self.path), next_move="Call open() first.")
        if len(chunk):
            self._open.write(chunk)

    def miss(self, gap: Gap) -> None:
        """Note frames that will not come, for the list in the file."""
        if self._open is not None:
            self._open.gaps.append(gap)

    def close(self, record: dict[str, Any], *, complete: bool) -> None:
        """List what is missing, write the final record and close the file; harmless when called twice.

        Raises:
            SinkError: The disk is full; what was written before stays.
        """
        opened, self._open = self._open, None
        if opened is not None:
            opened.finish(record, complete=complete)

    def location(self) -> str:
        """The path."""
        return str(self.path)

    def _release(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            opened.file.close()


class _Open:
    """A file that is being written; used by one writer thread."""

    def __init__(self, path: Path, file: File, scan: Scan, storage: Storage) -> None:
        self.path, self.file, self.scan, self.storage = path, file, scan, storage
        self.targets: dict[int, Target] = {}
        self.gaps: list[Gap] = []
        self.failed = False

    def begin(self, record: dict[str, Any]) -> None:
        """Write the head, and create the array of the first epoch if its shape is known."""
        begin_entry(self.file, self.scan, record)
        stream = self.scan.main
        if all(stream.sizes.get(label) for label in (stream.axes[1:] if stream.arrival else stream.axes)):
            if stream.frames is not None and self.storage.compression == "none":
                ensure_space(self.path, "make room for all frames", _whole_bytes(stream))
            self._target(0, None)
        self.file.flush()

    def _target(self, epoch: int, chunk: Chunk | None) -> Target:
        found = self.targets.get(epoch)
        if found is not None:
            return found
        if self.storage.swmr and self.targets:
            raise SinkError(
                "The detector started again, and a file in SWMR mode can not take a second array.",
                field="swmr",
                value=True,
                next_move="Set swmr to false to keep what comes after a restart of the detector in the same file.",
            )
        made = self.targets[epoch] = Target(data_group(self.file["entry"], epoch), self.scan.main, chunk, self.storage)
        describe_data(made, self.scan, swmr=self.storage.swmr)
        self.file.flush()
        if self.storage.swmr:
            self.file.swmr_mode = True
        return made

    def write(self, chunk: Chunk) -> None:
        """Write and flush one chunk."""
        doing = f"write frames {chunk.ids.min()} to {chunk.ids.max()}"
        if self.failed:
            raise SinkError(
                "An earlier write to this file failed.",
                field="path",
                value=str(self.path),
                next_move="Run the job again with another path.",
            )
        self.failed = True
        ensure_space(self.path, doing, chunk.nbytes)
        with disk_errors(self.path, doing, chunk.nbytes):
            try:
                target = self._target(chunk.epoch, chunk)
                target.write(chunk)
                extend_axis(target, self.scan, chunk.coords.get("angle"), chunk.ids - target.stream.first)
                self._flush(target)
            except (OSError, RuntimeError) as error:
                self._give_back(chunk.epoch, error)
                raise
        self.failed = False

    def _flush(self, target: Target) -> None:
        if not self.storage.swmr:
            self.file.flush()
            return
        target.flush()
        for label in target.stream.axes[:1]:
            target.group[label].flush()

    def _give_back(self, epoch: int, error: Exception) -> None:
        """Make the file whole again after a write that the disk refused."""
        target = self.targets.get(epoch)
        if target is None or isinstance(error, SinkError):
            return
        with contextlib.suppress(OSError, RuntimeError):
            target.shrink()
            extend_axis(target, self.scan, None, target.covered[:0])
            self.file.flush()

    def finish(self, record: dict[str, Any], *, complete: bool) -> None:
        """Write the end of the file and close it, whatever happens."""
        try:
            with disk_errors(self.path, "write the final record"):
                if self.storage.swmr:
                    self._leave_swmr()
                if not self.targets and all(self.scan.main.sizes.get(label) for label in self.scan.main.frame_axes):
                    self._target(0, None)
                end_entry(self.file["entry"], self.targets, self.gaps, record, complete=complete and not self.failed)
                self.file.flush()
        finally:
            with disk_errors(self.path, "close the file"):
                self.file.close()

    def _leave_swmr(self) -> None:
        """Open the file again in the ordinary way: in SWMR mode no dataset can be added."""
        import h5py

        self.file.close()
        self.file = h5py.File(self.path, "r+", libver="latest", locking=False)
        for epoch, target in self.targets.items():
            target.reopen(self.file["entry/data" if epoch == 0 else f"entry/epoch_{epoch}"])


def _whole_bytes(stream: Stream) -> int:
    """Size of a stream of known lengths, in byte."""
    return prod(stream.size(label) for label in stream.axes) * np.dtype(stream.dtype).itemsize

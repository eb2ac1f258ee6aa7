"""Where gathered frames lie: as one array, or in one piece for each block that will be taken out, in memory or on disk."""

from __future__ import annotations

import errno
import os
import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import StepFailed

Pieces = tuple[slice, ...]
"""Parts of the axis of the blocks, one after the other."""


class BlockStore(Protocol):
    """Frames, cut along one of their axes as they come in; safe to fill from several threads at different slots."""

    @abstractmethod
    def put(self, slots: slice, data: Array, first: int) -> None:
        """Place frames: `data` has the axis of the blocks in front, from position `first` on, then the frames."""

    @abstractmethod
    def get(self, part: slice) -> Array:
        """Positions `part`, then every slot, then the other frame axes."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back."""


class MemoryBlocks:
    """One array for each piece, so that the room of a block is free again when its work is done.

    Args:
        pieces: Parts of the axis of the blocks.
        frames: How many will come.
        rest: Shape of the other frame axes.
        dtype: Of the values.
        at_once: Take all of the room now, so that a band that will not fit beside the one in work is noticed before it
            is read; else room is taken as frames come.
    """

    def __init__(
        self, pieces: Pieces, frames: int, rest: tuple[int, ...], dtype: str, *, at_once: bool = False
    ) -> None:
        """Make the arrays."""
        self._pieces = pieces
        self._frames = frames
        self._rest = rest
        self._arrays: list[Array | None] = [
            np.empty((piece.stop - piece.start, frames, *rest), dtype) for piece in pieces
        ]
        if at_once:
            for array in self._arrays:
                if array is not None:
                    array.fill(0)

    def put(self, slots: slice, data: Array, first: int) -> None:
        """Place frames."""
        for piece, array in zip(self._pieces, self._arrays, strict=True):
            start, stop = max(piece.start, first), min(piece.stop, first + len(data))
            if array is not None and start < stop:
                array[start - piece.start : stop - piece.start, slots] = data[start - first : stop - first]

    def get(self, part: slice) -> Array:
        """One piece itself, which is forgotten here, or a copy of what lies across several."""
        if part in self._pieces:
            place = self._pieces.index(part)
            array = self._arrays[place]
            self._arrays[place] = None
            if array is not None:
                return array
        found: list[Array] = []
        for piece, array in zip(self._pieces, self._arrays, strict=True):
            start, stop = max(piece.start, part.start), min(piece.stop, part.stop)
            if array is not None and start < stop:
                found.append(array[start - piece.start : stop - piece.start])
        return np.concatenate(found)

    def close(self) -> None:
        """Forget what is left."""
        self._arrays = [None] * len(self._pieces)


class ScratchBlocks:
    """One region of a file for each piece: frames are appended to every region, and a block is read as one run of bytes.

    Args:
        pieces: Parts of the axis of the blocks.
        frames: How many will come.
        rest: Shape of the other frame axes.
        dtype: Of the values.
        path: A folder for an unnamed file (None: the system's), or the name of a file that outlives the process.
    """

    def __init__(self, pieces: Pieces, frames: int, rest: tuple[int, ...], dtype: str, path: str | Path | None) -> None:
        """Take the room on the disk.

        Raises:
            StepFailed: The disk has not enough.
        """
        self._pieces = pieces
        self._frames = frames
        self._rest = rest
        self._dtype = np.dtype(dtype)
        self._line = int(np.prod(rest)) * self._dtype.itemsize
        self._offsets = [piece.start * frames * self._line for piece in pieces]
        start = pieces[0].start * frames * self._line
        self._offsets = [offset - start for offset in self._offsets]
        self._size = (pieces[-1].stop - pieces[0].start) * frames * self._line
        self._file = scratch_file(path, self._size)

    def put(self, slots: slice, data: Array, first: int) -> None:
        """Append frames to each region: one write each.

        Raises:
            StepFailed: The disk is full.
        """
        for piece, offset in zip(self._pieces, self._offsets, strict=True):
            start, stop = max(piece.start, first), min(piece.stop, first + len(data))
            if start >= stop:
                continue
            part = np.ascontiguousarray(np.moveaxis(data[start - first : stop - first], 0, 1))
            if (start, stop) == (piece.start, piece.stop):
                place = offset + slots.start * (stop - start) * self._line
                self._write(part.reshape(-1).view(np.uint8).data, place)
                continue
            for number, frame in enumerate(part):  # a part of a region: frame by frame
                row = (slots.start + number) * (piece.stop - piece.start) + start - piece.start
                self._write(frame.reshape(-1).view(np.uint8).data, offset + row * self._line)

    def _write(self, view: memoryview, place: int) -> None:
        while view:
            try:
                count = os.pwrite(self._file.fileno(), view, place)
            except OSError as error:
                raise disk_full(str(self._file.name), len(view), error) from error
            view, place = view[count:], place + count

    def get(self, part: slice) -> Array:
        """Read the regions that a part touches."""
        found: list[Array] = []
        for piece, offset in zip(self._pieces, self._offsets, strict=True):
            start, stop = max(piece.start, part.start), min(piece.stop, part.stop)
            if start < stop:
                region = np.empty((self._frames, piece.stop - piece.start, *self._rest), self._dtype)
                self._read(region.reshape(-1).view(np.uint8).data, offset)
                inside = region[:, start - piece.start : stop - piece.start]
                found.append(np.ascontiguousarray(np.moveaxis(inside, 1, 0)))
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _read(self, view: memoryview, place: int) -> None:
        while view:
            count = os.preadv(self._file.fileno(), [view], place)
            if not count:
                raise OSError(f"The scratch file {self._file.name} lost {len(view)} bytes at {place}.")
            view, place = view[count:], place + count

    def close(self) -> None:
        """Give the disk back, unless the file has a name."""
        self._file.close()


def scratch_file(path: str | Path | None, size: int) -> IO[Any]:
    """A file of a size, with its room taken.

    Args:
        path: A folder for an unnamed file (None: the system's), or the file itself, which may be there from before.
        size: In byte.

    Raises:
        StepFailed: The disk has not enough room, or the folder is not there.
    """
    try:
        if path is not None and not Path(path).is_dir():
            file: IO[Any] = Path(path).open("r+b" if Path(path).exists() else "w+b", buffering=0)
        else:
            file = tempfile.TemporaryFile(dir=path, prefix="firstlight-", buffering=0)
    except OSError as error:
        raise disk_full(str(path), size, error) from error
    try:
        if size and os.fstat(file.fileno()).st_size < size:
            _take_room(file.fileno(), size)
    except OSError as error:
        file.close()
        raise disk_full(str(path or tempfile.gettempdir()), size, error) from error
    return file


def _take_room(handle: int, size: int) -> None:
    """Reserve, so that a full disk is told now and not in the middle."""
    try:
        os.posix_fallocate(handle, 0, size)
    except AttributeError:  # macOS
        os.ftruncate(handle, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            raise
        os.ftruncate(handle, size)


def disk_full(place: str, size: int, error: OSError) -> StepFailed:
    """The error of a scratch file that can not be written."""
    return StepFailed(
        f"The scratch file can not be written: {error.strerror}.",
        field="runner.scratch",
        value=place,
        expected=f"a folder with {size / 2**30:.2f} GiB free",
        next_move="Name another folder (runner.scratch), free the disk, or give more --memory; then run with --resume.",
    )

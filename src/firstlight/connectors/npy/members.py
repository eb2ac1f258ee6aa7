"""Arrays in numpy's archives (``.npz``): mapped from the disk where they were stored as they are, else unpacked into a scratch file."""

from __future__ import annotations

import shutil
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError

from ..recorded.frames import ArrayReader, Reader
from .header import Header, read_header

MOST = 1000
"""Members of an archive that are looked at."""
_LOCAL = 30
"""Bytes of the header of a member, before its name."""
_LONGEST_LIST = 2**26
"""Bytes of an array that is taken into memory as a whole."""


@dataclass(frozen=True, slots=True)
class Member:
    """One array of an archive."""

    path: Path
    name: str
    """Without the ending ``.npy``."""
    header: Header
    place: int | None
    """Where it begins in the file, if it was stored as it is."""

    @property
    def title(self) -> str:
        """What it is and where, for messages."""
        return f"'{self.name}' in {self.path}"

    def reader(self) -> Reader:
        """Its images, (frame, row, col); (row, col) is one frame.

        Raises:
            SourceError: It holds no images.
        """
        shape = self.header.shape
        if not self.header.images:
            raise SourceError(
                f"The array {self.title} holds no images.",
                field="path",
                value=f"{self.header.dtype} {shape}",
                expected="numbers with 3 axes (frame row col)",
            )
        if self.place is None:
            return _Unpacked(self)
        offset, order = self.place + self.header.offset, "F" if self.header.fortran else "C"
        found = np.memmap(self.path, self.header.dtype, "r", offset, shape, order=order)
        return ArrayReader(found if found.ndim == 3 else found[np.newaxis], self.title)

    def list(self) -> Array:
        """All its values, for a short list.

        Raises:
            SourceError: It is too long, or can not be read.
        """
        if self.header.bytes > _LONGEST_LIST:
            raise SourceError(
                f"The array {self.title} is no list.",
                field="angles",
                value=self.header.shape,
                expected="one number per frame",
            )
        with _unpacking(self) as file:
            raw = file.read(self.header.bytes)[self.header.offset :]
        return np.frombuffer(raw, self.header.dtype).reshape(self.header.shape)


def members(path: Path) -> dict[str, Member]:
    """The arrays of an archive, by name.

    Raises:
        SourceError: It can not be read, or one of its arrays is shorter than its header says.
    """
    found: dict[str, Member] = {}
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            for info in archive.infolist()[:MOST]:
                if not info.filename.endswith(".npy"):
                    continue
                name = info.filename.removesuffix(".npy")
                with archive.open(info) as inside:
                    header = read_header(cast("BinaryIO", inside), f"{path}: {name}")
                if header.bytes > info.file_size:
                    raise _damaged(path, f"'{name}' has {info.file_size} byte of {header.bytes}")
                found[name] = Member(path, name, header, _begin(info, file))
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise _damaged(path, error) from error
    return found


def _begin(info: zipfile.ZipInfo, file: BinaryIO) -> int | None:
    """Where a member that was stored as it is begins; None for one that was packed."""
    if info.compress_type != zipfile.ZIP_STORED:
        return None
    file.seek(info.header_offset)
    local = file.read(_LOCAL)
    return info.header_offset + _LOCAL + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")


@contextmanager
def _unpacking(member: Member) -> Iterator[BinaryIO]:
    try:
        with zipfile.ZipFile(member.path) as archive, archive.open(member.name + ".npy") as inside:
            yield cast("BinaryIO", inside)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, SourceError):
            raise
        raise _damaged(member.path, error) from error


def _damaged(path: Path, why: object) -> SourceError:
    return SourceError(
        f"The file can not be read ({why}).",
        field="path",
        value=str(path),
        expected="an archive of arrays, as numpy.savez writes it",
        next_move="Copy it again from where it was written.",
    )


class _Unpacked:
    """Packed images, unpacked once into a scratch file that nobody else sees; callable from several threads."""

    stored = 1

    def __init__(self, member: Member) -> None:
        """Nothing is unpacked yet."""
        self.member = member
        self._lock = threading.Lock()
        self._scratch: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(frame, row, col)."""
        shape = self.member.header.shape
        return shape if len(shape) == 3 else (1, *shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.member.header.dtype

    @property
    def name(self) -> str:
        """Array and file."""
        return self.member.title

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Copy a block.

        Raises:
            SourceError: The archive is damaged.
        """
        with self._lock:
            if self._scratch is None:
                self._scratch = self._unpack()
        out[...] = self._scratch[where]

    def _unpack(self) -> Array:
        header = self.member.header
        with tempfile.TemporaryFile(prefix="firstlight-") as file:  # it lives as long as its map
            with _unpacking(self.member) as packed:
                shutil.copyfileobj(packed, file, 2**20)
            file.flush()
            if file.tell() < header.bytes:
                raise _damaged(
                    self.member.path, f"'{self.member.name}' ends after {file.tell()} of {header.bytes} byte"
                )
            order = "F" if header.fortran else "C"
            return np.memmap(file, header.dtype, "r", header.offset, self.shape, order=order)

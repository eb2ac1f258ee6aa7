"""EDF files that were packed as a whole, by gzip or bzip2."""

from __future__ import annotations

import bz2
import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

_GZIP, _BZIP2 = ".gz", ".bz2"


def is_packed(path: Path) -> bool:
    """True for a file whose name says that it was packed."""
    return path.suffix.lower() in (_GZIP, _BZIP2)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked as they are read.

    Raises:
        OSError: It can not be read, or its packed bytes are damaged or cut short.
    """
    kind = path.suffix.lower()
    try:
        with gzip.open(path) if kind == _GZIP else bz2.open(path) if kind == _BZIP2 else path.open("rb") as file:
            yield cast("BinaryIO", file)
    except (EOFError, zlib.error) as error:
        raise OSError(f"the packed file is damaged: {error}") from error


def length(path: Path, file: BinaryIO) -> int:
    """Bytes of an opened file when it is unpacked: gzip notes them at the end (below 4 GiB), bzip2 does not."""
    kind = path.suffix.lower()
    if kind == _GZIP:
        with path.open("rb") as packed:
            packed.seek(max(0, path.stat().st_size - 4))
            return int.from_bytes(packed.read(4), "little")
    return file.seek(0, os.SEEK_END) if kind == _BZIP2 else path.stat().st_size

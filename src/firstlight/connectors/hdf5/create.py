"""Create HDF5 files that others may read while they are written, and turn failures of the disk into clear errors."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Literal

from firstlight.core.errors import SinkError

from .handles import File

Compression = Literal["none", "gzip", "bslz4", "zstd", "blosc"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def create_file(path: Path, *, overwrite: bool, latest: bool = False) -> File:
    """Create a file, and its folder if that is missing.

    The earliest format has no flag that a killed writer would leave behind. No lock is taken, so that readers can open
    the file while data arrive.

    Raises:
        SinkError: The file exists already, or it can not be created.
    """
    import h5py

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and not overwrite:
            raise FileExistsError(errno.EEXIST, "file exists")
        return h5py.File(path, "w" if overwrite else "x", libver="latest" if latest else "earliest", locking=False)
    except FileExistsError as error:
        if not path.exists():
            raise _refused(path, error) from error
        raise SinkError(
            "The file exists already.",
            field="path",
            value=str(path),
            expected="a file that does not exist yet",
            next_move="Choose another path, or set overwrite to true (on the command line: --set sink.overwrite=true).",
        ) from error
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> SinkError:
    return SinkError(
        f"The file can not be created ({error}).",
        field="path",
        value=str(path),
        next_move="Check that its folder is a folder, and yours to write.",
    )


def reopen_file(path: Path) -> File:
    """Open a file to go on writing in it.

    Raises:
        OSError: It is not there, or is damaged.
    """
    import h5py

    return h5py.File(path, "r+")


@contextlib.contextmanager
def disk_errors(path: Path, doing: str, size: int = 0) -> Generator[None]:
    """Turn a failure of the disk into an error that names the file, the bytes and the next move.

    Args:
        path: The file.
        doing: What was going on, such as ``write frames 10 to 19``.
        size: Bytes that were to be written.

    Raises:
        SinkError: The disk is full, or gone.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, SinkError):
            raise
        raise disk_error(path, doing, size, error) from error


def disk_error(path: Path, doing: str, size: int, error: Exception) -> SinkError:
    """The error for a write that failed."""
    full = getattr(error, "errno", None) in _FULL or any(
        text in str(error) for text in ("No space left", "quota exceeded", "File too large")
    )
    free = free_bytes(path)
    why = "the disk is full, or a limit on file size or quota is reached" if full else str(error)
    return SinkError(
        f"Could not {doing} ({size} byte) to {path}: {why}. The disk has {free} byte free.",
        field="path",
        value=str(path),
        next_move="Free some space or write to another disk, then run the job again; the file holds what was written before and says so.",
    )


def free_bytes(path: Path) -> int:
    """Bytes that may still be written to the disk of a file."""
    return shutil.disk_usage(path.parent).free


def filters(compression: Compression) -> Mapping[str, Any]:
    """Arguments of `create_dataset` for a compression."""
    if compression == "none":
        return {}
    if compression == "gzip":
        return {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    import hdf5plugin

    made = {"bslz4": hdf5plugin.Bitshuffle, "zstd": hdf5plugin.Zstd, "blosc": hdf5plugin.Blosc}
    return dict(made[compression]())


def settled() -> Any:
    """Properties of a dataset whose place in the file is fixed when it is made.

    Writing frames then changes no structure of the file: it stays whole wherever the writer is killed. Nothing is
    filled in, so the file is sparse until frames come, and reads as zero.
    """
    import h5py

    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    made.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return made

"""Create HDF5 files that others may read while they are written."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from firstlight.core.errors import SinkError

from ..recorded.disk import exists_already
from .handles import File
from .superblock import clear_writer_mark

Compression = Literal["none", "gzip", "bslz4", "zstd", "blosc"]


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
        raise exists_already(path) from error
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> SinkError:
    return SinkError(
        f"The file can not be created ({error}).",
        field="path",
        value=str(path),
        next_move="Check that its folder is a folder, and yours to write.",
    )


def reopen_file(path: Path, *, latest: bool = False) -> tuple[File, bool]:
    """Open a file to go on writing in it, and tell whether its writer was killed in SWMR mode.

    Raises:
        OSError: It is not there, or is damaged.
    """
    import h5py

    killed = latest and clear_writer_mark(path)
    return h5py.File(path, "r+", libver="latest" if latest else None, locking=False if latest else None), killed


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

"""Take room on the disk before HDF5 writes.

HDF5 can not recover from a write that fails while it flushes its own structures: the file then does not open any more,
and closing it may bring the process down. So the blocks are taken from the file system first, where a refusal does no
harm, and HDF5 writes into room that is there.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from ..recorded.disk import disk_error, free_bytes
from .handles import File

RESERVE = 256 * 1024
"""Bytes beyond the frames, for the structures of the file and its last record."""

_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def take_space(path: Path, file: File, doing: str, size: int) -> None:
    """Make sure that `size` byte can be added to a file that HDF5 has open.

    Args:
        path: The file.
        file: The same file, as h5py has it.
        doing: What for, such as ``write frames 10 to 19``.
        size: Bytes that will be written beyond the present end.

    Raises:
        SinkError: The disk is full, or a quota or a limit on file size is reached; the file is as it was before.
    """
    handle = file.id.get_vfd_handle()
    end, before = int(file.id.get_filesize()), os.fstat(handle).st_size
    try:
        _allocate(path, handle, end, size + RESERVE)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, max(end, min(before, os.fstat(handle).st_size)))
        raise disk_error(path, doing, size, error) from error


def close_file(path: Path, file: File) -> None:
    """Close a file and give back the room that was taken and not used."""
    file.flush()
    end = int(file.id.get_filesize())
    file.close()
    if path.stat().st_size > end:
        os.truncate(path, end)


def _allocate(path: Path, handle: int, start: int, size: int) -> None:
    call = _fallocate()
    if call is not None:
        if call(handle, 0, start, size) == 0:
            return
        number = ctypes.get_errno()
        if number not in _UNSUPPORTED:
            raise OSError(number, os.strerror(number))
    # this file system takes no reservations: all that can be done is to look
    if free_bytes(path) < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@cache
def _fallocate() -> Any:
    """The system call of Linux; `os.posix_fallocate` would fill the file byte by byte where it is not supported."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        found = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return None
    found.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    found.restype = ctypes.c_int
    return found

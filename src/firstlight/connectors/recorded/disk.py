"""Failures of the disk as clear errors, and room that is taken before it is needed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Generator
from pathlib import Path

from firstlight.core.errors import SinkError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
        text in str(error) for text in ("No space left", "quota exceeded", "File too large", "requested and")
    )  # the last is numpy's word for a file that took only a part
    much = f" ({size} byte)" if size else ""
    why = "the disk is full, or a limit on file size or quota is reached" if full else str(error)
    return SinkError(
        f"Could not {doing}{much} to {path}: {why}. The disk has {free_bytes(path)} byte free.",
        field="path",
        value=str(path),
        next_move="Free some space or write to another disk, then run the job again: what was written before stays, and --resume goes on behind it.",
    )


def free_bytes(path: Path) -> int:
    """Bytes that may still be written to the disk of a file."""
    return shutil.disk_usage(path.parent).free


def reserve(path: Path, size: int) -> None:
    """Take the room for a file of `size` byte, so that a map of it can not fail later.

    Raises:
        SinkError: The disk is full.
    """
    with disk_errors(path, "make room for all frames", size):
        if size > free_bytes(path) + path.stat().st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with path.open("r+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)


def exists_already(path: Path) -> SinkError:
    """The error for a result that would replace another."""
    return SinkError(
        f"The {'folder is not empty' if path.is_dir() else 'file exists already'}.",
        field="path",
        value=str(path),
        expected="a path where there is nothing yet",
        next_move="Choose another path, or set overwrite to true (on the command line: --set sink.overwrite=true).",
    )

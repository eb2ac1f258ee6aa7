"""Arrays of numpy's own format, opened by any thread."""

from __future__ import annotations

import threading
from pathlib import Path

from numpy.lib.format import open_memmap

from .arrays import Array

ONE_HEADER = threading.Lock()
"""Hold it to read a header: numpy does so by `ast.literal_eval`, in which two threads of CPython 3.11 can break each other
(a SystemError, gh-106905)."""


def open_npy(path: str | Path) -> Array:
    """Array in a file ``.npy``, mapped: nothing but its header is read, and it can not be written.

    Raises:
        OSError: The file can not be read.
        ValueError: It is no such file, is cut short, or holds objects.
    """
    with ONE_HEADER:
        return open_memmap(Path(path).expanduser(), mode="r")

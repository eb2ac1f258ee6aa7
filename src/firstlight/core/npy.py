"""Arrays of numpy's own format, opened by any thread."""

from __future__ import annotations

from pathlib import Path

from numpy.lib.format import open_memmap

from firstlight.parser import ONE_AT_A_TIME

from .arrays import Array


def open_npy(path: str | Path) -> Array:
    """Array in a file ``.npy``, mapped: nothing but its header is read, and it can not be written.

    Raises:
        OSError: The file can not be read.
        ValueError: It is no such file, is cut short, or holds objects.
    """
    with ONE_AT_A_TIME:  # numpy reads the header by Python's parser
        return open_memmap(Path(path).expanduser(), mode="r")

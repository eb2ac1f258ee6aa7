"""The header of an array as numpy writes it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

import numpy as np

from firstlight.core.errors import SourceError
from firstlight.parser import ONE_AT_A_TIME

_LONGEST = 65536


@dataclass(frozen=True, slots=True)
class Header:
    """What an array is, and where its values begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    """Of the first value, from where the file stood."""
    fortran: bool

    @property
    def bytes(self) -> int:
        """Length of header and values."""
        return self.offset + prod(self.shape) * self.dtype.itemsize

    @property
    def images(self) -> bool:
        """True for numbers (frame, row, col) or (row, col)."""
        return len(self.shape) in (2, 3) and self.dtype.kind in "biuf" and all(self.shape)


def read_header(file: BinaryIO, name: str) -> Header:
    """Read a header from where a file stands.

    Raises:
        SourceError: There is none.
    """
    begin = file.tell()
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with ONE_AT_A_TIME:
            shape, fortran, dtype = read(file, max_header_size=_LONGEST)
        if dtype.hasobject or any(type(n) is not int or not 0 <= n < 2**40 for n in shape):
            raise ValueError("the array holds objects, or tells an impossible shape")
    except (OSError, ValueError, TypeError, SyntaxError, OverflowError, MemoryError) as error:
        raise SourceError(
            f"The file can not be read ({error}).", field="path", value=name, expected="an array of numpy (.npy)"
        ) from error
    return Header(tuple(shape), dtype, file.tell() - begin, bool(fortran))

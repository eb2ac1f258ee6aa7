"""Frames of amplitudes read as counts, and several arrays of frames read as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError

from .frames import Reader
from .through import Through


@dataclass(frozen=True, slots=True)
class Squared(Through):
    """Square roots of counts, read as counts; NaN stays NaN, and a damaged value whose square no number can hold becomes it."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts: float32, or float64 of double amplitudes."""
        return np.dtype(np.float64 if self.reader.dtype.itemsize == 8 else np.float32)

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Read a block and square it."""
        read = np.empty(out.shape, self.reader.dtype.newbyteorder("="))
        self.reader.read_into(where, read)
        with np.errstate(over="ignore"):
            np.square(read, out=out, dtype=out.dtype, casting="unsafe")
        out[np.isinf(out)] = np.nan


@dataclass(frozen=True, slots=True)
class Joined:
    """Arrays of frames of one size, one after the other."""

    readers: Sequence[Reader]
    ends: tuple[int, ...] = field(init=False)
    """Of each array: the position after its last frame."""

    def __post_init__(self) -> None:
        """Demand that they fit together.

        Raises:
            SourceError: Frames have different sizes or types.
        """
        first = self.readers[0]
        for each in self.readers:
            if each.shape[1:] != first.shape[1:] or each.dtype != first.dtype:
                raise SourceError(
                    f"Frames in {each.name} differ from those in {first.name}.",
                    field="data",
                    value=f"{each.dtype} {each.shape[1:]}",
                    expected=f"{first.dtype} {first.shape[1:]}",
                    next_move="Put frames of one size into a file.",
                )
        object.__setattr__(self, "ends", tuple(accumulate(each.shape[0] for each in self.readers)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each dimension."""
        return (self.ends[-1], *self.readers[0].shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.readers[0].dtype

    @property
    def stored(self) -> int:
        """Positions that are stored together."""
        return self.readers[0].stored

    @property
    def name(self) -> str:
        """Where the first frames are."""
        return self.readers[0].name

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Read a block from the arrays that hold it."""
        start, stop, _ = where[0].indices(self.ends[-1])
        number, done = bisect_right(self.ends, start), 0
        while start + done < stop:
            offset = self.ends[number] - self.readers[number].shape[0]
            last = min(stop, self.ends[number])
            part = slice(start + done - offset, last - offset)
            self.readers[number].read_into((part, *where[1:]), out[done : last - start])
            number, done = number + 1, last - start

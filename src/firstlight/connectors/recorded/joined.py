"""Several arrays of frames as one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from firstlight.core.arrays import Array

from .frames import Reader


@dataclass(frozen=True, slots=True)
class OneAfterTheOther:
    """Frames of several readers, which look alike, in the order of the readers."""

    parts: tuple[Reader, ...]
    stored: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """(frame, row, col)."""
        return (sum(part.shape[0] for part in self.parts), *self.parts[0].shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.parts[0].dtype

    @property
    def name(self) -> str:
        """The first."""
        return self.parts[0].name

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Copy a block."""
        wanted = range(*where[0].indices(self.shape[0]))
        begins = accumulate((part.shape[0] for part in self.parts[:-1]), initial=0)
        done = 0
        for begin, part in zip(begins, self.parts, strict=True):
            here = [frame - begin for frame in wanted[done:] if begin <= frame < begin + part.shape[0]]
            if here:
                cut = slice(here[0], here[-1] + 1, wanted.step)
                part.read_into((cut, *where[1:]), out[done : done + len(here)])
                done += len(here)

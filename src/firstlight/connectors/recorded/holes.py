"""Frames that never came, told by holes in the numbers that files are named by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstlight.core.arrays import Array

from .place import runs
from .through import Through

_MOST = 0.25
"""With a larger part missing, the numbers are something else than those of frames."""


def present(files: Sequence[Path]) -> Array | None:
    """(place,) True for each number that has a file; None where none is missing, or the names do not count frames.

    >>> present([Path("a_0.tif"), Path("a_2.tif"), Path("a_4.tif"), Path("a_6.tif"), Path("a_10.tif")]).tolist()
    [True, True, True, True, False, True]
    """
    numbers = [re.findall(r"\d+", file.stem) for file in files]
    if (
        len(files) < 3
        or len({len(each) for each in numbers}) != 1
        or any(len(n) > 18 for each in numbers for n in each)
    ):
        return None
    table = np.array(numbers).T
    counting = [column for column in table if len(set(column.tolist())) > 1]
    if len(counting) != 1:
        return None
    counted = counting[0].astype(np.int64)
    steps = np.diff(counted)
    step = int(np.median(steps))
    if step < 1 or (steps < 1).any() or (steps % step).any():
        return None
    places = (counted - counted[0]) // step
    total = int(places[-1]) + 1
    if total == len(files) or total - len(files) > _MOST * total:
        return None
    there = np.zeros(total, bool)
    there[places] = True
    return there


@dataclass(frozen=True, slots=True)
class WithHoles(Through):
    """Frames at their places, and zeros at those of frames that never came."""

    there: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """(place, row, col)."""
        return (len(self.there), *self.reader.shape[1:])

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Read a block."""
        start, stop, _ = where[0].indices(len(self.there))
        good = start + np.flatnonzero(self.there[start:stop])
        rows = np.cumsum(self.there)[good] - 1
        out[...] = 0
        for first, last in runs(good):
            cut = slice(int(rows[first]), int(rows[last - 1]) + 1)
            self.reader.read_into((cut, *where[1:]), out[good[first] - start : good[last - 1] + 1 - start])

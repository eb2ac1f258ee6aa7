"""Sinograms seen as projections."""

from __future__ import annotations

import tempfile
import threading
from typing import Any

import numpy as np

from firstlight.core.arrays import Array

from .frames import ArrayReader, Reader


def turned(sinograms: Reader) -> Reader:
    """An array (row, angle, col) as (angle, row, col).

    One that is mapped from the disk stays where it is. Pages that must be decoded are decoded once, when the first block
    asks for them, into a scratch file.
    """
    if isinstance(sinograms, ArrayReader):
        return ArrayReader(sinograms.array.swapaxes(0, 1), sinograms.name)
    return Turned(sinograms)


class Turned:
    """Decoded sinograms, kept in a scratch file that nobody else sees; callable from several threads."""

    stored = 1

    def __init__(self, sinograms: Reader) -> None:
        """Nothing is decoded yet."""
        self.sinograms = sinograms
        self._lock = threading.Lock()
        self._there = np.zeros(sinograms.shape[0], bool)
        self._scratch: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(angle, row, col)."""
        rows, angles, *rest = self.sinograms.shape
        return (angles, rows, *rest)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.sinograms.dtype

    @property
    def name(self) -> str:
        """Where the sinograms are."""
        return self.sinograms.name

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Copy a block, after decoding the rows that were not asked for before."""
        with self._lock:
            if self._scratch is None:
                native = self.dtype.newbyteorder("=")
                with tempfile.TemporaryFile(prefix="firstlight-") as file:  # it lives as long as its map
                    self._scratch = np.memmap(file, native, "w+", shape=self.sinograms.shape)
            for row in range(*where[1].indices(self.shape[1])):
                if not self._there[row]:
                    whole = tuple(slice(0, size) for size in self.sinograms.shape[1:])
                    self.sinograms.read_into((slice(row, row + 1), *whole), self._scratch[row : row + 1])
                    self._there[row] = True
        out[...] = self._scratch.swapaxes(0, 1)[where]

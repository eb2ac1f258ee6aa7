"""Frames that a file holds with more axes than they have, or with fewer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from firstlight.core.arrays import Array

from .through import Through


@dataclass(frozen=True, slots=True)
class Reshaped(Through):
    """An array seen as (frame, row, col): at one position of further axes, or with the single row that it lacks."""

    fixed: Mapping[int, int] = field(default_factory=dict[int, int])
    """Position on each axis of the file that is left out."""
    row: bool = False
    """The file has no axis of rows, because there is one only."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(frame, row, col)."""
        return self._outer(self.reader.shape)

    @property
    def storage(self) -> tuple[int, ...] | None:
        """Shape of a storage chunk; None where the array lies in one piece."""
        chunks: tuple[int, ...] | None = getattr(self.reader, "storage", None)
        return None if chunks is None else self._outer(chunks)

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Read a block."""
        cuts = [cut for axis, cut in enumerate(where) if not (self.row and axis == 1)]
        inner = tuple(
            slice(place, place + 1) if (place := self.fixed.get(axis)) is not None else cuts.pop(0)
            for axis in range(len(self.reader.shape))
        )
        lengths = (len(range(*cut.indices(size))) for cut, size in zip(inner, self.reader.shape, strict=True))
        self.reader.read_into(inner, out.reshape(tuple(lengths)))  # axes of length 1 come and go: never a copy

    def _outer(self, inner: tuple[int, ...]) -> tuple[int, ...]:
        kept = [size for axis, size in enumerate(inner) if axis not in self.fixed]
        return (kept[0], 1, *kept[1:]) if self.row else tuple(kept)

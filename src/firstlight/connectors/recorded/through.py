"""A reader that hands on what another one reads, changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .frames import Reader


@dataclass(frozen=True, slots=True)
class Through:
    """What such a reader does not say itself is so as the other one says; `read_into` is its own."""

    reader: Reader

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each dimension."""
        return self.reader.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.reader.dtype

    @property
    def stored(self) -> int:
        """Positions along the first dimension that are stored together."""
        return self.reader.stored

    @property
    def storage(self) -> tuple[int, ...] | None:
        """Shape of a storage chunk; None where the array lies in one piece."""
        return getattr(self.reader, "storage", None)

    @property
    def name(self) -> str:
        """What it is and where."""
        return self.reader.name

"""Steps that are sums over the pixels of a frame, or over frames: several of them can share one pass over memory.

Such a step says what it needs (`Wanted`), and makes its outputs of the sums it gets; the runner asks for what all steps
behind one port need at once. Operators do so with the hooks ``wanted(step, size)`` and ``finish(step, sums, size)``, folds with the
methods `wanted` and `digest_sums`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .arrays import Array


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """What a step needs of each chunk of frames."""

    masks: Array | None = None
    """Sums under masks, (mask, row, col), bool."""
    moments: Array | None = None
    """First moments inside a mask, (row, col), bool."""
    image: bool = False
    """The sum of the frames."""


class Sums(Protocol):
    """What one pass found; None where it was not asked for."""

    @property
    def masks(self) -> Array | None:
        """(frame, mask)."""
        ...

    @property
    def moments(self) -> Array | None:
        """Sum, sum times row, sum times column: (frame, 3)."""
        ...

    @property
    def image(self) -> Array | None:
        """(row, col)."""
        ...

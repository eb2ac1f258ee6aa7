"""What a PandABox tells, whichever way it comes: a capture begins, samples, it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from firstlight.core.arrays import Array


@dataclass(frozen=True, slots=True)
class Start:
    """A capture begins: numbers start over."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Consecutive samples of some channels."""

    values: Mapping[str, Array]
    """By channel, such as ``INENC2.VAL.Value``: float64 of one length, in the unit that the box is set to."""
    first: int | None
    """Number of the first sample in its capture; None where the message does not say."""
    message: int | None = None
    """Number of the message in its capture."""

    def __len__(self) -> int:
        """Number of samples."""
        return len(next(iter(self.values.values()), ()))


@dataclass(frozen=True, slots=True)
class Stop:
    """The capture is over."""

    samples: int | None
    """How many samples there were, where that is told."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Stray:
    """Bytes that make no sense."""

    reason: str


Message = Start | Samples | Stop | Stray

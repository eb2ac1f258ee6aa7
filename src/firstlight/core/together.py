"""Frames as they came, several at once: what stands between receiving and decoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from .arrays import Array

Raw = TypeVar("Raw")
"""A frame as it came."""
Decode = Callable[[Sequence[Raw], Array], list[str | None]]
"""Fills an array (frame, *shape) from frames as they came; for each, why it can not be, or None."""


class Together(Protocol):
    """Frames that came together and look alike: handled as one, because what Python does for each frame is what bounds the rate."""

    def __len__(self) -> int:
        """How many they are."""
        ...

    def part(self, begin: int, end: int) -> Together:
        """Some of them, one after the other; `end` may lie beyond the last one."""
        ...

    def joined(self, other: Together) -> Together | None:
        """One for these and others that lie behind them in the same memory; None where they do not."""
        ...

    def ready(self) -> Array | None:
        """Their bytes where they lie, uint8, if nothing need be decoded; None otherwise."""
        ...

    def decode(self, out: Array) -> list[str | None]:
        """Fill an array (frame, *shape); for each frame, why it can not be, or None."""
        ...


@dataclass(frozen=True, slots=True)
class OneByOne(Generic[Raw]):
    """Frames that came one by one."""

    frames: Sequence[Raw]
    how: Decode[Raw]

    def __len__(self) -> int:
        """How many they are."""
        return len(self.frames)

    def part(self, begin: int, end: int) -> OneByOne[Raw]:
        """Some of them."""
        return OneByOne(self.frames[begin:end], self.how)

    def joined(self, other: Together) -> None:
        """None: they lie anywhere."""

    def ready(self) -> None:
        """None: nothing is known of them."""

    def decode(self, out: Array) -> list[str | None]:
        """Fill an array (frame, *shape); for each frame, why it can not be, or None."""
        return self.how(self.frames, out)

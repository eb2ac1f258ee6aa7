"""Frames that lie one behind the other as they were received, and look alike: found and decoded many at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from firstlight.core.arrays import Array, Ids
from firstlight.core.together import Together

from .wire import PREFIX, BadMessage, Format, FrameHeader, decode_many

_MOST = 256
"""Frames that are found at once."""
_DIGITS = 12
_ZERO, _NINE = ord("0"), ord("9")


@dataclass(frozen=True, slots=True)
class Pieces:
    """Frames as they came, headers included, in one piece of memory."""

    like: Format
    memory: Array
    """Shape (bytes,), uint8."""
    begins: Ids
    """Where each frame begins."""

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.begins)

    def part(self, begin: int, end: int) -> Pieces:
        """Some of them."""
        return Pieces(self.like, self.memory, self.begins[begin:end])

    def joined(self, other: Together) -> Pieces | None:
        """One for these and others in the same memory."""
        if not isinstance(other, Pieces) or other.memory is not self.memory or other.like is not self.like:
            return None
        return Pieces(self.like, self.memory, np.concatenate([self.begins, other.begins]))

    def ready(self) -> None:
        """None: pixels come with the most significant byte first, or packed."""

    def decode(self, out: Array) -> list[str | None]:
        """Decode all in one call, outside the interpreter's lock; why they can not be, or None for each."""
        reason: str | None = None
        try:
            decode_many(self.like, self.memory, self.begins, out)
        except BadMessage as error:
            reason = str(error)
        return [reason] * len(self)


class Alike(NamedTuple):
    """How messages begin that bring a frame like one that was read; uint8 each."""

    head: Array
    """``MPX,`` with the length, and ``MQ1,``: up to the number."""
    look: Array
    """What follows the number and does not change."""
    length: int
    """Of the frame with its header, without ``MPX,``."""

    @classmethod
    def of(cls, like: Format, header: FrameHeader) -> Alike:
        """Messages with frames of this format, whose headers look like this one."""
        head = b"MPX,%010d,MQ1," % (like.nbytes + 1)
        return cls(np.array(bytearray(head), np.uint8), np.array(bytearray(header.look), np.uint8), like.nbytes)

    def find(self, memory: Array, begin: int, end: int, numbers: range) -> tuple[Ids, Ids]:
        """Frames that begin at some byte and lie one behind the other, complete, up to the first message of another kind.

        Args:
            memory: Shape (bytes,), uint8.
            begin: Where to look.
            end: Where what has been received ends.
            numbers: Those that frames may have, counted from 0.

        Returns:
            The number of each, and where each begins (behind ``MPX,``), int64.
        """
        found, begins = np.empty(_MOST, np.int64), np.empty(_MOST, np.int64)
        if self.length < len(self.head) + _DIGITS + len(self.look):  # a header that is cut off is read one by one
            return found[:0], begins[:0]
        count = _find(memory, begin, end, *self, numbers.start, numbers.stop, found, begins)
        return found[:count], begins[:count]


@njit(nogil=True, cache=True)
def _find(
    memory: Array,
    begin: int,
    end: int,
    head: Array,
    look: Array,
    length: int,
    first: int,
    stop: int,
    numbers: Array,
    begins: Array,
) -> int:
    count = 0
    while count < numbers.size and begin + PREFIX + length <= end:
        at = begin + head.size
        number = 0
        while _ZERO <= memory[at] <= _NINE and at - begin - head.size < _DIGITS:
            number = 10 * number + int(memory[at]) - _ZERO
            at += 1
        alike = first < number <= stop and _same(memory, begin, head) and _same(memory, at, look)
        if not alike:
            break
        numbers[count] = number - 1
        begins[count] = begin + PREFIX
        begin += PREFIX + length
        count += 1
    return count


@njit(nogil=True, cache=True)
def _same(memory: Array, at: int, wanted: Array) -> bool:
    for n in range(wanted.size):
        if memory[at + n] != wanted[n]:
            return False
    return True

"""Frames of stream v1 that came together and look alike: where their pixels lie, and how they are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from firstlight.core.arrays import Array, Ids
from firstlight.core.together import Together

from .intake import Messages
from .usual import Alike, alike, numbers_of
from .wire import BadMessage, Frame, Payload, decode_into, decode_pieces


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pixels of frames as they came, in one piece of memory."""

    like: Payload
    """What they look like; its own bytes are none."""
    memory: Array
    """Shape (bytes,), uint8."""
    begins: Ids
    """Where the pixels of each frame begin."""
    ends: Ids

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.begins)

    def part(self, begin: int, end: int) -> Pieces:
        """Some of them."""
        return Pieces(self.like, self.memory, self.begins[begin:end], self.ends[begin:end])

    def joined(self, other: Together) -> Pieces | None:
        """One for these and others in the same memory; None where they lie in another, or plain pixels not side by side."""
        if not isinstance(other, Pieces) or other.memory is not self.memory or other.like is not self.like:
            return None
        if not self.like.codec and other.begins[0] != self.ends[-1]:
            return None
        begins, ends = (np.concatenate(pair) for pair in ((self.begins, other.begins), (self.ends, other.ends)))
        return Pieces(self.like, self.memory, begins, ends)

    def ready(self) -> Array | None:
        """Plain pixels that lie side by side, uint8; None for all others."""
        like, whole = self.like, self.like.nbytes
        if like.codec or like.columns_first or not np.dtype(like.dtype).isnative:
            return None
        if (self.ends - self.begins != whole).any() or (np.diff(self.begins) != whole).any():
            return None
        return self.memory[self.begins[0] : self.ends[-1]]

    def decode(self, out: Array) -> list[str | None]:
        """Decode all in one call, outside the interpreter's lock, where their encoding allows; why each can not be, or None."""
        good = np.zeros(len(self), np.bool_)
        like = self.like
        if np.dtype(like.dtype).isnative and not like.columns_first:
            rows = out.reshape(len(self), -1).view(np.uint8)
            if like.codec == "bslz4":
                good = decode_pieces(self.memory, self.begins, self.ends, rows, like.shuffled)
            elif not like.codec:
                _copy(self.memory, self.begins, self.ends, rows, good)
        return [None if whole else self._alone(at, out[at]) for at, whole in enumerate(good.tolist())]

    def _alone(self, at: int, out: Array) -> str | None:
        data = self.memory[self.begins[at] : self.ends[at]].data
        try:
            decode_into(self.like._replace(data=data), out)
        except BadMessage as error:
            return str(error)
        return None


class Usual(NamedTuple):
    """What frames of one series look like, as far as they look alike."""

    frame: Alike
    """Their first two parts."""
    like: Payload
    """Their pixels; its own bytes are none."""

    def numbers(self, messages: Messages) -> Ids:
        """The number of each message that is such a frame, -1 for all others."""
        return numbers_of(messages.texts, messages.parts, messages.bounds, self.frame)

    def pieces(self, messages: Messages, begin: int, end: int) -> Pieces:
        """The pixels of some messages, all of which are such frames."""
        return Pieces(self.like, messages.pixels, *messages.pixels_of(begin, end))


def usual_of(parts: Sequence[memoryview], frame: Frame) -> Usual | None:
    """What frames must look like to be taken together with this one; None where each needs a look of its own.

    Args:
        parts: Its message.
        frame: What it says.
    """
    found = alike(parts)
    if found is None or frame.reason or len(frame.planes) != 1:
        return None
    return Usual(found, frame.planes[0]._replace(data=memoryview(b"")))


@njit(nogil=True, cache=True)
def _copy(memory: Array, begins: Ids, ends: Ids, rows: Array, good: Array) -> None:
    """Pixels that are not coded; a frame of another length is left out."""
    for at in range(begins.size):
        if ends[at] - begins[at] == rows.shape[1]:
            rows[at] = memory[begins[at] : ends[at]]
            good[at] = True

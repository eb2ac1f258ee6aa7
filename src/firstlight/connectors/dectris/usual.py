"""The two JSON parts of every frame of stream v1, read without a JSON parser where they look as detectors write them.

A parser takes 5 µs and more for the two. What does not match to the letter is left to the parser, so that nothing is read here that it
would read differently. Messages that came together are compared in one call of compiled code with one that was read before: they may
differ from it in the number of the frame, the text of its hash and the size of its blob alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from firstlight.core.arrays import Array, Ids

__all__ = ["Alike", "alike", "description_of", "image_of", "numbers_of"]

MOST_NUMBERS = 2**32
"""A detector counts its frames with 32 bits."""

_SPACE = rb"[ \t\r\n]*"
_WHOLE = rb"(?:0|[1-9][0-9]{0,17})"
_FRAME_PARTS = 3
_ZERO, _DIGITS = ord("0"), 10
_TEXT = rb'"[ !#-\[\]-~]*"'


def _pattern(*parts: bytes) -> re.Pattern[bytes]:
    """Tokens of JSON with any white space between them, and none in front: a message begins with its brace."""
    return re.compile(_SPACE.join(parts) + _SPACE)


_IMAGE = _pattern(
    *(rb"\{", rb'"htype"', rb":", rb'"dimage-1\.0"', rb","),
    *(rb'"series"', rb":", rb"(" + _WHOLE + rb")", rb","),
    *(rb'"frame"', rb":", rb"(" + _WHOLE + rb")"),
    *(rb"(?:,", rb'"hash"', rb":", rb"(" + _TEXT + rb"))?", rb"\}"),
)
# without braces or escapes before it, "size" is a key of the object itself
_SIZED = re.compile(rb'(\{[^{}\\]*,[ \t\r\n]*"size"[ \t\r\n]*:)[ \t\r\n]*' + _WHOLE + _SPACE + rb"\}" + _SPACE)


def image_of(part: memoryview) -> tuple[int, int] | None:
    """Series and number of a frame, if the part is a ``dimage-1.0`` with htype, series, frame and at most a hash, in this order."""
    found = _IMAGE.fullmatch(part)
    return None if found is None else (int(found[1]), int(found[2]))


def description_of(part: memoryview) -> bytes | None:
    """What a ``dimage_d-1.0`` says but for the size of the blob, if that comes last: equal where the pixels look alike."""
    found = _SIZED.fullmatch(part)
    return None if found is None else found[1]


class Alike(NamedTuple):
    """How frames begin that look like one that was read: bytes that do not change, uint8 each."""

    series: int
    head: Array
    """Of the first part, up to the number of the frame."""
    middle: Array
    """From there up to the text of the hash, or to the end."""
    tail: Array
    """What follows the hash; empty where there is none."""
    description: Array
    """Of the second part, up to the size of the blob."""


def alike(parts: Sequence[memoryview]) -> Alike | None:
    """What frames must look like that differ from this one in number, hash, size and pixels alone; None if it is not usual itself."""
    found = None if len(parts) < _FRAME_PARTS else _IMAGE.fullmatch(parts[0])
    description = None if found is None else description_of(parts[1])
    if found is None or description is None:
        return None
    first = bytes(parts[0])
    number, text = found.span(2), found.span(3)
    hashed = text[0] >= 0
    middle = first[number[1] : text[0] + 1] if hashed else first[number[1] :]
    tail = first[text[1] - 1 :] if hashed else b""
    pieces = (np.array(bytearray(each), np.uint8) for each in (first[: number[0]], middle, tail, description))
    return Alike(int(found[1]), *pieces)


def numbers_of(texts: Array, parts: Array, bounds: Ids, like: Alike) -> Ids:
    """The number of each frame that is like another, -1 for all other messages.

    Args:
        texts: Memory of the first two parts, uint8.
        parts: Where each part begins and ends there, (part, 2).
        bounds: Which part each message begins with, and the number of all parts at the end.
        like: What they must look like.

    Returns:
        One for each message, int64.
    """
    numbers = np.full(len(bounds) - 1, -1, np.int64)
    _numbers(texts, parts, bounds, like.head, like.middle, like.tail, like.description, numbers)
    return numbers


# ---- compiled -------------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def _numbers(
    texts: Array,
    parts: Array,
    bounds: Array,
    head: Array,
    middle: Array,
    tail: Array,
    description: Array,
    numbers: Array,
) -> None:
    for at in range(numbers.size):
        first = bounds[at]
        if bounds[at + 1] - first < _FRAME_PARTS:
            continue
        described = texts[parts[first + 1, 0] : parts[first + 1, 1]]
        if _starts(described, 0, description) and _ends_sized(described, description.size):
            numbers[at] = _number(texts[parts[first, 0] : parts[first, 1]], head, middle, tail)


@njit(nogil=True, cache=True)
def _number(text: Array, head: Array, middle: Array, tail: Array) -> int:
    """The number of the frame; -1 where the part differs in anything else than number and hash."""
    if not _starts(text, 0, head):
        return -1
    begin = head.size
    at = _after_digits(text, begin)
    if (
        at == begin
        or at - begin > _DIGITS
        or (at - begin > 1 and text[begin] == _ZERO)
        or not _starts(text, at, middle)
    ):
        return -1
    number = 0
    for digit in range(begin, at):
        number = 10 * number + int(text[digit]) - _ZERO
    at += middle.size
    if tail.size:
        # of a hash, what is no quote, no escape and no control character
        while at < text.size and 32 <= text[at] < 127 and text[at] != 34 and text[at] != 92:
            at += 1
    if at + tail.size != text.size or not _starts(text, at, tail) or number >= MOST_NUMBERS:
        return -1
    return number


@njit(nogil=True, cache=True)
def _starts(text: Array, at: int, wanted: Array) -> bool:
    if at + wanted.size > text.size:
        return False
    for n in range(wanted.size):
        if text[at + n] != wanted[n]:
            return False
    return True


@njit(nogil=True, cache=True)
def _after_digits(text: Array, at: int) -> int:
    while at < text.size and _ZERO <= text[at] <= _ZERO + 9:
        at += 1
    return at


@njit(nogil=True, cache=True)
def _after_space(text: Array, at: int) -> int:
    while at < text.size and (text[at] == 32 or text[at] == 9 or text[at] == 10 or text[at] == 13):
        at += 1
    return at


@njit(nogil=True, cache=True)
def _ends_sized(text: Array, at: int) -> bool:
    """True if a whole number and the brace that ends the object are all that follows."""
    begin = _after_space(text, at)
    end = _after_digits(text, begin)
    if end == begin or end - begin > 18 or (end - begin > 1 and text[begin] == _ZERO):
        return False
    end = _after_space(text, end)
    return end < text.size and text[end] == 125 and _after_space(text, end + 1) == text.size

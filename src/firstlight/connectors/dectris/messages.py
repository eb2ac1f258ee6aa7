"""Messages of a SIMPLON stream in a file, byte for byte: a sequence of CBOR arrays (RFC 8742), one byte string for each part.

Recordings of MAX IV's streams are laid out alike (``.cbors``).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path

from firstlight.core.errors import SourceError
from firstlight.core.tap import Arrived

from ..recorded.appended import AppendedFile

_BYTES, _ARRAY = 2, 4
"""Major types of CBOR."""
MOST_PARTS = 64


class MessagesFile(AppendedFile):
    """Writes every message that comes: headers, frames, ends, and what makes no sense."""

    def encode(self, arrived: Arrived) -> Sequence[bytes | memoryview]:
        """The message as an array of byte strings."""
        pieces: list[bytes | memoryview] = [_head(_ARRAY, len(arrived.parts))]
        for part in arrived.parts:
            pieces += [_head(_BYTES, len(part)), part]
        return pieces


def read_messages(path: Path) -> Iterator[list[memoryview]]:
    """The messages of a file, as views into it.

    Raises:
        SourceError: There is no such file, or it holds something else; a message that is cut off at its end is one, too.
    """
    path = path.expanduser()
    if not path.is_file() or path.stat().st_size == 0:
        raise SourceError(
            "There are no messages.", field="replay", value=str(path), expected="a file of messages (.cbors)"
        )
    with path.open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    yield from split_messages(data, str(path))


def split_messages(data: memoryview, name: str) -> Iterator[list[memoryview]]:
    """Messages out of bytes; arguments and errors as of `read_messages`."""
    at = 0
    while at < len(data):
        begin = at
        try:
            count, at = _length(data, at, _ARRAY, MOST_PARTS)
            parts: list[memoryview] = []
            for _ in range(count):
                size, at = _length(data, at, _BYTES, len(data))
                if at + size > len(data):
                    raise ValueError("it is cut off")
                parts.append(data[at : at + size])
                at += size
        except ValueError as error:
            raise SourceError(
                f"There is no message at byte {begin} of {name}: {error}.",
                field="replay",
                value=name,
                expected="CBOR arrays of byte strings, one after the other",
                next_move="Messages before it are whole.",
            ) from error
        yield parts


def _head(major: int, value: int) -> bytes:
    """First bytes of a CBOR item (RFC 8949, section 3)."""
    kind = major << 5
    if value < 24:
        return bytes([kind | value])
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << 8 * size:
            return bytes([kind | code]) + value.to_bytes(size, "big")
    raise ValueError(f"{value} byte are too many")


def _length(data: memoryview, at: int, major: int, most: int) -> tuple[int, int]:
    """Length of an item, and where its content begins.

    Raises:
        ValueError: It is of another kind, cut off, or impossibly long.
    """
    if at >= len(data):
        raise ValueError("it is cut off")
    first = data[at]
    if first >> 5 != major:
        raise ValueError("it is no array of byte strings")
    code = first & 31
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(code, 0)
    if (code > 23 and not size) or at + 1 + size > len(data):
        raise ValueError("its length can not be read")
    value = int.from_bytes(data[at + 1 : at + 1 + size], "big") if size else code
    if value > most:
        raise ValueError(f"its length {value} is impossible")
    return value, at + 1 + size

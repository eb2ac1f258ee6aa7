"""Reads CBOR (RFC 8949) as stream v2 uses it: byte strings are not copied, and nothing is believed beyond the message.

Tags: 0 (date and time as text), 40 and 1040 (array of several dimensions, RFC 8746), 64 to 87 (typed arrays, RFC 8746),
56500 (DECTRIS: a compressed byte string), 55799 (this is CBOR). Other tags are passed over and their content is kept.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from .wire import BadMessage, Payload, bounded

DEEPEST = 16
TYPED = {
    64: "u1", 65: ">u2", 66: ">u4", 67: ">u8", 68: "u1", 69: "<u2", 70: "<u4", 71: "<u8",
    72: "i1", 73: ">i2", 74: ">i4", 75: ">i8", 77: "<i2", 78: "<i4", 79: "<i8",
    80: ">f2", 81: ">f4", 82: ">f8", 84: "<f2", 85: "<f4", 86: "<f8",
}  # fmt: skip
"""Tag of a typed array to numpy's name; 76 is reserved, and 83 and 87 (128 bit) fit no type of numpy."""
_ROWS_FIRST, _COLUMNS_FIRST, _COMPRESSED = 40, 1040, 56500
_BREAK = object()
_SIMPLE = {20: False, 21: True, 22: None, 23: None}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_WIDTHS = {24: 1, 25: 2, 26: 4, 27: 8}


@dataclass(frozen=True, slots=True)
class Compressed:
    """Tag 56500: what a byte string becomes when it is decompressed."""

    codec: str
    itemsize: int
    data: memoryview

    def content_size(self) -> int:
        """Bytes of the content, as the HDF5 framing tells in its first 8 bytes."""
        if len(self.data) < 12:
            raise _bad("a compressed byte string is cut off")
        return int.from_bytes(self.data[:8], "big")


def read(message: memoryview) -> Any:
    """One item that fills the message.

    Returns:
        Numbers, text, None, lists and dicts; byte strings as memoryview, arrays as `Payload`.

    Raises:
        BadMessage: It is no CBOR, or not all of it.
    """
    reader = _Reader(message)
    found = reader.item(0)
    if found is _BREAK or reader.at != len(message):
        raise _bad("bytes are left over")
    return found


def _bad(why: str) -> BadMessage:
    return BadMessage(f"A CBOR message can not be read: {why}.", field="message")


class _Reader:
    def __init__(self, message: memoryview) -> None:
        self.message, self.at = message, 0

    def take(self, length: int) -> memoryview:
        end = self.at + length
        if end > len(self.message):
            raise _bad("it is cut off")
        part = self.message[self.at : end]
        self.at = end
        return part

    def item(self, depth: int) -> Any:
        if depth > DEEPEST:
            raise _bad(f"it is nested more than {DEEPEST} deep")
        head = self.take(1)[0]
        major, low = head >> 5, head & 31
        if major == 7:
            return self._simple(low)
        size = None if low == 31 and 2 <= major <= 5 else self._argument(low)
        if major <= 1:
            return self._number(major, size)
        if major <= 3:
            return self._string(major, size, depth)
        if major == 4:
            return self._list(size, depth)
        if major == 5:
            return self._dict(size, depth)
        return _tagged(self._number(0, size), self.item(depth + 1))

    def _argument(self, low: int) -> int:
        if low < 24:
            return low
        if low not in _WIDTHS:
            raise _bad("a length is malformed")
        return int.from_bytes(self.take(_WIDTHS[low]), "big")

    def _number(self, major: int, size: int | None) -> int:
        if size is None:
            raise _bad("a number is malformed")
        return -1 - size if major else size

    def _simple(self, low: int) -> Any:
        if low == 31:
            return _BREAK
        if low in _FLOATS:
            return struct.unpack(_FLOATS[low], self.take(_WIDTHS[low]))[0]
        return _SIMPLE.get(self._argument(low))

    def _string(self, major: int, size: int | None, depth: int) -> Any:
        if size is None:
            parts = self._list(None, depth)
            if not all(isinstance(part, str if major == 3 else memoryview) for part in parts):
                raise _bad("a string holds something else")
            return "".join(parts) if major == 3 else memoryview(b"".join(parts))
        part = self.take(size)
        if major == 2:
            return part
        try:
            return str(part, "utf-8")
        except UnicodeDecodeError as error:
            raise _bad("a text is no UTF-8") from error

    def _list(self, size: int | None, depth: int) -> list[Any]:
        found: list[Any] = []
        # every item takes a byte at least, so a list is never longer than the message
        while size is None or len(found) < size:
            value = self.item(depth + 1)
            if value is _BREAK:
                if size is None:
                    return found
                raise _bad("a list ends too early")
            found.append(value)
        return found

    def _dict(self, size: int | None, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        read = 0
        while size is None or read < size:
            key = self.item(depth + 1)
            if key is _BREAK and size is None:
                return found
            if not isinstance(key, str | int):
                raise _bad("a map has a key that is neither text nor number")
            value = self.item(depth + 1)
            if value is _BREAK:
                raise _bad("a map ends too early")
            found[key] = value
            read += 1
        return found


def _tagged(tag: int, content: Any) -> Any:
    if content is _BREAK:
        raise _bad("a tag has no content")
    if tag in TYPED:
        return _typed(TYPED[tag], content)
    if tag in (_ROWS_FIRST, _COLUMNS_FIRST):
        return _dimensions(content, columns_first=tag == _COLUMNS_FIRST)
    if tag == _COMPRESSED:
        return _compressed(content)
    return content


def _compressed(content: Any) -> Compressed:
    good = isinstance(content, list) and len(content) == 3 and isinstance(content[2], memoryview)
    if not good or content[0] not in ("bslz4", "lz4") or content[1] not in (0, 1, 2, 4, 8):
        raise _bad("a compressed byte string is none of bslz4 and lz4")
    if content[0] == "bslz4" and content[1] == 0:
        raise _bad("a shuffled byte string has items of no size")
    return Compressed(content[0], content[1], content[2])


def _typed(dtype: str, content: Any) -> Payload:
    """A flat array; its length follows from the bytes."""
    itemsize = np.dtype(dtype).itemsize
    if isinstance(content, Compressed):
        items, rest = divmod(content.content_size(), itemsize)
        payload = Payload((items,), dtype, content.codec, content.itemsize, content.data)
    elif isinstance(content, memoryview):
        items, rest = divmod(len(content), itemsize)
        payload = Payload((items,), dtype, "", itemsize, content)
    else:
        raise _bad("a typed array holds no bytes")
    if rest:
        raise _bad("a typed array holds part of an item")
    return payload


def _dimensions(content: Any, *, columns_first: bool) -> Payload:
    good = isinstance(content, list) and len(content) == 2 and isinstance(content[0], list)
    if not good or not isinstance(content[1], Payload) or len(content[0]) not in (2, 3):
        raise _bad("an array of several dimensions is malformed")
    flat: Payload = content[1]
    shape = Payload(tuple(content[0]), flat.dtype, flat.codec, flat.shuffled, flat.data, columns_first)
    if bounded(shape).nbytes != flat.shape[0] * np.dtype(flat.dtype).itemsize:
        raise BadMessage(
            "A frame is cut off or too long.", field="shape", value=shape.shape, expected=f"{flat.shape[0]} pixels"
        )
    return shape

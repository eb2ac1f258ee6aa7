"""Numbers in the tags of a Gatan file (``.gtg``, laid out like ``.dm3`` or ``.dm4``).

Tags are a tree: a group has named tags, and groups. Only single numbers are read; text, lists and images are passed over.
"""

from __future__ import annotations

import struct

_MARK = b"%%%%"
_GROUP, _VALUE = 20, 21
_STRUCT, _TEXT, _LIST = 15, 18, 20
_NUMBERS = {2: "h", 3: "i", 4: "H", 5: "I", 6: "f", 7: "d", 8: "B", 9: "b", 10: "B", 11: "q", 12: "Q"}
_DEEPEST = 64


class _Reader:
    """Walks through the tags; every step goes forward, so that it ends."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.found = data, 0, dict[str, float]()
        self.version = self.number("i")
        if self.version not in (3, 4):
            raise ValueError(f"it is of version {self.version}, not 3 or 4")
        self.wide = "i" if self.version == 3 else "q"
        self.number(self.wide)
        self.order = "<" if self.number("i") == 1 else ">"

    def number(self, kind: str, order: str = ">") -> int:
        """The next number."""
        try:
            value = struct.unpack_from(order + kind, self.data, self.at)[0]
        except struct.error as error:
            raise ValueError(f"it ends after {len(self.data)} byte") from error
        self.at += struct.calcsize(order + kind)
        return value

    def skip(self, count: int) -> None:
        """Go on by some bytes."""
        if count < 0 or self.at + count > len(self.data):
            raise ValueError(f"a tag has {count} byte, and the file {len(self.data)}")
        self.at += count

    def group(self, name: str, depth: int = 0) -> None:
        """Read a group with all that is in it."""
        if depth > _DEEPEST:
            raise ValueError(f"its groups are more than {_DEEPEST} deep")
        self.skip(2)
        for _ in range(self.number(self.wide)):
            kind, length = self.number("B"), self.number("H")
            begin = self.at
            self.skip(length)
            path = f"{name}.{self.data[begin : self.at].decode('latin-1')}".lstrip(".")
            if self.version == 4:
                self.skip(8)
            if kind == _GROUP:
                self.group(path, depth + 1)
            elif kind == _VALUE:
                self.value(path)
            else:
                raise ValueError(f"the tag {path!r} is of kind {kind}")

    def value(self, path: str) -> None:
        """Read a value, or pass over it."""
        if self.data[self.at : self.at + 4] != _MARK:
            raise ValueError(f"the tag {path!r} has no value")
        self.skip(4)
        count = self.number(self.wide)
        size = struct.calcsize(self.wide)
        begin = self.at
        self.skip(count * size)
        told = [each[0] for each in struct.iter_unpack(">" + self.wide, self.data[begin : self.at])]
        if told and told[0] in _NUMBERS:
            self.found[path] = self.number(_NUMBERS[told[0]], self.order)
        else:
            self.skip(_bytes(told))


def _bytes(told: list[int]) -> int:
    """Length of a value that is none of the single numbers."""
    if len(told) > 2 and told[0] == _LIST != told[1]:
        return told[-1] * _bytes(told[1:-1])
    if len(told) == 2 and told[0] == _TEXT:
        return 2 * told[1]
    if len(told) > 2 and told[0] == _STRUCT:
        return sum(_bytes([kind]) for kind in told[4::2])
    if len(told) == 1 and told[0] in _NUMBERS:
        return struct.calcsize("<" + _NUMBERS[told[0]])
    raise ValueError(f"a tag is described by {told[:4]}")


def read_numbers(data: bytes) -> dict[str, float]:
    """The single numbers of a file, by the names of their groups and their own, with dots between.

    Raises:
        ValueError: It is no such file, or it is damaged.
    """
    reader = _Reader(data)
    reader.group("")
    return reader.found

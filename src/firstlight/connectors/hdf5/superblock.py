"""What a killed writer leaves in a file's first block: an end that is out of date, and in SWMR mode a mark.

HDF5 writes the end of the file last of all, and takes what lies beyond it for no part of the file. It refuses to open a
marked file for writing until the mark is gone (its tool ``h5clear -s`` does the same). The mark is
one byte of the superblock, which a checksum guards: Bob Jenkins' lookup3 over all bytes before it (HDF5 File Format
Specification 3.0, sections II.A and VII).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_VERSIONS = (2, 3)
"""Of the superblock: older ones have no such mark."""
_FLAGS = 11
"""Place of the byte; bit 0: open for writing, bit 2: in SWMR mode."""
_ADDRESSES = 4
"""Addresses between the flags and the checksum."""
_END = {0: 40, 1: 44, 2: 28, 3: 28}
"""Place of the address of the end, by version, where an address has 8 byte."""
_WIDTH = {0: 13, 1: 13, 2: 9, 3: 9}
"""Place of the number of byte of an address."""
_WORD = 0xFFFFFFFF


def ends_early(path: Path) -> bool:
    """Tell whether a file is longer than it says: its writer was killed, or is at work.

    A file that does not begin with a superblock, or not at address 0, says nothing.

    Raises:
        OSError: It can not be read.
    """
    with path.open("rb") as file:
        head = file.read(64)
        length = os.fstat(file.fileno()).st_size
    if len(head) < 64 or not head.startswith(_SIGNATURE) or head[8] not in _END or head[_WIDTH[head[8]]] != 8:
        return False
    place = _END[head[8]]
    base, end = (struct.unpack_from("<Q", head, at)[0] for at in (place - 16, place))
    return base == 0 and end < length


def clear_writer_mark(path: Path) -> bool:
    """Take the mark of a writer out of a file that no process has open any more; whether there was one.

    Raises:
        OSError: The file can not be read or written.
    """
    with path.open("r+b") as file:
        head = bytearray(file.read(12 + 8 * _ADDRESSES + 4))
        if len(head) < 48 or not head.startswith(_SIGNATURE) or head[8] not in _VERSIONS or head[9] not in (2, 4, 8):
            return False
        length = 12 + _ADDRESSES * head[9]
        (checksum,) = struct.unpack_from("<I", head, length)
        if not head[_FLAGS] or checksum != lookup3(bytes(head[:length])):
            return False
        head[_FLAGS] = 0
        struct.pack_into("<I", head, length, lookup3(bytes(head[:length])))
        file.seek(0)
        file.write(head[: length + 4])
        file.flush()
        os.fsync(file.fileno())
    return True


def lookup3(text: bytes) -> int:
    """Checksum of HDF5's metadata: Jenkins' lookup3 (2006), little-endian, starting from 0."""
    a = b = c = (0xDEADBEEF + len(text)) & _WORD
    last = max(0, len(text) - 1) // 12 * 12
    for place in range(0, last, 12):
        x, y, z = struct.unpack_from("<III", text, place)
        a, b, c = _mixed((a + x) & _WORD, (b + y) & _WORD, (c + z) & _WORD)
    if not text:
        return c
    x, y, z = struct.unpack("<III", text[last:].ljust(12, b"\0"))
    return _final((a + x) & _WORD, (b + y) & _WORD, (c + z) & _WORD)


def _turned(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _WORD


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    """One round over twelve bytes; the three words take turns in one role."""
    for bits in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & _WORD) ^ _turned(c, bits)
        a, b, c = b, (c + b) & _WORD, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    """The last round."""
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _turned(b, bits)) & _WORD
        a, b, c = b, c, a
    return b

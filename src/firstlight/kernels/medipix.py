"""Raw counters of Medipix3 chips, as Merlin reads them out, to pixels.

Pixels come in groups of 8 bytes whose order is reversed: 64 pixels of 1 bit, 8 of 6 bits (one byte each), 4 of 12 bits (two
bytes each, big-endian). 24 bits are two images of 12 bits, the most significant first. Four chips stand side by side in a
row, the last one first: [4 | 3 | 2 | 1]. Chips 1 and 2 are the upper half of the image; 3 and 4, turned by 180°, the lower.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]
CHIP = 256
"""Pixels along each side of a chip."""
BYTES = {1: 1 / 8, 6: 1.0, 12: 2.0, 24: 4.0}
"""Bytes per pixel for each depth of the counter."""


@njit(nogil=True, cache=True)
def unpack_1(packed: Array, out: Array) -> None:
    """Single bits: pixel i of a group is bit i of its 64-bit number.

    Args:
        packed: Shape (pixels / 8,), uint8.
        out: Shape (pixels,), any integer type.
    """
    for group in range(out.size // 64):
        for byte in range(8):
            value = packed[8 * group + 7 - byte]
            for bit in range(8):
                out[64 * group + 8 * byte + bit] = (value >> bit) & 1


@njit(nogil=True, cache=True)
def unpack_6(packed: Array, out: Array) -> None:
    """One byte a pixel, reversed within groups of 8; shapes (pixels,)."""
    for group in range(out.size // 8):
        for at in range(8):
            out[8 * group + at] = packed[8 * group + 7 - at]


@njit(nogil=True, cache=True)
def unpack_12(packed: Array, out: Array) -> None:
    """Two bytes a pixel, big-endian, reversed within groups of 4; shapes (2 * pixels,) and (pixels,)."""
    for group in range(out.size // 4):
        for at in range(4):
            place = 8 * group + 2 * (3 - at)
            out[4 * group + at] = (np.uint16(packed[place]) << 8) | packed[place + 1]


@njit(nogil=True, cache=True)
def unpack_24(packed: Array, out: Array) -> None:
    """Two images of 12 bits: (first << 12) + second; shapes (4 * pixels,) and (pixels,)."""
    half = packed.size // 2
    low = np.empty(out.size, np.uint32)
    unpack_12(packed[:half], out)
    unpack_12(packed[half:], low)
    for at in range(out.size):
        out[at] = (out[at] << 12) + low[at]


@njit(nogil=True, cache=True)
def arrange_quad(rows: Array, out: Array) -> None:
    """Put four chips that stand side by side where they belong.

    Args:
        rows: Shape (row, 4 * 256).
        out: Shape (2 * row + gap, 2 * 256 + gap); the gap between the chips becomes 0.
    """
    height = rows.shape[0]
    gap = out.shape[1] - 2 * CHIP
    out[:, CHIP : CHIP + gap] = 0
    out[height : out.shape[0] - height, :] = 0
    for row in range(height):
        below = out.shape[0] - 1 - row
        for col in range(CHIP):
            out[row, col] = rows[row, 3 * CHIP + col]
            out[row, CHIP + gap + col] = rows[row, 2 * CHIP + col]
            out[below, col] = rows[row, 2 * CHIP - 1 - col]
            out[below, CHIP + gap + col] = rows[row, CHIP - 1 - col]


def unpack(packed: Array, depth: int, chips: int, out: Array) -> None:
    """Raw counters of one chip or of four to an image.

    Args:
        packed: The bytes after the frame's header, uint8.
        depth: Bits of the counter: 1, 6, 12 or 24.
        chips: 1 or 4.
        out: (row, 256) for one chip; (2 * row [+ gap], 512 [+ gap]) for four.

    Raises:
        ValueError: The depth or the number of chips is none of these, or the bytes are too few or too many.
    """
    if depth not in BYTES or chips not in (1, 4):
        raise ValueError(f"raw frames of {chips} chips with {depth} bit can not be read")
    pixels = int(packed.size / BYTES[depth])
    rows = pixels // (chips * CHIP)
    image = out.shape if chips == 1 else ((out.shape[0] - out.shape[1] % CHIP) // 2, 4 * CHIP)
    if (rows, chips * CHIP) != image or rows * chips * CHIP * BYTES[depth] != packed.size:
        raise ValueError(f"{packed.size} byte are no raw frame of {out.shape} with {depth} bit")
    flat = out if chips == 1 else np.empty(image, out.dtype)
    {1: unpack_1, 6: unpack_6, 12: unpack_12, 24: unpack_24}[depth](packed, flat.reshape(-1))
    if chips == 4:
        arrange_quad(flat, out)

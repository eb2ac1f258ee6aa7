"""Frames of Medipix3 chips, as Merlin sends them, to pixels: processed ones (big-endian) and raw counters.

Frames lie at some places of one piece of memory, as they were received, and are decoded in one call outside the interpreter's lock.

Raw pixels come in groups of 8 bytes whose order is reversed: 64 pixels of 1 bit, 8 of 6 bits (one byte each), 4 of 12 bits (two
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


@njit(nogil=True, cache=True, error_model="numpy")
def _read_1(memory: Array, begins: Array, out: Array) -> None:
    for n in range(begins.size):
        for at in range(out.shape[1]):
            out[n, at] = memory[begins[n] + at]


@njit(nogil=True, cache=True, error_model="numpy")
def _read_2(memory: Array, begins: Array, out: Array) -> None:
    for n in range(begins.size):
        here, row = memory[begins[n] : begins[n] + 2 * out.shape[1]], out[n]
        for at in range(row.size):
            row[at] = (np.uint16(here[2 * at]) << np.uint16(8)) | np.uint16(here[2 * at + 1])


@njit(nogil=True, cache=True, error_model="numpy")
def _read_wide(memory: Array, begins: Array, out: Array) -> None:
    width = out.itemsize
    for n in range(begins.size):
        for at in range(out.shape[1]):
            value = np.uint64(0)
            for byte in range(begins[n] + width * at, begins[n] + width * (at + 1)):
                value = (value << np.uint64(8)) | np.uint64(memory[byte])
            out[n, at] = value


def read_pixels(memory: Array, begins: Array, out: Array) -> None:
    """Processed frames: unsigned integers, big-endian.

    Args:
        memory: Shape (bytes,), uint8.
        begins: Where the pixels of each frame begin, int64.
        out: Shape (frame, row, col), in the machine's byte order.

    Raises:
        ValueError: A frame would begin or end outside the memory.
    """
    flat = out.reshape(len(out), -1)
    _within(memory, begins, flat.shape[1] * out.itemsize)
    {1: _read_1, 2: _read_2}.get(out.itemsize, _read_wide)(memory, begins, flat)


def _within(memory: Array, begins: Array, nbytes: int) -> None:
    if len(begins) and (begins.min() < 0 or begins.max() + nbytes > memory.size):
        raise ValueError(
            f"frames of {nbytes} byte at {begins.min()} to {begins.max()} do not lie in {memory.size} byte"
        )


@njit(nogil=True, cache=True)
def unpack_1(packed: Array, out: Array) -> None:
    """Single bits: pixel i of a group is bit i of its 64-bit number.

    Args:
        packed: Shape (pixels / 8,), uint8.
        out: Shape (pixels,), any integer type.
    """
    for group in range(out.size // 64):
        # the number as a whole: twice as fast as byte by byte, and of 16-bit pixels that takes 11 s to compile
        bits = np.uint64(0)
        for byte in range(8):
            bits = (bits << np.uint64(8)) | np.uint64(packed[8 * group + byte])
        for at in range(64):
            out[64 * group + at] = (bits >> np.uint64(at)) & np.uint64(1)


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


@njit(nogil=True, cache=True)
def _unpack_frames(memory: Array, begins: Array, nbytes: int, depth: int, lines: Array, out: Array) -> None:
    """Raw frames; `lines` is (row, 4 * 256) of scratch memory for four chips, and empty for one."""
    for n in range(begins.size):
        packed = memory[begins[n] : begins[n] + nbytes]
        flat = lines.reshape(-1) if lines.size else out[n].reshape(-1)
        if depth == 1:
            unpack_1(packed, flat)
        elif depth == 6:
            unpack_6(packed, flat)
        elif depth == 12:
            unpack_12(packed, flat)
        else:
            unpack_24(packed, flat)
        if lines.size:
            arrange_quad(lines, out[n])


def unpack(memory: Array, begins: Array, nbytes: int, depth: int, chips: int, out: Array) -> None:
    """Raw frames: counters of one chip or of four.

    Args:
        memory: Shape (bytes,), uint8.
        begins: Where the counters of each frame begin, int64.
        nbytes: Bytes of the counters of a frame.
        depth: Bits of the counter: 1, 6, 12 or 24.
        chips: 1 or 4.
        out: (frame, row, 256) for one chip; (frame, 2 * row [+ gap], 512 [+ gap]) for four.

    Raises:
        ValueError: The depth or the number of chips is none of these, or the bytes are too few or too many.
    """
    if depth not in BYTES or chips not in (1, 4):
        raise ValueError(f"raw frames of {chips} chips with {depth} bit can not be read")
    height, width = out.shape[1:]
    rows = int(nbytes / BYTES[depth]) // (chips * CHIP)
    image = (height, width) if chips == 1 else ((height - width % CHIP) // 2, 4 * CHIP)
    if (rows, chips * CHIP) != image or rows * chips * CHIP * BYTES[depth] != nbytes:
        raise ValueError(f"{nbytes} byte are no raw frame of {(height, width)} with {depth} bit")
    _within(memory, begins, nbytes)
    lines = np.empty((0 if chips == 1 else rows, chips * CHIP), out.dtype)
    _unpack_frames(memory, begins, nbytes, depth, lines, out)

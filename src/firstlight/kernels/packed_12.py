"""Values of 12 bits, two in three bytes, to pixels: the least significant bits first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]


@njit(nogil=True, cache=True, error_model="numpy")
def unpack_blocks(packed: Array, rows: Array, cols: Array, width: int, out: Array) -> None:
    """Unpack blocks to their places in a frame; nothing is checked.

    Args:
        packed: Shape (block, bytes), uint8: each block's lines one after the other.
        rows: (block,) row of the upper left pixel of each.
        cols: (block,) column of it.
        width: Pixels of a block's line; even.
        out: Shape (row, col), uint16.
    """
    for block in range(packed.shape[0]):
        here = packed[block]
        for row in range(here.size * 2 // 3 // width):
            line = out[rows[block] + row, cols[block] : cols[block] + width]
            at = row * width * 3 // 2
            for pair in range(width // 2):
                middle = np.uint16(here[at + 1])
                line[2 * pair] = np.uint16(here[at]) | ((middle & np.uint16(15)) << np.uint16(8))
                line[2 * pair + 1] = (middle >> np.uint16(4)) | (np.uint16(here[at + 2]) << np.uint16(4))
                at += 3

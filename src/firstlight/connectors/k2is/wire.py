"""Blocks of a Gatan K2 IS recording: a head of 40 byte (big-endian) and 16 x 930 pixels of 12 bits (little-endian).

Each of the eight files holds one sector of the camera, 256 columns wide: 32 blocks for a frame, from right to left, the upper 16
first. Every block of a sector has a number, one more than the block before; blocks of the same moment have the same in all sectors.

Source: the reader of LiberTEM (doi:10.5281/zenodo.1477847), in which the format is described.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.kernels.packed_12 import unpack_blocks

SECTORS = 8
BLOCKS = 32
"""Of a frame in each sector."""
WIDTH, HEIGHT = 256, 1860
"""Pixels of a sector."""
COLS, ROWS = 16, 930
"""Pixels of a block."""
SYNC = 0xFFFF0055
SIZE = 0x5758
"""Bytes of a block with its head."""
SHUTTER = 1
"""Flag: the camera was exposed as part of the scan."""
HEADER: Any = np.dtype(
    [
        ("sync", ">u4"),
        ("free1", "V4"),
        ("version", "u1"),
        ("flags", "u1"),
        ("free2", "V6"),
        ("count", ">u4"),
        ("width", ">u2"),
        ("height", ">u2"),
        ("frame", ">u4"),
        ("x_first", ">u2"),
        ("y_first", ">u2"),
        ("x_last", ">u2"),
        ("y_last", ">u2"),
        ("size", ">u4"),
    ]
)
BLOCK: Any = np.dtype([("head", HEADER), ("packed", "u1", (SIZE - HEADER.itemsize,))])
LEFT = np.tile(np.arange(BLOCKS // 2)[::-1] * COLS, 2)
"""(block,) First column of each block of a frame, within its sector."""
TOP = np.repeat([0, ROWS], BLOCKS // 2)
"""(block,) First row of each block of a frame."""


def encode_frame(pixels: Array, frame: int, count: int, shutter: bool = True) -> list[Array]:
    """The blocks of a frame, for each sector: (block,) of `BLOCK`.

    Args:
        pixels: Shape (1860, 2048), below 4096.
        frame: Its number.
        count: Number of its first block in each sector.
        shutter: Whether the flag is set.
    """
    made: list[Array] = []
    for sector in range(SECTORS):
        blocks: Any = np.zeros(BLOCKS, BLOCK)
        head = blocks["head"]
        head["sync"], head["version"], head["flags"], head["size"] = SYNC, 1, SHUTTER * shutter, SIZE
        head["width"], head["height"], head["frame"] = WIDTH, HEIGHT, frame
        head["count"] = count + np.arange(BLOCKS)
        head["x_first"], head["x_last"] = LEFT, LEFT + COLS - 1
        head["y_first"], head["y_last"] = TOP, TOP + ROWS - 1
        for block, x, y in zip(blocks, LEFT + WIDTH * sector, TOP, strict=True):
            pairs = pixels[y : y + ROWS, x : x + COLS].astype(np.uint16).reshape(-1, 2)
            low, high = pairs[:, 0], pairs[:, 1]
            packed = np.stack([low & 0xFF, low >> 8 | (high & 15) << 4, high >> 4], axis=1)
            block["packed"] = packed.astype(np.uint8).ravel()
        made.append(blocks)
    return made


def place(head: Any) -> int:
    """Which block of its frame one is: 0 to 31.

    Raises:
        ValueError: It is no head of a block, or it tells what can not be.
    """
    if (int(head["sync"]), int(head["size"])) != (SYNC, SIZE):
        raise ValueError(f"it begins with {int(head['sync']):#x} and tells {int(head['size'])} byte")
    if (int(head["width"]), int(head["height"])) != (WIDTH, HEIGHT):
        raise ValueError(f"it tells a sector of {head['width']} x {head['height']} pixels, not {WIDTH} x {HEIGHT}")
    x, y = int(head["x_first"]), int(head["y_first"])
    if x % COLS or y % ROWS or x >= WIDTH or y >= HEIGHT:
        raise ValueError(f"it tells a block at column {x}, row {y} of its sector")
    return WIDTH // COLS * (y // ROWS) + (WIDTH - COLS - x) // COLS


def decode_frame(blocks: Array, count: int, out: Array) -> None:
    """Decode what one sector has of a frame, outside the interpreter's lock.

    Args:
        blocks: (block,) of `BLOCK`, all of a frame.
        count: Number that the first has to have.
        out: Shape (1860, 256), uint16.

    Raises:
        ValueError: A block is not the one that has to be there.
    """
    head = np.asarray(blocks["head"])
    good = (head["sync"] == SYNC) & (head["size"] == SIZE) & (head["count"] == count + np.arange(BLOCKS))
    good &= (head["x_first"] == LEFT) & (head["y_first"] == TOP) & (head["frame"] == head["frame"][0])
    if not good.all():
        raise ValueError(f"block {count + int(np.argmin(good))} has a damaged head")
    unpack_blocks(np.asarray(blocks["packed"]), TOP, LEFT, COLS, out)

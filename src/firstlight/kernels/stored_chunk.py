"""Compressed frames of a detector as storage chunks of HDF5: the same compressed bytes, with the head that its filters ask for."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from .decompress import HIGHEST_RATIO, BrokenStream, _layout, _walk, decode_lz4

BSLZ4_FILTER, LZ4_FILTER = 32008, 32004
"""Numbers of the filters, as The HDF Group registered them."""
_HEAD = struct.Struct(">QI")
"""Size of the content and of a block of it, in byte."""
_SMALL = 4096


def bslz4_chunk(stream: Any, nbytes: int, itemsize: int) -> Any:
    """A bitshuffled LZ4 stream, with or without its head, as a chunk of filter 32008.

    The lengths of all blocks are walked; what they hold is not decoded.

    Args:
        stream: The compressed bytes.
        nbytes: Size of the content.
        itemsize: Size in byte of the items whose bits were shuffled.

    Returns:
        The stream itself where it has its head, otherwise a copy with one.

    Raises:
        BrokenStream: It is not as long as its blocks say, or tells an impossible size.
    """
    source = np.frombuffer(stream, np.uint8)
    if not source.size or nbytes > HIGHEST_RATIO * source.size + _SMALL:
        raise BrokenStream(f"{source.size} byte can not hold {nbytes}")
    block, start = _layout(source, nbytes, itemsize)
    if block <= 0 or _walk(source[start:], nbytes // itemsize, itemsize, block) != source.size - start:
        raise BrokenStream("a block is cut off, or bytes are left over")
    head = _HEAD.pack(nbytes, block * itemsize)
    return stream if start and bytes(source[:start]) == head else head + bytes(source[start:])


def lz4_chunk(stream: Any, nbytes: int) -> Any:
    """An LZ4 block, or framed LZ4 stream, as a chunk of filter 32004. It is decoded once, for nothing else tells if it is whole.

    Args:
        stream: The compressed bytes.
        nbytes: Size of the content.

    Returns:
        The stream itself where it is framed, otherwise a copy with a frame of one block.

    Raises:
        BrokenStream: It does not decode to that size.
    """
    decode_lz4(stream, np.empty(nbytes, np.uint8))
    if len(stream) > _HEAD.size and _HEAD.unpack(bytes(stream[: _HEAD.size]))[0] == nbytes:
        return stream
    return _HEAD.pack(nbytes, nbytes) + struct.pack(">I", len(stream)) + bytes(stream)

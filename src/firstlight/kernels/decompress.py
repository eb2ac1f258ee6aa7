"""LZ4 and bitshuffled LZ4: compressed bytes to pixels in a given buffer, and back, outside the interpreter's lock.

Layouts: a bare LZ4 block; the framing of HDF5 filter 32004 (LZ4) and of filter 32008 (bitshuffle), whose 12-byte header
(8 bytes content size, 4 bytes block size, big-endian) may be absent or all zero. Streams come from outside: sizes are
checked before memory is taken, every block length is walked before the C code that trusts it runs, and nothing is ever
written past the output.

The C functions inside the bitshuffle library are called directly. Measured for 256 x 256 uint16 diffraction patterns on one
core (2026-11, AVX2): 33 µs or 4.0 GB/s a frame into a buffer that is used again; 37 µs with bitshuffle.decompress_lz4,
which makes a new array and keeps the lock; 48 µs with the copy inside hdf5plugin (SSE2 only); 130 to 270 µs with LZ4 and
bit transposition written in numba.
"""

from __future__ import annotations

import ctypes
import struct
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

HIGHEST_RATIO = 255
"""How many times smaller than its content an LZ4 stream can be at best; more is a lie told to make us take memory."""

_HEADER = 12
_LZ4_BLOCK = 1 << 20
_SMALL = 4096


class BrokenStream(ValueError):
    """Compressed bytes that do not decode to the size they must have."""


def default_block(itemsize: int) -> int:
    """Pixels per block where the stream does not say: 8 KiB, a multiple of 8, at least 128 (bitshuffle's own rule)."""
    return max(8192 // itemsize // 8 * 8, 128)


def decode_lz4(stream: Any, out: Array) -> None:
    """Decode one LZ4 block, or an LZ4 stream with the framing of HDF5 filter 32004.

    Args:
        stream: The compressed bytes (anything with the buffer protocol).
        out: Shape (bytes,), uint8, C-contiguous; filled completely, or an error is raised.

    Raises:
        BrokenStream: The bytes are broken, cut off, or of another size than `out`.
        ModuleNotFoundError: Neither bitshuffle nor lz4 is installed.
    """
    source = _bytes(stream, out)
    if _content_size(source) == out.nbytes:
        _decode_framed(source, out)
    else:
        _block(source, out)


def decode_lz4_framed(stream: Any, out: Array) -> None:
    """Decode an LZ4 stream that must have the framing of HDF5 filter 32004; arguments and errors as `decode_lz4`."""
    _decode_framed(_bytes(stream, out), out)


def decode_bslz4(stream: Any, out: Array, itemsize: int) -> None:
    """Decode a bitshuffled LZ4 stream, with or without the header of HDF5 filter 32008.

    A header that is all zero, as LiberTEM's simulator sends it, means the default block size.

    Args:
        stream: The compressed bytes.
        out: Shape (bytes,), uint8, C-contiguous; filled completely, or an error is raised.
        itemsize: Size in byte of the items whose bits were shuffled.

    Raises:
        BrokenStream: The bytes are broken, cut off, or of another size than `out`.
        ModuleNotFoundError: bitshuffle is not installed.
    """
    source = _bytes(stream, out)
    if out.nbytes % itemsize:
        raise BrokenStream(f"{out.nbytes} byte are no whole number of items of {itemsize} byte")
    block = default_block(itemsize)
    if (size := _content_size(source)) in (0, out.nbytes):
        told = int.from_bytes(source[8:_HEADER].tobytes(), "big")
        source = source[_HEADER:]
        if size or told:
            block = told // itemsize
            if block < 8 or block % 8:
                raise BrokenStream(f"the header tells an impossible block of {told} byte")
    pixels = out.nbytes // itemsize
    if _walk(source, pixels, itemsize, block) != source.nbytes:
        raise BrokenStream("a block is cut off, or bytes are left over")
    _unshuffle(source, out, pixels, itemsize, block)


def encode_lz4(pixels: Array, *, framed: bool = False) -> bytes:
    """Compress into one LZ4 block, or with the framing of HDF5 filter 32004.

    Raises:
        ModuleNotFoundError: lz4 is not installed.
    """
    import lz4.block as lz4

    raw = np.ascontiguousarray(pixels).tobytes()
    if not framed:
        return lz4.compress(raw, store_size=False)
    parts = [struct.pack(">QI", len(raw), _LZ4_BLOCK)]
    for start in range(0, len(raw), _LZ4_BLOCK):
        block = raw[start : start + _LZ4_BLOCK]
        packed = lz4.compress(block, store_size=False)
        stored = packed if len(packed) < len(block) else block
        parts += [struct.pack(">I", len(stored)), stored]
    return b"".join(parts)


def encode_bslz4(pixels: Array, *, framed: bool = False) -> bytes:
    """Compress as bitshuffled LZ4, with the header of HDF5 filter 32008 if `framed`.

    Raises:
        ModuleNotFoundError: bitshuffle is not installed.
    """
    import bitshuffle

    flat = np.ascontiguousarray(pixels).reshape(-1)
    packed = bitshuffle.compress_lz4(flat.view(f"u{flat.itemsize}"), 0).tobytes()
    return struct.pack(">QI", flat.nbytes, default_block(flat.itemsize) * flat.itemsize) + packed if framed else packed


# ---- within ---------------------------------------------------------------------------------------------------------


def _bytes(stream: Any, out: Array) -> Array:
    """The stream as an array, once it can possibly hold as much as `out`."""
    size = memoryview(stream).nbytes
    if size == 0 or out.nbytes > HIGHEST_RATIO * size + _SMALL:
        raise BrokenStream(f"{size} byte can not hold {out.nbytes}")
    return np.frombuffer(stream, np.uint8)


def _content_size(source: Array) -> int | None:
    """What the first 8 bytes tell if they are a header: no block begins with a length that has so many zeros."""
    return int.from_bytes(source[:8].tobytes(), "big") if source.nbytes > _HEADER else None


def _decode_framed(source: Array, out: Array) -> None:
    """8 bytes total size, 4 bytes block size, then blocks: 4 bytes length and content (big-endian)."""
    if source.nbytes < _HEADER:
        raise BrokenStream("the header is cut off")
    total, block = struct.unpack(">QI", source[:_HEADER].tobytes())
    if total != out.nbytes or block == 0:
        raise BrokenStream(f"the header tells {total} byte in blocks of {block}; {out.nbytes} byte are expected")
    at, filled = _HEADER, 0
    while filled < total:
        size = min(block, total - filled)
        length = int.from_bytes(source[at : at + 4].tobytes(), "big")
        at += 4
        if length > source.nbytes - at or length == 0:
            raise BrokenStream("a block is cut off")
        part, stored = out[filled : filled + size], source[at : at + length]
        if length == size:  # a block that did not shrink is stored as it is
            part[:] = stored
        else:
            _block(stored, part)
        at += length
        filled += size


def _block(source: Array, out: Array) -> None:
    """Decode one LZ4 block that must fill `out`."""
    library = _library()
    if library is None:
        _block_without_library(source, out)
        return
    if max(source.nbytes, out.nbytes) >= 2**31:
        raise BrokenStream("one LZ4 block holds less than 2 GiB")
    got = library.LZ4_decompress_safe(
        ctypes.c_void_p(source.ctypes.data),
        ctypes.c_void_p(out.ctypes.data),
        ctypes.c_int(source.nbytes),
        ctypes.c_int(out.nbytes),
    )
    if got != out.nbytes:
        raise BrokenStream("the LZ4 block is broken" if got < 0 else f"it holds {got} of {out.nbytes} byte")


def _block_without_library(source: Array, out: Array) -> None:
    import lz4.block as lz4

    try:
        raw = lz4.decompress(source, uncompressed_size=out.nbytes)
    except (lz4.LZ4BlockError, ValueError, MemoryError, OverflowError) as error:
        raise BrokenStream(str(error)) from error
    if len(raw) != out.nbytes:
        raise BrokenStream(f"it holds {len(raw)} of {out.nbytes} byte")
    out[:] = np.frombuffer(raw, np.uint8)


def _unshuffle(source: Array, out: Array, pixels: int, itemsize: int, block: int) -> None:
    library = _library()
    if library is None:
        import bitshuffle

        try:
            out.view(f"u{itemsize}")[:] = bitshuffle.decompress_lz4(source, (pixels,), np.dtype(f"u{itemsize}"), block)
        except (RuntimeError, ValueError) as error:
            raise BrokenStream(str(error)) from error
        return
    got = library.bshuf_decompress_lz4(
        ctypes.c_void_p(source.ctypes.data),
        ctypes.c_void_p(out.ctypes.data),
        ctypes.c_size_t(pixels),
        ctypes.c_size_t(itemsize),
        ctypes.c_size_t(block),
    )
    if got != source.nbytes:
        raise BrokenStream("an LZ4 block is broken" if got < 0 else f"{got} of {source.nbytes} byte were used")


@cache
def _library() -> ctypes.CDLL | None:
    """The C functions inside the bitshuffle library; None where it does not export them (or is absent)."""
    try:
        found = import_module("bitshuffle.ext").__file__
    except ModuleNotFoundError:
        return None
    library = ctypes.CDLL(found)
    try:
        library.bshuf_decompress_lz4.restype = ctypes.c_int64
        library.LZ4_decompress_safe.restype = ctypes.c_int
    except AttributeError:
        return None
    return library


@njit(nogil=True, cache=True)
def _walk(source: Array, pixels: int, itemsize: int, block: int) -> int:
    """Length of the stream by its own block lengths; -1 where it is cut off."""
    blocks = pixels // block + (1 if pixels % block >= 8 else 0)
    at = 0
    for _ in range(blocks):
        if at + 4 > source.size:
            return -1
        length = 0
        for byte in range(4):
            length = length * 256 + np.int64(source[at + byte])
        at += 4 + length
        if length == 0 or at > source.size:
            return -1
    return int(at + pixels % 8 * itemsize)

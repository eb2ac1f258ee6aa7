"""LZ4 and bitshuffled LZ4: compressed bytes to pixels in a given buffer, and back, outside the interpreter's lock.

Layouts: a bare LZ4 block; the framing of HDF5 filter 32004 (LZ4) and of filter 32008 (bitshuffle), whose 12-byte header
(8 bytes content size, 4 bytes block size, big-endian) may be absent or all zero. Streams come from outside: sizes are
checked before memory is taken, every block length is walked before the C code that trusts it runs, and nothing is ever
written past the output.

LZ4 is decoded by the C function inside the bitshuffle (or lz4) library, called from compiled code without the interpreter; the bits
are put together by `bit_planes`. Measured for 256 x 256 uint16 diffraction patterns, time of one core with OpenMP kept to one thread
(2026-11): 29 to 32 µs a frame, 4.2 GB/s, into a buffer that is used again; 50 to 55 µs with the bitshuffle library's own bshuf_decompress_lz4, 43 to
49 µs with the copy inside hdf5plugin; LZ4 alone takes 15 µs.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from .bit_planes import join_planes

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
        ModuleNotFoundError: Neither bitshuffle nor lz4 is installed.
    """
    source = _bytes(stream, out)
    if _library() is None:
        _unpack_without_library(source, out, itemsize)
    elif (code := _unpack(source, out, itemsize)) <= 0:
        raise BrokenStream(_WHY[code])


def decode_bslz4_many(streams: Sequence[Any], out: Array, itemsize: int) -> NDArray[np.bool_]:
    """Decode many streams in one go: one release of the interpreter's lock, instead of several for each.

    Args:
        streams: The compressed bytes of each frame.
        out: Shape (frame, bytes), uint8, C-contiguous; one row for each stream.
        itemsize: Size in byte of the items whose bits were shuffled.

    Returns:
        Shape (frame,): True where the row was filled; elsewhere `decode_bslz4` tells why not.

    Raises:
        ModuleNotFoundError: Neither bitshuffle nor lz4 is installed.
    """
    joined = np.frombuffer(b"".join([*streams, bytes(_HEADER)]), np.uint8)
    lengths = np.array([memoryview(stream).nbytes for stream in streams], np.int64)
    ends = np.cumsum(lengths)
    return decode_bslz4_pieces(joined, ends - lengths, ends, out, itemsize)


def decode_bslz4_pieces(memory: Array, begins: Array, ends: Array, out: Array, itemsize: int) -> NDArray[np.bool_]:
    """Decode streams that lie at some places of one piece of memory, as `decode_bslz4_many`.

    Args:
        memory: Shape (bytes,), uint8.
        begins: Where each stream begins, int64.
        ends: Where it ends, int64; all within the memory.
        out: Shape (frame, bytes), uint8, C-contiguous; one row for each stream.
        itemsize: Size in byte of the items whose bits were shuffled.
    """
    good = np.zeros(len(begins), np.bool_)
    if _library() is not None:
        _unpack_many(memory, begins, ends, out, itemsize, HIGHEST_RATIO, good)
        return good
    for at, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        try:
            decode_bslz4(memory[begin:end], out[at], itemsize)
        except BrokenStream:
            continue
        good[at] = True
    return good


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


def _unpack_without_library(source: Array, out: Array, itemsize: int) -> None:
    """What `_unpack` does, for a library whose C functions can not be reached."""
    block, at = _layout(source, out.nbytes, itemsize)
    if block <= 0:
        raise BrokenStream(_WHY[block])
    pixels = out.nbytes // itemsize
    if _walk(source[at:], pixels, itemsize, block) != source.nbytes - at:
        raise BrokenStream(_WHY[-3])
    end = pixels // 8 * 8 * itemsize
    for begin in range(0, end, block * itemsize):
        part = out[begin : min(begin + block * itemsize, end)]
        length = int.from_bytes(source[at : at + 4].tobytes(), "big")
        planes, scratch = np.empty(part.nbytes, np.uint8), np.empty(part.nbytes, np.uint8)
        _block_without_library(source[at + 4 : at + 4 + length], planes)
        join_planes(planes, part, itemsize, scratch)
        at += 4 + length
    out[end:] = source[at:]


@cache
def _library() -> ctypes.CDLL | None:
    """The C functions of LZ4 inside one of the libraries that bring it; None where they do not export them (or are absent)."""
    for name in ("bitshuffle.ext", "lz4.block._block"):
        try:
            library = ctypes.CDLL(import_module(name).__file__)
            address = ctypes.cast(library.LZ4_decompress_safe, ctypes.c_void_p).value
        except (ModuleNotFoundError, AttributeError):
            continue
        library.LZ4_decompress_safe.restype = ctypes.c_int
        llvm.add_symbol(_SYMBOL, address)
        return library
    return None


# ---- compiled: these run outside the interpreter's lock -------------------------------------------------------------

_SYMBOL = "firstlight_LZ4_decompress_safe"
# int LZ4_decompress_safe(const char *in, char *out, int in_size, int out_size)
_lz4: Any = types.ExternalFunction(_SYMBOL, types.int32(types.intp, types.intp, types.int32, types.int32))
_WHY = {
    0: "an LZ4 block is broken",
    -1: "the content is no whole number of items",
    -2: "the header tells an impossible block size",
    -3: "a block is cut off, or bytes are left over",
    -4: "one LZ4 block holds less than 2 GiB",
}


@njit(nogil=True, cache=True)
def _big_endian(source: Array, start: int, count: int) -> int:
    value = 0
    for byte in range(count):
        value = value * 256 + int(source[start + byte])
    return value


@njit(nogil=True, cache=True)
def _layout(source: Array, nbytes: int, itemsize: int) -> tuple[int, int]:
    """Items per block (or what is wrong, as in `_WHY`), and where the blocks start."""
    if nbytes % itemsize:
        return -1, 0
    block = max(8192 // itemsize // 8 * 8, 128)
    if source.size <= _HEADER or source[0] > 127:
        return block, 0
    size, told = _big_endian(source, 0, 8), _big_endian(source, 8, 4)
    if size not in (0, nbytes):
        return block, 0
    if size or told:
        block = told // itemsize
        if block < 8 or block % 8:
            return -2, 0
    return block, _HEADER


@njit(nogil=True, cache=True)
def _walk(source: Array, pixels: int, itemsize: int, block: int) -> int:
    """Length of the stream by its own block lengths; -1 where it is cut off."""
    blocks = pixels // block + (1 if pixels % block >= 8 else 0)
    at = 0
    for _ in range(blocks):
        if at + 4 > source.size:
            return -1
        length = _big_endian(source, at, 4)
        at += 4 + length
        if length == 0 or at > source.size:
            return -1
    return at + pixels % 8 * itemsize


@njit(nogil=True, cache=True)
def _unpack(source: Array, out: Array, itemsize: int) -> int:
    """1 if `out` was filled, otherwise what is wrong, as in `_WHY`."""
    block, at = _layout(source, out.size, itemsize)
    if block <= 0:
        return block
    pixels = out.size // itemsize
    if _walk(source[at:], pixels, itemsize, block) != source.size - at:
        return -3
    end = pixels // 8 * 8 * itemsize
    longest = min(block * itemsize, end)
    planes, scratch = np.empty(longest, np.uint8), np.empty(longest, np.uint8)
    for begin in range(0, end, block * itemsize):
        size = min(block * itemsize, end - begin)
        length = _big_endian(source, at, 4)
        if max(length, size) >= 2**31:
            return -4
        if _lz4(source.ctypes.data + at + 4, planes.ctypes.data, np.int32(length), np.int32(size)) != size:
            return 0
        join_planes(planes[:size], out[begin : begin + size], itemsize, scratch[:size])
        at += 4 + length
    out[end:] = source[at:]
    return 1


@njit(nogil=True, cache=True)
def _unpack_many(memory: Array, begins: Array, ends: Array, out: Array, itemsize: int, ratio: int, good: Array) -> None:
    for at in range(ends.size):
        source = memory[begins[at] : ends[at]]
        if source.size > 0 and out.shape[1] <= ratio * source.size + _SMALL:
            good[at] = _unpack(source, out[at], itemsize) == 1

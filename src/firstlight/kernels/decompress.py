"""LZ4 and bitshuffled LZ4: compressed bytes to pixels in a given buffer, and back, outside the interpreter's lock.

Layouts: a bare LZ4 block; the framing of HDF5 filter 32004 (LZ4) and of filter 32008 (bitshuffle), whose 12-byte header
(8 bytes content size, 4 bytes block size, big-endian) may be absent or all zero. Streams come from outside: sizes are
checked before memory is taken, every block length is walked before the C code that trusts it runs, and nothing is ever
written past the output.

The C functions inside the bitshuffle library are called directly. Measured for 256 x 256 uint16 diffraction patterns, time of
one core with OpenMP kept to one thread (2026-11): 50 to 55 µs a frame, 2.5 GB/s, into a buffer that is used again; 55 to 58 µs
with bitshuffle.decompress_lz4, which makes a new array and keeps the interpreter's lock; 43 to 49 µs with the copy inside
hdf5plugin, which kernels may not import; 130 to 270 µs with LZ4 and bit transposition written in numba.
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
    block, start = _layout(source, out.nbytes, itemsize)
    if block <= 0:
        raise BrokenStream(_WHY[block])
    library = _library()
    if library is None:
        _unshuffle_without_library(source[start:], out, itemsize, block)
        return
    _alone(library)
    if (code := _unshuffle(source[start:], out, itemsize, block)) <= 0:
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
        ModuleNotFoundError: bitshuffle is not installed.
    """
    good = np.zeros(len(streams), np.bool_)
    library = _library()
    if library is None:
        for at, stream in enumerate(streams):
            try:
                decode_bslz4(stream, out[at], itemsize)
            except BrokenStream:
                continue
            good[at] = True
        return good
    _alone(library)
    joined = np.frombuffer(b"".join([*streams, bytes(_HEADER)]), np.uint8)
    ends = np.cumsum([memoryview(stream).nbytes for stream in streams])
    _unshuffle_many(joined, ends, out, itemsize, HIGHEST_RATIO, good)
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


def _unshuffle_without_library(source: Array, out: Array, itemsize: int, block: int) -> None:
    import bitshuffle

    pixels = out.nbytes // itemsize
    if _walk(source, pixels, itemsize, block) != source.nbytes:
        raise BrokenStream(_WHY[-3])
    try:
        out.view(f"u{itemsize}")[:] = bitshuffle.decompress_lz4(source, (pixels,), np.dtype(f"u{itemsize}"), block)
    except (RuntimeError, ValueError) as error:
        raise BrokenStream(str(error)) from error


@cache
def _library() -> ctypes.CDLL | None:
    """The C functions inside the bitshuffle library; None where it does not export them (or is absent)."""
    try:
        found = import_module("bitshuffle.ext").__file__
    except ModuleNotFoundError:
        return None
    library = ctypes.CDLL(found)
    try:
        address = ctypes.cast(library.bshuf_decompress_lz4, ctypes.c_void_p).value
        library.LZ4_decompress_safe.restype = ctypes.c_int
    except AttributeError:
        return None
    llvm.add_symbol(_SYMBOL, address)
    return library


def _alone(library: ctypes.CDLL) -> None:
    """Keep OpenMP, where the library was built with it, from starting threads: frames are many, and ours share them out."""
    setter = getattr(library, "omp_set_num_threads", None)
    if setter is not None:
        setter(1)  # holds for the calling thread


# ---- compiled: these run outside the interpreter's lock -------------------------------------------------------------

_SYMBOL = "firstlight_bshuf_decompress_lz4"
# int64_t bshuf_decompress_lz4(const void *in, void *out, size_t items, size_t itemsize, size_t block)
_bshuf: Any = types.ExternalFunction(
    _SYMBOL, types.int64(types.intp, types.intp, types.uintp, types.uintp, types.uintp)
)
_WHY = {
    0: "an LZ4 block is broken",
    -1: "the content is no whole number of items",
    -2: "the header tells an impossible block size",
    -3: "a block is cut off, or bytes are left over",
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
def _unshuffle(source: Array, out: Array, itemsize: int, block: int) -> int:
    """1 if `out` was filled, otherwise what is wrong, as in `_WHY`."""
    pixels = out.size // itemsize
    if _walk(source, pixels, itemsize, block) != source.size:
        return -3
    return 1 if _bshuf(source.ctypes.data, out.ctypes.data, pixels, itemsize, block) == source.size else 0


@njit(nogil=True, cache=True)
def _unshuffle_many(joined: Array, ends: Array, out: Array, itemsize: int, ratio: int, good: Array) -> None:
    begin = 0
    for at in range(ends.size):
        source = joined[begin : ends[at]]
        begin = ends[at]
        if source.size == 0 or out.shape[1] > ratio * source.size + _SMALL:
            continue
        block, start = _layout(source, out.shape[1], itemsize)
        if block > 0:
            good[at] = _unshuffle(source[start:], out[at], itemsize, block) == 1

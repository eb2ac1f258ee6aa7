"""The codecs of areaDetector's NDPluginCodec: bytes to pixels and back.

A frame comes from outside, so every decoder checks sizes before it takes memory and never writes past its output.
Layouts (areaDetector, NDPluginCodec): ``lz4`` one LZ4 block; ``lz4hdf5`` the framing of HDF5 filter 32004; ``bslz4``
bitshuffled LZ4 blocks without the 12-byte header of HDF5 filter 32008; ``blosc`` Blosc 1; ``zlib`` one zlib stream.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError, MissingExtra

Bytes = memoryview

HIGHEST_RATIO = {"lz4": 255, "lz4hdf5": 255, "bslz4": 255, "zlib": 1032}
"""How many times smaller than its content a stream can be at best; more is a lie told to make us take memory."""

_LZ4_BLOCK = 1 << 20
_SMALL = 4096


class BadPayload(FirstlightError, ValueError):
    """Compressed bytes that do not decode to the frame they claim to be."""


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        raise MissingExtra(name, "epics", "Decoding compressed frames") from missing


def _bad(codec: str, why: str, found: Any = None, expected: str | None = None) -> BadPayload:
    return BadPayload(
        f"A frame compressed with {codec} can not be decoded: {why}.",
        field="codec",
        value=found,
        expected=expected,
        next_move="If every frame fails, set the codec plugin's Compressor to None or to another codec.",
    )


def check_ratio(codec: str, compressed: int, size: int) -> None:
    """Refuse a stream that can not possibly hold so much.

    Args:
        codec: Name of the codec.
        compressed: Length of the stream in byte.
        size: Claimed size of the content in byte.

    Raises:
        BadPayload: The claimed size is impossible.
    """
    ratio = HIGHEST_RATIO.get(codec)
    if ratio is not None and size > ratio * compressed + _SMALL:
        raise _bad(codec, f"{compressed} byte can not hold {size}", size, f"at most {ratio} times the stream")


def decode(codec: str, payload: Bytes, out: Array, itemsize: int) -> None:
    """Decode one frame into a given buffer.

    Args:
        codec: Name of the codec, as in ``codec.name`` of the NTNDArray.
        payload: The compressed bytes.
        out: Shape (bytes of the frame,), uint8, C-contiguous; filled completely, or an error is raised.
        itemsize: Size of one pixel in byte.

    Raises:
        BadPayload: The bytes are broken, cut off, or of another size than `out`; or the codec is not known.
        MissingExtra: The library for this codec is not installed.
    """
    decoder = _DECODERS.get(codec)
    if decoder is None:
        raise unknown(codec)
    check_ratio(codec, len(payload), out.nbytes)
    decoder(payload, out, itemsize)


def unknown(codec: str) -> BadPayload:
    """The error for a codec that can not be used."""
    if codec == "jpeg":
        return BadPayload(
            "The detector sends JPEG frames, which lose counts.",
            field="codec",
            value=codec,
            expected="a lossless codec: " + ", ".join(_DECODERS),
            next_move="Set the codec plugin's Compressor (CODEC1:Compressor) to None, LZ4, BSLZ4 or Blosc.",
        )
    return BadPayload("The codec is not known.", field="codec", value=codec, expected="one of " + ", ".join(_DECODERS))


def encode(codec: str, pixels: Array) -> Array:
    """Compress one frame as areaDetector would, for the simulator and for tests.

    Args:
        codec: One of `CODECS`.
        pixels: Any shape, any integer or float type.

    Returns:
        The compressed bytes, shape (length,), uint8.

    Raises:
        BadPayload: The codec is not known.
        MissingExtra: The library for this codec is not installed.
    """
    encoder = _ENCODERS.get(codec)
    if encoder is None:
        raise unknown(codec)
    return np.frombuffer(encoder(np.ascontiguousarray(pixels)), np.uint8)


# ---- LZ4 ------------------------------------------------------------------------------------------------------------


def _lz4_block(codec: str, block: Bytes, out: Array) -> None:
    """Decode one raw LZ4 block that must fill `out`."""
    lz4 = _library("lz4.block")
    try:
        raw = lz4.decompress(block, uncompressed_size=out.nbytes)
    except (lz4.LZ4BlockError, ValueError, MemoryError, OverflowError) as error:
        raise _bad(codec, str(error)) from error
    if len(raw) != out.nbytes:
        raise _bad(codec, "it holds too little", len(raw), f"{out.nbytes} byte")
    out[:] = np.frombuffer(raw, np.uint8)


def _has_hdf5_header(payload: Bytes, size: int) -> bool:
    """True if the stream was copied from an HDF5 file with its filter's header, as pvapy's simulator does.

    The header begins with the size as 8 bytes, most of them zero, which no LZ4 block and no block length can be.
    """
    return len(payload) > 12 and int.from_bytes(payload[:8], "big") == size


def _decode_lz4(payload: Bytes, out: Array, itemsize: int) -> None:
    if _has_hdf5_header(payload, out.nbytes):
        _decode_lz4hdf5(payload, out, itemsize)
    else:
        _lz4_block("lz4", payload, out)


def _encode_lz4(pixels: Array) -> bytes:
    return _library("lz4.block").compress(pixels.tobytes(), store_size=False)


def _decode_lz4hdf5(payload: Bytes, out: Array, itemsize: int) -> None:
    """8 bytes total size, 4 bytes block size, then blocks: 4 bytes length and content (big-endian)."""
    if len(payload) < 12:
        raise _bad("lz4hdf5", "the header is cut off", len(payload), "at least 12 byte")
    total, block = struct.unpack_from(">QI", payload)
    if total != out.nbytes or block == 0:
        raise _bad("lz4hdf5", "the header tells another size", (total, block), f"{out.nbytes} byte")
    at, filled = 12, 0
    while filled < total:
        size = min(block, total - filled)
        length = int.from_bytes(payload[at : at + 4], "big")
        at += 4
        if length > len(payload) - at or length == 0:
            raise _bad("lz4hdf5", "a block is cut off", length, f"at most {len(payload) - at} byte")
        part = out[filled : filled + size]
        if length == size:
            # a block that did not shrink is stored as it is
            part[:] = np.frombuffer(payload[at : at + length], np.uint8)
        else:
            _lz4_block("lz4hdf5", payload[at : at + length], part)
        at += length
        filled += size


def _encode_lz4hdf5(pixels: Array) -> bytes:
    raw = pixels.tobytes()
    parts = [struct.pack(">QI", len(raw), _LZ4_BLOCK)]
    for start in range(0, len(raw), _LZ4_BLOCK):
        block = raw[start : start + _LZ4_BLOCK]
        packed = _library("lz4.block").compress(block, store_size=False)
        stored = packed if len(packed) < len(block) else block
        parts += [struct.pack(">I", len(stored)), stored]
    return b"".join(parts)


# ---- bitshuffle + LZ4 -----------------------------------------------------------------------------------------------


def default_block(itemsize: int) -> int:
    """Pixels per block where the stream does not say: 8 KiB, a multiple of 8, at least 128 (bitshuffle's own rule)."""
    return max(8192 // itemsize // 8 * 8, 128)


def _check_bslz4(payload: Bytes, size: int, itemsize: int, block: int) -> None:
    """Walk the block lengths: bitshuffle itself trusts them, and would read past a stream that is cut off."""
    pixels = size // itemsize
    blocks, rest = divmod(pixels, block)
    blocks += rest >= 8
    at = 0
    for _ in range(blocks):
        length = int.from_bytes(payload[at : at + 4], "big")
        at += 4 + length
        if length == 0 or at > len(payload):
            raise _bad("bslz4", "a block is cut off", length)
    if len(payload) - at != pixels % 8 * itemsize:
        raise _bad("bslz4", "bytes are left over or missing", len(payload) - at, f"{pixels % 8 * itemsize} byte")


def _decode_bslz4(payload: Bytes, out: Array, itemsize: int) -> None:
    block = default_block(itemsize)
    if _has_hdf5_header(payload, out.nbytes):
        block = int.from_bytes(payload[8:12], "big") // itemsize
        payload = payload[12:]
        if block < 8 or block % 8:
            raise _bad("bslz4", "the header tells an impossible block", block, "a multiple of 8 pixels")
    _check_bslz4(payload, out.nbytes, itemsize, block)
    dtype = np.dtype(f"u{itemsize}")
    shape = (out.nbytes // itemsize,)
    try:
        raw = _library("bitshuffle").decompress_lz4(np.frombuffer(payload, np.uint8), shape, dtype, block)
    except (RuntimeError, ValueError) as error:
        raise _bad("bslz4", str(error)) from error
    out.view(dtype)[:] = raw


def _encode_bslz4(pixels: Array) -> bytes:
    flat = pixels.reshape(-1).view(f"u{pixels.itemsize}")
    return _library("bitshuffle").compress_lz4(flat, 0).tobytes()


# ---- Blosc and zlib -------------------------------------------------------------------------------------------------


def _blosc() -> Any:
    blosc = _library("numcodecs.blosc")
    blosc.use_threads = False  # threads multiply chunks, not frames; this also makes it let go of the GIL
    return blosc


def _decode_blosc(payload: Bytes, out: Array, itemsize: int) -> None:
    if len(payload) < 16:
        raise _bad("blosc", "the header is cut off", len(payload), "at least 16 byte")
    nbytes, _, cbytes = struct.unpack_from("<III", payload, 4)
    if nbytes != out.nbytes or cbytes != len(payload):
        raise _bad("blosc", "the header tells other sizes", (nbytes, cbytes), f"{(out.nbytes, len(payload))}")
    try:
        _blosc().decompress(payload, out)
    except (RuntimeError, ValueError) as error:
        raise _bad("blosc", str(error)) from error


def _encode_blosc(pixels: Array) -> bytes:
    blosc = _blosc()
    return blosc.compress(pixels, b"lz4", 5, blosc.SHUFFLE)


def _decode_zlib(payload: Bytes, out: Array, itemsize: int) -> None:
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(payload, out.nbytes)
        # one byte more is asked for, so that the check sum at the end is read too
        more = stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise _bad("zlib", str(error)) from error
    if len(raw) != out.nbytes or more or not stream.eof:
        raise _bad("zlib", "it holds another size", len(raw), f"{out.nbytes} byte")
    out[:] = np.frombuffer(raw, np.uint8)


def _encode_zlib(pixels: Array) -> bytes:
    return zlib.compress(pixels.tobytes(), 1)


_DECODERS: dict[str, Callable[[Bytes, Array, int], None]] = {
    "lz4": _decode_lz4,
    "lz4hdf5": _decode_lz4hdf5,
    "bslz4": _decode_bslz4,
    "blosc": _decode_blosc,
    "zlib": _decode_zlib,
}
_ENCODERS: dict[str, Callable[[Array], bytes]] = {
    "lz4": _encode_lz4,
    "lz4hdf5": _encode_lz4hdf5,
    "bslz4": _encode_bslz4,
    "blosc": _encode_blosc,
    "zlib": _encode_zlib,
}
CODECS = tuple(_DECODERS)
"""Names of the codecs that can be decoded and encoded."""

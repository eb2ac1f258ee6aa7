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
from firstlight.kernels import decompress

Bytes = memoryview

HIGHEST_RATIO = {**dict.fromkeys(("lz4", "lz4hdf5", "bslz4"), decompress.HIGHEST_RATIO), "zlib": 1032}
"""How many times smaller than its content a stream can be at best; more is a lie told to make us take memory."""

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


# ---- LZ4, and bitshuffle + LZ4 --------------------------------------------------------------------------------------


def _with_kernel(codec: str, decoder: Callable[..., None], *arguments: Any) -> None:
    """Run a decoder of `kernels.decompress`, with its errors in this module's words."""
    try:
        decoder(*arguments)
    except decompress.BrokenStream as error:
        raise _bad(codec, str(error)) from error
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or codec, "epics", "Decoding compressed frames") from missing


def _decode_lz4(payload: Bytes, out: Array, itemsize: int) -> None:
    _with_kernel("lz4", decompress.decode_lz4, payload, out)


def _decode_lz4hdf5(payload: Bytes, out: Array, itemsize: int) -> None:
    _with_kernel("lz4hdf5", decompress.decode_lz4_framed, payload, out)


def _decode_bslz4(payload: Bytes, out: Array, itemsize: int) -> None:
    _with_kernel("bslz4", decompress.decode_bslz4, payload, out, itemsize)


def _encode(encoder: Callable[..., bytes], pixels: Array, *, framed: bool = False) -> bytes:
    try:
        return encoder(pixels, framed=framed)
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "", "epics", "Compressing frames") from missing


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
    "lz4": lambda pixels: _encode(decompress.encode_lz4, pixels),
    "lz4hdf5": lambda pixels: _encode(decompress.encode_lz4, pixels, framed=True),
    "bslz4": lambda pixels: _encode(decompress.encode_bslz4, pixels),
    "blosc": _encode_blosc,
    "zlib": _encode_zlib,
}
CODECS = tuple(_DECODERS)
"""Names of the codecs that can be decoded and encoded."""

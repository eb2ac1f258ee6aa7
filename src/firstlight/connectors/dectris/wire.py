"""What a SIMPLON stream says, as objects: a series starts, brings frames, ends. Bytes are read in stream1 and stream2.

Everything here comes from outside: sizes are bounded before memory is taken, and pixels stay where they came until they are
decoded into a buffer of the reader's own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.errors import FirstlightError, MissingExtra
from firstlight.kernels import decompress

LARGEST_FRAME = 2**30
"""Bytes of the largest frame that is believed; the largest detector (EIGER2 16M, 32 bit) sends 73 MB."""
LARGEST_SIDE = 2**16
MOST_FRAMES = 2**40
MOST_CHANNELS = 16

DTYPES = {"uint8": "u1", "uint16": "u2", "uint32": "u4"}
_ENCODING = re.compile(r"(?:bs(8|16|32))?-?(lz4)?([<>])?")


class BadMessage(FirstlightError, ValueError):
    """Bytes that are no message of a SIMPLON stream."""


class Payload(NamedTuple):
    """Pixels as they came (a tuple, because one is made for every frame, and nothing is made faster)."""

    shape: tuple[int, ...]
    """(rows, columns), or (threshold, rows, columns)."""
    dtype: str
    """numpy's name of the type, with its byte order."""
    codec: str
    """Empty, lz4 or bslz4."""
    shuffled: int
    """Size in byte of the items whose bits were shuffled."""
    data: memoryview
    columns_first: bool = False
    """The first axis is the fastest (CBOR tag 1040)."""

    @property
    def nbytes(self) -> int:
        """Size when decoded."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class SeriesStart:
    """The detector was armed: a series begins."""

    series: int
    detail: str
    """How much the header tells: none, basic or all."""
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tables: Mapping[str, Payload] = field(default_factory=dict[str, Payload])
    """Flat field, pixel mask and count-rate table, where the header brings them."""
    appendix: Any = None
    channels: tuple[str, ...] = ()
    """Names of the thresholds; empty if the header does not say."""
    version: int = 1

    @property
    def nimages(self) -> int | None:
        """Images per trigger."""
        return count(self.config.get("nimages"))

    @property
    def ntrigger(self) -> int | None:
        """Triggers of the series."""
        return count(self.config.get("ntrigger"))

    @property
    def frames(self) -> int | None:
        """Frames in the series: one per trigger (inte, exte), or `nimages` per trigger (ints, exts)."""
        if (total := count(self.config.get("number_of_images"))) is not None:
            return total
        triggers, images = self.ntrigger, self.nimages
        if self.config.get("trigger_mode") in ("inte", "exte"):
            return triggers
        if triggers is None or images is None or triggers * images > MOST_FRAMES:
            return None
        return triggers * images

    @property
    def shape(self) -> tuple[int, int] | None:
        """(rows, columns) of a frame, if the header says."""
        rows = side(self.config.get("y_pixels_in_detector", self.config.get("image_size_y")))
        cols = side(self.config.get("x_pixels_in_detector", self.config.get("image_size_x")))
        return None if rows is None or cols is None else (rows, cols)

    @property
    def dtype(self) -> str | None:
        """Type of the pixels, if the header says."""
        named = self.config.get("image_dtype")
        if isinstance(named, str) and named in DTYPES:
            return named
        bits = self.config.get("bit_depth_image")
        return f"uint{int(bits)}" if bits in (8, 16, 32) else None


class Frame(NamedTuple):
    """One image of a series, or why it can not be used."""

    series: int
    number: int
    """Counted from 0 by the detector."""
    planes: tuple[Payload, ...] = ()
    """One for each threshold."""
    channels: tuple[str, ...] = ()
    times: Callable[[], tuple[int | None, int | None, int | None]] | None = None
    """Reads `exposure`, when somebody asks."""
    user: Any = None
    reason: str = ""
    """Why it can not be used; empty if it can."""

    @property
    def exposure(self) -> tuple[int | None, int | None, int | None]:
        """Start and stop since the series was armed, and length of the exposure, in nanosecond; None where not told."""
        return (None, None, None) if self.times is None else self.times()

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns), or (threshold, rows, columns) where there are several."""
        first = self.planes[0].shape
        return first if len(self.planes) == 1 else (len(self.planes), *first)

    @property
    def dtype(self) -> str:
        """Type of the pixels, in the machine's byte order."""
        return np.dtype(self.planes[0].dtype).name


@dataclass(frozen=True, slots=True)
class SeriesEnd:
    """The series is over."""

    series: int


@dataclass(frozen=True, slots=True)
class Stray:
    """Bytes that belong to nothing."""

    reason: str


Message = SeriesStart | Frame | SeriesEnd | Stray


# ---- numbers from outside -------------------------------------------------------------------------------------------


def count(value: Any) -> int | None:
    """A number of frames, or None if it is none that can be."""
    good = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_FRAMES
    return value if good else None


def side(value: Any) -> int | None:
    """Length of one side of a frame, or None if it is none that can be."""
    good = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_SIDE
    return value if good else None


def number(value: Any, name: str, most: int = 2**63) -> int:
    """A running number.

    Raises:
        BadMessage: It is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < most:
        raise BadMessage("A running number is missing.", field=name, value=value, expected="a whole number from 0")
    return value


def bounded(payload: Payload) -> Payload:
    """The payload itself, if a frame can look like that.

    Raises:
        BadMessage: Its size is impossible.
    """
    good = len(payload.shape) in (2, 3) and all(side(value) for value in payload.shape)
    if not good or payload.nbytes > LARGEST_FRAME or (len(payload.shape) == 3 and payload.shape[0] > MOST_CHANNELS):
        raise BadMessage(
            "A frame tells an impossible size.",
            field="shape",
            value=payload.shape,
            expected=f"2 or 3 sides, {LARGEST_FRAME} byte at most",
        )
    if not payload.codec and len(payload.data) != payload.nbytes:
        raise BadMessage(
            "A frame is cut off or too long.", field="size", value=len(payload.data), expected=f"{payload.nbytes} byte"
        )
    return payload


# ---- pixels ---------------------------------------------------------------------------------------------------------


def payload_of(data: memoryview, shape: Any, dtype: Any, encoding: Any) -> Payload:
    """Pixels as stream v1 describes them.

    Args:
        data: The bytes.
        shape: (columns, rows), or (columns, rows, thresholds): stream v1 names the fastest axis first.
        dtype: uint8, uint16 or uint32 (float32 in tables).
        encoding: ``[bs<bits>][[-]lz4][<|>]`` as the SIMPLON manual writes it, or holoptycho's ``raw``.

    Raises:
        BadMessage: One of them is unknown or impossible.
    """
    bits, compressed, order = read_encoding(encoding)
    if dtype not in (*DTYPES, "float32"):
        raise BadMessage("The type is not known.", field="type", value=dtype, expected="one of " + ", ".join(DTYPES))
    if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) > 3:
        raise BadMessage("A frame has no shape.", field="shape", value=shape, expected="[columns, rows]")
    name = order + DTYPES.get(dtype, "f4")
    shuffled = bits // 8 if bits else np.dtype(name).itemsize
    codec = "" if not compressed else "bslz4" if bits else "lz4"
    return Payload(tuple(reversed(shape)), name, codec, shuffled, data)


def read_encoding(encoding: Any) -> tuple[int, bool, str]:
    """Bits of the shuffled items (0: not shuffled), whether LZ4 was used, and the byte order.

    Raises:
        BadMessage: The encoding is not known.
    """
    found = None if not isinstance(encoding, str) else _ENCODING.fullmatch("<" if encoding == "raw" else encoding)
    if found is None or (found[1] and not found[2]):
        raise BadMessage(
            "The encoding is not known.", field="encoding", value=encoding, expected="bs16-lz4<, lz4< or < (none)"
        )
    return int(found[1] or 0), bool(found[2]), found[3] or "<"


def decode_into(payload: Payload, out: Array) -> None:
    """Decode pixels into a given buffer; runs outside the interpreter's lock for the most part.

    Args:
        payload: What came.
        out: Shape of the payload, its type in the machine's byte order, C-contiguous.

    Raises:
        BadMessage: The bytes do not decode to that shape and type.
        MissingExtra: The library for this encoding is not installed.
    """
    if out.shape != payload.shape or out.dtype != np.dtype(payload.dtype).newbyteorder("="):
        raise BadMessage(
            "A frame differs from those before it.",
            field="shape",
            value=(payload.shape, payload.dtype),
            expected=f"{out.shape} {out.dtype}",
        )
    if payload.columns_first:
        turned = np.empty(out.shape[::-1], out.dtype)
        _fill(payload, turned)
        out[...] = turned.T
    else:
        _fill(payload, out)


def decode_many(streams: Sequence[memoryview], rows: Array, shuffled: int) -> Array:
    """Decode bitshuffled frames together; True for each row of `rows` (frame, bytes) that was filled.

    Raises:
        MissingExtra: The library for this encoding is not installed.
    """
    try:
        return decompress.decode_bslz4_many(streams, rows, shuffled)
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "", "zmq", "Decoding compressed frames") from missing


def decode_pieces(memory: Array, begins: Ids, ends: Ids, rows: Array, shuffled: int) -> Array:
    """Decode bitshuffled frames that lie in one piece of memory, as `decode_many`.

    Raises:
        MissingExtra: The library for this encoding is not installed.
    """
    try:
        return decompress.decode_bslz4_pieces(memory, begins, ends, rows, shuffled)
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "", "zmq", "Decoding compressed frames") from missing


def _fill(payload: Payload, out: Array) -> None:
    content = out.reshape(-1).view(np.uint8)
    try:
        if payload.codec == "bslz4":
            decompress.decode_bslz4(payload.data, content, payload.shuffled)
        elif payload.codec == "lz4":
            decompress.decode_lz4(payload.data, content)
        elif len(payload.data) != content.nbytes:
            raise decompress.BrokenStream(f"{len(payload.data)} of {content.nbytes} byte came")
        else:
            content[:] = np.frombuffer(payload.data, np.uint8)
    except decompress.BrokenStream as error:
        raise BadMessage(f"A frame can not be decoded: {error}.", field="encoding", value=payload.codec) from error
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "", "zmq", "Decoding compressed frames") from missing
    if not np.dtype(payload.dtype).isnative:
        out.byteswap(inplace=True)


def table(payload: Payload) -> Array:
    """A table of the header, such as the pixel mask, as an array of its own.

    Raises:
        BadMessage: It does not decode.
    """
    bounded(payload)
    out = np.empty(payload.shape, np.dtype(payload.dtype).newbyteorder("="))
    decode_into(payload, out)
    return out

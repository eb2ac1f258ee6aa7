"""What Merlin says: messages behind ``MPX,``, headers of acquisitions and of frames, pixels; both ways, without sockets.

The same frames, without ``MPX,``, make a .mib file, and the header of the acquisition is the .hdr file beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.core.handover import lend
from firstlight.kernels import medipix

LARGEST = 64 * 2**20
"""Bytes of the largest message that is believed: a quad of 64-bit pixels has 2 MB."""
PREFIX = 15
"""Length of ``MPX,0000000000,``."""
LONGEST_HEADER = 16384

_DTYPES = {"U01": "u1", "U08": "u1", "U16": "u2", "U32": "u4", "U64": "u8"}
_RAW_DTYPES = {1: "u1", 6: "u1", 12: "u2", 24: "u4"}
LOOK = 31
"""Bytes behind a frame's number that do not change within an acquisition: offset to layout."""
_LONGEST_NUMBER = 16
FRAMES, PER_TRIGGER = "Frames in Acquisition (Number)", "Frames per Trigger (Number)"


class BadMessage(FirstlightError, ValueError):
    """Bytes that Merlin does not send."""


# ---- messages -------------------------------------------------------------------------------------------------------


class Split(NamedTuple):
    """What a buffer begins with."""

    payload: memoryview | None
    """One message, if it is complete."""
    used: int
    """Bytes that are done with."""
    needed: int
    """How long the buffer must be to hold the message that it begins with."""


def split(data: memoryview) -> Split:
    """Find the first message; bytes that belong to none are passed over.

    The length after ``MPX,`` counts the comma behind itself, so that the payload is one byte shorter.
    """
    at = 0
    while True:
        found = _find(data, at)
        if found < 0:
            # the end may be the beginning of a prefix
            return Split(None, max(at, len(data) - 3), PREFIX)
        head = data[found : found + PREFIX]
        if len(head) < PREFIX:
            return Split(None, found, PREFIX)
        digits = bytes(head[4:14])
        length = int(digits) - 1 if digits.isdigit() and head[14] == 0x2C else 0
        if not 0 < length <= LARGEST:
            at = found + 4
            continue
        end = found + PREFIX + length
        if end > len(data):
            return Split(None, found, PREFIX + length)
        return Split(data[found + PREFIX : end], end, PREFIX)


def _find(data: memoryview, at: int) -> int:
    if bytes(data[at : at + 4]) == b"MPX,":
        return at
    step = 65536
    for begin in range(at, len(data), step):
        found = bytes(data[begin : begin + step + 3]).find(b"MPX,")
        if found >= 0:
            return begin + found
    return -1


def message(payload: bytes) -> bytes:
    """A payload with its prefix."""
    return b"MPX,%010d," % (len(payload) + 1) + payload


# ---- headers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Header of an acquisition."""

    values: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def frames(self) -> int | None:
        """Number of frames; None: it goes on until it is stopped (continuous), or nobody says."""
        return _count(self.values.get(FRAMES)) or None

    @property
    def per_trigger(self) -> int | None:
        """Frames per trigger."""
        return _count(self.values.get(PER_TRIGGER)) or None

    @property
    def scan(self) -> tuple[int, int] | None:
        """(ScanY, ScanX), which newer software tells, if they fit the number of frames."""
        y, x = _count(self.values.get("ScanY")), _count(self.values.get("ScanX"))
        return (y, x) if y and x and self.frames in (None, y * x) else None


def _count(text: str | None) -> int:
    digits = (text or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 13 else 0


def read_start(payload: memoryview | bytes) -> Start:
    """The header of an acquisition: ``HDR,`` and lines ``key: value``.

    Raises:
        BadMessage: It is none.
    """
    if bytes(payload[:4]) != b"HDR," or len(payload) > LONGEST_HEADER:
        raise BadMessage("This is no header of an acquisition.", field="header", value=bytes(payload[:20]))
    values: dict[str, str] = {}
    for line in str(payload[4:], "latin-1").splitlines():
        if line.startswith("End"):
            break
        key, colon, value = line.partition(":")
        if colon:
            values[key.strip()] = value.strip()
    return Start(values)


def write_start(values: Mapping[str, Any]) -> bytes:
    """The inverse of `read_start`, padded to 2048 bytes as Merlin does."""
    text = "HDR,\t\r\n" + "".join(f"{key}:\t{value}\r\n" for key, value in values.items()) + "End\t"
    return text.encode("latin-1").ljust(2048, b" ")


class Format(NamedTuple):
    """What the frames of an acquisition look like."""

    offset: int
    """Length of a frame's header in byte."""
    chips: int
    kind: str
    """U01 to U64: pixels; R64: raw counters."""
    arrangement: str
    """Of the chips: 1x1, 2x2, 2x2G, Nx1, …"""
    depth: int
    """Bits of the counter; 0 if the header does not say."""
    shape: tuple[int, int]
    """(rows, columns) of the image."""
    dtype: str
    nbytes: int
    """Length of a frame with its header."""


class FrameHeader(NamedTuple):
    """What one frame says of itself."""

    number: int
    """Counted from 0; the detector counts from 1."""
    look: bytes
    """The part of the header that does not change."""


def read_frame(payload: memoryview) -> FrameHeader:
    """Number and look of one frame.

    Raises:
        BadMessage: It is no frame.
    """
    head = bytes(payload[: 4 + _LONGEST_NUMBER + LOOK])
    comma = head.find(b",", 4)
    digits = head[4:comma]
    if head[:4] != b"MQ1," or not digits.isdigit() or not 0 < int(digits):
        raise BadMessage("This is no frame of Merlin.", field="frame", value=head[:20], expected="MQ1 and a number")
    return FrameHeader(int(digits) - 1, head[comma : comma + LOOK])


def read_format(payload: memoryview) -> Format:
    """What a frame looks like, by its whole header.

    Raises:
        BadMessage: It is no frame, or of a kind that can not be read.
    """
    fields = str(payload[:LONGEST_HEADER], "latin-1").split("\0", 1)[0].split(",")
    if len(fields) < 8 or fields[0] != "MQ1":
        raise BadMessage("This is no frame of Merlin.", field="frame", value=fields[:3])
    offset, chips, width, height = (_count(fields[at]) for at in (2, 3, 4, 5))
    kind, arrangement = fields[6].strip(), fields[7].strip()
    if not 0 < offset <= LONGEST_HEADER or not 0 < chips <= 64 or not 0 < width <= 8192 or not 0 < height <= 8192:
        raise BadMessage("A frame tells an impossible size.", field="frame", value=",".join(fields[2:6]))
    depth = _depth(fields)
    if kind in _DTYPES:
        nbytes = offset + width * height * np.dtype(_DTYPES[kind]).itemsize
        dtype = np.dtype(_DTYPES[kind]).name
        return Format(offset, chips, kind, arrangement, depth, (height, width), dtype, nbytes)
    if kind != "R64":
        raise BadMessage(
            "The pixels of a frame are of an unknown type.", field="type", value=kind, expected="U08 to U64 or R64"
        )
    shape = _raw_shape(arrangement, chips, width, height)
    if depth not in _RAW_DTYPES:
        raise BadMessage(
            "A raw frame does not tell the depth of its counter.",
            field="depth",
            value=depth,
            expected="1, 6, 12 or 24 after MQ1A",
            next_move="Use Merlin software from 1.6.1 on, or the processed format (FILEFORMAT 0).",
        )
    nbytes = offset + round(width * height * medipix.BYTES[depth])
    return Format(offset, chips, kind, arrangement, depth, shape, np.dtype(_RAW_DTYPES[depth]).name, nbytes)


def _depth(fields: list[str]) -> int:
    """Fourth of the extension that begins with MQ1A: a time, the shutter, the depth."""
    at = fields.index("MQ1A") if "MQ1A" in fields else len(fields)
    return _count(fields[at + 3]) if at + 3 < len(fields) else 0


def _raw_shape(arrangement: str, chips: int, width: int, height: int) -> tuple[int, int]:
    side = medipix.CHIP
    if (arrangement, chips, width) == ("1x1", 1, side):
        return height, side
    if arrangement in ("2x2", "2x2G") and (chips, width) == (4, 4 * side):
        gap = 2 if arrangement == "2x2G" else 0
        return 2 * height + gap, 2 * side + gap
    raise BadMessage(
        "Raw frames of this arrangement can not be read.",
        field="layout",
        value=f"{arrangement}, {chips} chips, {width} x {height}",
        expected="1x1, 2x2 or 2x2G",
        next_move="Let Merlin process the frames (FILEFORMAT 0).",
    )


def decode_into(like: Format, payload: memoryview, out: Array) -> None:
    """Decode one frame into a given buffer; gaps between chips become 0.

    Args:
        like: Its format.
        payload: The whole frame, header included.
        out: `like.shape`, `like.dtype`.

    Raises:
        BadMessage: Its length is another.
    """
    if len(payload) != like.nbytes:
        raise BadMessage(
            "A frame is cut off or too long.", field="length", value=len(payload), expected=f"{like.nbytes} byte"
        )
    decode_many(like, np.frombuffer(payload, np.uint8), np.zeros(1, np.int64), out[None])


def decode_many(like: Format, memory: Array, begins: Array, out: Array) -> None:
    """Decode frames that lie in one piece of memory, in one call outside the interpreter's lock.

    Args:
        like: Their format.
        memory: Shape (bytes,), uint8.
        begins: Where each frame, which is as long as its format says, begins with its header, int64.
        out: (frame, *like.shape), `like.dtype`.

    Raises:
        BadMessage: They are of a kind that can not be read, or do not lie in the memory.
    """
    pixels = begins + like.offset
    if not memory.flags.writeable:
        memory = lend(memory)
    try:
        if like.kind == "R64":
            medipix.unpack(memory, pixels, like.nbytes - like.offset, like.depth, like.chips, out)
        else:
            medipix.read_pixels(memory, pixels, out)
    except ValueError as error:
        raise BadMessage(f"A frame can not be decoded: {error}.", field="frame") from error


def write_frame(
    number: int, pixels: Array, *, arrangement: str = "1x1", depth: int = 12, seconds: float = 1e-3
) -> bytes:
    """A processed frame, without ``MPX,``.

    Args:
        number: From 0; written counted from 1.
        pixels: Shape (row, col), unsigned integers.
        arrangement: Of the chips, as the header names it.
        depth: Bits of the counter.
        seconds: Length of the exposure.
    """
    chips = 4 if arrangement.startswith("2x2") else max(1, pixels.shape[1] // medipix.CHIP)
    offset = 384 if chips == 1 else 768
    rows, cols = pixels.shape
    head = f"MQ1,{number + 1:06d},{offset:05d},{chips:02d},{cols:04d},{rows:04d},U{8 * pixels.itemsize:02d},"
    head += f"{arrangement:>6},{(1 << chips) - 1:02X},2020-01-01 00:00:00.000000,{seconds:.6f},0,0,0,"
    head += "1.000000E+1," + "0.000000E+0," * 7 + ("3RX," + "000," * 27) * min(chips, 4)
    head += f"MQ1A,2020-01-01T00:00:00.000000000Z,{round(seconds * 1e9)}ns,{depth},"
    return head.encode("latin-1").ljust(offset, b"\0") + pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()

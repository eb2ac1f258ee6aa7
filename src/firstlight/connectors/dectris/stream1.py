"""Stream v1 ("legacy"): JSON parts and blobs of ZeroMQ messages, both ways.

A control unit sends each header, frame and end as one message of several parts; LiberTEM's simulator and some proxies send
every part as a message of its own. Both are read: a part that begins something ends what was before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.kernels import decompress

from .usual import MOST_NUMBERS, description_of, image_of
from .wire import (
    BadMessage,
    Frame,
    Message,
    Payload,
    SeriesEnd,
    SeriesStart,
    Stray,
    bounded,
    number,
    payload_of,
    read_encoding,
)

_decode = json.JSONDecoder().decode
LONGEST_JSON = 4 * 2**20
_HEADER_PARTS = {"none": 1, "basic": 2, "all": 8}
_TABLES = {"dflatfield-1.0": "flatfield", "dpixelmask-1.0": "pixel_mask", "dcountrate_table-1.0": "countrate_table"}
_FRAME_PARTS = 3
_BEGINNINGS = ("dheader-1.0", "dimage-1.0", "dseries_end-1.0")


class Parts:
    """Puts parts together to messages; used by one thread."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._open: list[memoryview] = []
        self._first: dict[str, Any] = {}
        self._look: tuple[Any, Any, Any] = (None, None, None)
        self._like: Payload | None = None
        self._description: bytes | None = None

    @property
    def begun(self) -> bool:
        """A message has begun whose other parts are still to come."""
        return bool(self._open)

    def feed(self, parts: Sequence[memoryview]) -> list[Message]:
        """Take one ZeroMQ message; what is complete now."""
        found: list[Message] = []
        if not parts:
            return found
        image = None if self._open or len(parts) < _FRAME_PARTS else image_of(parts[0])
        if image is not None and image[1] < MOST_NUMBERS:
            return [self._frame(*image, parts)]
        beginning = _beginning(parts[0])
        if beginning is not None:
            found += self._give_up()
            self._open, self._first = list(parts), beginning
        elif self._open:
            self._open += parts
        elif not _harmless(parts):
            found.append(Stray("bytes that belong to no frame"))
        if self._open and len(self._open) >= self._needed():
            found.append(self._finish())
        return found

    def _give_up(self) -> list[Message]:
        """What began and was never finished."""
        if not self._open:
            return []
        first, self._open = self._first, []
        if "frame" not in first:
            return [Stray("a header was cut off")]
        try:
            return [_broken(first, "it was cut off")]
        except BadMessage as error:
            return [Stray(error.message)]

    def _needed(self) -> int:
        if "frame" in self._first:
            return _FRAME_PARTS
        if self._first.get("htype") == "dseries_end-1.0":
            return 1
        return _HEADER_PARTS.get(str(self._first.get("header_detail")), 1)

    def _finish(self) -> Message:
        parts, self._open = self._open, []
        first = self._first
        try:
            if "frame" in first:
                return self._frame(_series(first), _number(first), parts)
            series = number(first.get("series"), "series")
            if first.get("htype") == "dseries_end-1.0":
                return SeriesEnd(series)
            return _header(series, first, parts)
        except BadMessage as error:
            return Stray(str(error))

    def _frame(self, series: int, at: int, parts: Sequence[memoryview]) -> Message:
        try:
            payload = self._payload(parts[1], parts[2])
        except BadMessage as error:
            return Frame(series, at, reason=str(error))
        times = partial(_times, parts[3]) if len(parts) > 3 else None
        user = bytes(parts[4][:LONGEST_JSON]) if len(parts) > 4 else None
        return Frame(series, at, (payload,), (), times, user)

    def _payload(self, description: memoryview, blob: memoryview) -> Payload:
        """The pixels of a frame; what was checked once is not checked again for the next frame."""
        usual = description_of(description)
        if self._like is None or usual is None or usual != self._description:
            told = _json(description)
            look = (told.get("shape"), told.get("type"), told.get("encoding"))
            if self._like is None or look != self._look:
                found = bounded(payload_of(blob, *look))
                self._look, self._like = look, found._replace(data=memoryview(b""))
            self._description = usual
        like = self._like
        found = Payload(like.shape, like.dtype, like.codec, like.shuffled, blob)
        return found if found.codec else bounded(found)


def _series(first: Mapping[str, Any]) -> int:
    return number(first.get("series", 0), "series")


def _number(first: Mapping[str, Any]) -> int:
    return number(first.get("frame"), "frame", MOST_NUMBERS)


def _broken(first: Mapping[str, Any], reason: str) -> Frame:
    return Frame(_series(first), _number(first), reason=reason)


def _beginning(part: memoryview) -> dict[str, Any] | None:
    """The JSON of a part that begins a header, a frame or an end; None for any other part."""
    if len(part) < 2 or part[0] != 0x7B or len(part) > LONGEST_JSON:
        return None
    found = _json_or_none(part)
    if found is None:
        return None
    # holoptycho's replay sends frames without htype
    begins = found.get("htype") in _BEGINNINGS or ("htype" not in found and "frame" in found and len(found) < 5)
    return found if begins else None


def _harmless(parts: Sequence[memoryview]) -> bool:
    """Times and appendices that a proxy cut off from their frame."""
    return all(_json_or_none(part) is not None for part in parts)


def _json(part: memoryview) -> dict[str, Any]:
    if len(part) > LONGEST_JSON:
        raise BadMessage("A JSON part is too long.", field="length", value=len(part), expected=f"{LONGEST_JSON} byte")
    try:
        found = _decode(str(part, "utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"A part is no JSON: {error}.", field="part", value=bytes(part[:40])) from error
    if not isinstance(found, dict):
        raise BadMessage("A part is no JSON object.", field="part", value=bytes(part[:40]))
    return found


def _json_or_none(part: memoryview) -> dict[str, Any] | None:
    try:
        return _json(part)
    except BadMessage:
        return None


def _times(part: memoryview) -> tuple[int | None, int | None, int | None]:
    told = _json_or_none(part) or {}
    return _nanoseconds(told, "start_time"), _nanoseconds(told, "stop_time"), _nanoseconds(told, "real_time")


def _nanoseconds(times: Mapping[str, Any], name: str) -> int | None:
    value = times.get(name)
    return value if isinstance(value, int) and 0 <= value < 2**63 else None


def _header(series: int, first: Mapping[str, Any], parts: list[memoryview]) -> SeriesStart:
    detail = str(first.get("header_detail", "none"))
    needed = _HEADER_PARTS.get(detail, 1)
    config = _json(parts[1]) if needed > 1 else {}
    tables: dict[str, Payload] = {}
    for at in range(2, needed, 2):
        described = _json(parts[at])
        name = _TABLES.get(str(described.get("htype")))
        if name is not None:
            tables[name] = payload_of(parts[at + 1], described.get("shape"), described.get("type"), "<")
    appendix = bytes(parts[needed][:LONGEST_JSON]) if len(parts) > needed else None
    return SeriesStart(series, detail, config, tables, appendix)


# ---- writing --------------------------------------------------------------------------------------------------------


def write_start(
    series: int,
    config: Mapping[str, Any],
    *,
    detail: str = "basic",
    tables: Mapping[str, Array] | None = None,
    appendix: bytes | None = None,
) -> list[bytes]:
    """The parts of a header.

    Args:
        series: Number of the series.
        config: The detector's configuration.
        detail: none, basic or all.
        tables: With all: flatfield and pixel_mask of shape (row, col), and countrate_table of shape (n, 2).
        appendix: What the user asked to be sent along.
    """
    parts = [_text({"htype": "dheader-1.0", "series": series, "header_detail": detail})]
    if detail in ("basic", "all"):
        parts.append(_text(config))
    if detail == "all":
        for htype, name in _TABLES.items():
            content = np.ascontiguousarray((tables or {})[name])
            kind = "uint32" if name == "pixel_mask" else "float32"
            parts.append(_text({"htype": htype, "shape": content.shape[::-1], "type": kind}))
            parts.append(content.astype("<u4" if kind == "uint32" else "<f4").tobytes())
    return [*parts, appendix] if appendix is not None else parts


def write_frame(
    series: int,
    at: int,
    pixels: Array,
    *,
    encoding: str | None = None,
    times: tuple[int, int, int] = (0, 0, 0),
    appendix: bytes | None = None,
) -> list[bytes]:
    """The parts of a frame.

    Args:
        series: Number of the series.
        at: Number of the frame, from 0.
        pixels: Shape (row, col), unsigned integers.
        encoding: As `payload_of` reads it; default: bitshuffled LZ4.
        times: Start, stop and length of the exposure in nanosecond.
        appendix: What the user asked to be sent along.
    """
    encoding = encoding or f"bs{8 * pixels.itemsize}-lz4<"
    blob = encode(pixels, encoding)
    described = {
        "htype": "dimage_d-1.0",
        "shape": pixels.shape[::-1],
        "type": pixels.dtype.name,
        "encoding": encoding,
        "size": len(blob),
    }
    parts = [
        first_part(series, at, digest(blob)),
        _text(described),
        blob,
        _text({"htype": "dconfig-1.0", "start_time": times[0], "stop_time": times[1], "real_time": times[2]}),
    ]
    return [*parts, appendix] if appendix is not None else parts


def first_part(series: int, at: int, blob_digest: str) -> bytes:
    """What a frame begins with: all that differs between frames of the same content."""
    return _text({"htype": "dimage-1.0", "series": series, "frame": at, "hash": blob_digest})


def digest(blob: bytes) -> str:
    """The check sum that a frame carries: MD5 of its bytes."""
    return hashlib.md5(blob, usedforsecurity=False).hexdigest()


def write_end(series: int) -> list[bytes]:
    """The part that ends a series."""
    return [_text({"htype": "dseries_end-1.0", "series": series})]


def encode(pixels: Array, encoding: str) -> bytes:
    """Pixels as stream v1 sends them; the inverse of `payload_of` and `decode_into`."""
    bits, compressed, order = read_encoding(encoding)
    ordered = np.ascontiguousarray(pixels)
    if order == ">":
        ordered = ordered.astype(ordered.dtype.newbyteorder(">"))
    flat = np.frombuffer(ordered.tobytes(), np.uint8)
    if not compressed:
        return flat.tobytes()
    return decompress.encode_bslz4(flat.view(f"u{bits // 8}"), framed=True) if bits else decompress.encode_lz4(flat)


def _text(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode()

"""Stream v2: one CBOR map in a ZeroMQ message of one part, both ways. Several thresholds are several channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import MissingExtra
from firstlight.kernels import decompress

from . import cbor
from .wire import MOST_CHANNELS, BadMessage, Frame, Message, Payload, SeriesEnd, SeriesStart, Stray, number

MAGIC = b"\xd9\xd9\xf7"
"""Tag 55799, with which every message begins."""
_TABLES = ("flatfield", "pixel_mask", "countrate_correction_lookup_table")
_TAGS = {"uint8": 64, "uint16": 69, "uint32": 70, "float32": 85}


def read(message: memoryview) -> Message:
    """What one message says; a `Stray` if it says nothing."""
    try:
        content = cbor.read(message)
        if not isinstance(content, dict) or content.get("type") not in ("start", "image", "end"):
            raise BadMessage("A message of stream v2 has no known type.", field="type", expected="start, image or end")
        series = number(content.get("series_id"), "series_id")
        if content["type"] == "start":
            return _start(series, content)
        if content["type"] == "end":
            return SeriesEnd(series)
        return _image(series, content)
    except BadMessage as error:
        return Stray(str(error))


def _start(series: int, content: dict[Any, Any]) -> SeriesStart:
    channels = content.get("channels")
    told: list[Any] = channels if isinstance(channels, list) and len(channels) <= MOST_CHANNELS else []
    names = tuple(name for name in told if isinstance(name, str))
    tables: dict[str, Payload] = {}
    for name in _TABLES:
        value = content.pop(name, None)
        if isinstance(value, Payload):
            tables[name] = value
        elif isinstance(value, dict):
            tables |= {f"{name}/{channel}": one for channel, one in value.items() if isinstance(one, Payload)}
    detail = "all" if tables else "basic"
    return SeriesStart(series, detail, content, tables, content.get("user_data"), names, version=2)


def _image(series: int, content: dict[Any, Any]) -> Frame:
    at = number(content.get("image_id"), "image_id", 2**32)
    data = content.get("data")
    try:
        if not isinstance(data, dict) or not 0 < len(data) <= MOST_CHANNELS:
            raise BadMessage("An image brings no data.", field="data", expected="one array for each threshold")
        names, planes = tuple(map(str, data)), tuple(data.values())
        first = planes[0]
        for plane in planes:
            if not isinstance(plane, Payload) or len(plane.shape) != 2:
                raise BadMessage("An image is no array of two dimensions.", field="data", expected="CBOR tag 40")
            if (plane.shape, plane.dtype) != (first.shape, first.dtype):
                raise BadMessage("The thresholds of an image differ in shape or type.", field="data")
    except BadMessage as error:
        return Frame(series, at, reason=str(error))
    return Frame(series, at, planes, names, partial(_times, content), content.get("user_data"))


def _times(content: dict[Any, Any]) -> tuple[int | None, int | None, int | None]:
    start, stop, real = (_nanoseconds(content.get(name)) for name in ("start_time", "stop_time", "real_time"))
    return start, stop, real


def _nanoseconds(value: Any) -> int | None:
    """A time as [numerator, denominator] in second."""
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(part, int) for part in value):
        return None
    return value[0] * 10**9 // value[1] if value[1] > 0 and 0 <= value[0] < 2**63 else None


def select(frame: Frame, channel: str) -> Frame:
    """The frame with one threshold alone.

    Raises:
        BadMessage: It has no such threshold.
    """
    if frame.reason or channel not in frame.channels:
        raise BadMessage(
            "A frame lacks the threshold.",
            field="channel",
            value=channel,
            expected="one of " + ", ".join(frame.channels),
        )
    return frame._replace(planes=(frame.planes[frame.channels.index(channel)],), channels=(channel,))


# ---- writing --------------------------------------------------------------------------------------------------------


def write_start(
    series: int,
    config: Mapping[str, Any],
    *,
    channels: Sequence[str] = ("threshold_1",),
    pixel_mask: Array | None = None,
    user: Any = None,
) -> bytes:
    """A start message; `config` has the names of stream v2 (image_size_x, number_of_images, …).

    Raises:
        MissingExtra: cbor2 is not installed.
    """
    content: dict[str, Any] = {"type": "start", "series_id": series, "series_unique_id": f"series {series}"}
    content |= {**config, "channels": list(channels), "user_data": user}
    if pixel_mask is not None:
        content["pixel_mask"] = {channel: _array(pixel_mask.astype(np.uint32), "") for channel in channels}
    return _dumps(content)


def write_frame(
    series: int,
    at: int,
    planes: Mapping[str, Array],
    *,
    codec: str = "bslz4",
    times: tuple[int, int, int] = (0, 0, 0),
    user: Any = None,
) -> bytes:
    """An image message; one array of shape (row, col) for each threshold, codec empty, lz4 or bslz4, times in nanosecond.

    Raises:
        MissingExtra: cbor2 is not installed.
    """
    content: dict[str, Any] = {"type": "image", "series_id": series, "series_unique_id": f"series {series}"}
    content |= {"image_id": at, "data": {name: _array(pixels, codec) for name, pixels in planes.items()}}
    for name, value in zip(("start_time", "stop_time", "real_time"), times, strict=True):
        content[name] = [value, 10**9]
    return _dumps({**content, "user_data": user})


def write_end(series: int) -> bytes:
    """The end of a series."""
    return _dumps({"type": "end", "series_id": series, "series_unique_id": f"series {series}"})


def _array(pixels: Array, codec: str) -> Any:
    tag = _cbor2().CBORTag
    content: Any = np.ascontiguousarray(pixels).tobytes()
    if codec == "bslz4":
        content = tag(56500, [codec, pixels.itemsize, decompress.encode_bslz4(pixels, framed=True)])
    elif codec == "lz4":
        content = tag(56500, [codec, 0, decompress.encode_lz4(pixels, framed=True)])
    return tag(40, [list(pixels.shape), tag(_TAGS[pixels.dtype.name], content)])


def _dumps(content: Mapping[str, Any]) -> bytes:
    cbor2 = _cbor2()
    return cbor2.dumps(cbor2.CBORTag(55799, dict(content)))


def _cbor2() -> Any:
    try:
        import cbor2
    except ModuleNotFoundError as missing:
        raise MissingExtra("cbor2", "zmq", "Writing stream v2") from missing
    return cbor2

"""PandA's samples as JSON over ZeroMQ, as the Hard X-ray Nanoprobe of NSLS-II publishes them; no sockets here.

One part for each message: ``{"msg_type": "start", …}``, ``{"msg_type": "data", "frame_number": k, "datasets": {"/INENC2.VAL.Value":
{"dtype": "float64", "size": m, "starting_sample_number": s, "data": […]}, …}}`` and ``{"msg_type": "stop", "emitted_frames": n}``.
`frame_number` counts messages, not frames of a detector.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from firstlight.core.arrays import Array

from .messages import Message, Samples, Start, Stop, Stray

LARGEST = 64 * 2**20
"""Bytes of a message."""
CHANNELS = 256
"""Channels of a message at most."""


def channel_name(name: str) -> str:
    """A channel without the slash that the JSON stream puts before it."""
    return name.lstrip("/")


def read(part: bytes | memoryview) -> Message:
    """One message; `Stray` for bytes that are none."""
    if len(part) > LARGEST:
        return Stray(f"a message of {len(part)} bytes, more than {LARGEST}")
    try:
        found: Any = json.loads(bytes(part))
    except (ValueError, RecursionError):
        return Stray("no JSON")
    kind = found.get("msg_type") if isinstance(found, dict) else None
    if kind == "start":
        return Start()
    if kind == "stop":
        return Stop(None)
    if kind != "data":
        return Stray(f"no message of a PandABox: msg_type is {kind!r:.40}")
    try:
        return _samples(found)
    except (ValueError, TypeError, OverflowError) as error:
        return Stray(str(error))


def _samples(found: Mapping[str, Any]) -> Samples:
    datasets = found.get("datasets")
    if not isinstance(datasets, dict) or not 0 < len(datasets) <= CHANNELS:
        raise ValueError(f"the message has no datasets, or more than {CHANNELS}")
    values: dict[str, Array] = {}
    firsts: set[int] = set()
    for name, each in datasets.items():
        if not isinstance(each, dict) or not isinstance(each.get("data"), list):
            raise ValueError(f"channel {name:.40} has no list of data")
        values[channel_name(name)] = _numbers(each["data"], name)
        if "starting_sample_number" in each:
            firsts.add(_count(each["starting_sample_number"], "starting_sample_number"))
    if len({len(array) for array in values.values()}) != 1:
        raise ValueError("the channels of a message differ in length")
    if len(firsts) > 1:
        raise ValueError("the channels of a message begin at different samples")
    number = found.get("frame_number")
    return Samples(values, firsts.pop() if firsts else None, None if number is None else _count(number, "frame_number"))


def _numbers(data: list[Any], name: str) -> Array:
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in data):
        raise ValueError(f"channel {name:.40} holds something that is no number")
    return np.array(data, np.float64)


def _count(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**48:
        raise ValueError(f"{name} is {value!r:.40}, not a count")
    return value


def write_start() -> bytes:
    """The message before the first samples."""
    return json.dumps({"msg_type": "start", "arm_time": "", "start_time": "", "hw_time_offset_ns": None}).encode()


def write_samples(values: Mapping[str, Array], first: int, number: int) -> bytes:
    """Samples of some channels (names without slash), the first of which has the number `first`."""
    datasets = {
        f"/{name}": {
            "dtype": "float64",
            "size": len(array),
            "starting_sample_number": first,
            "data": np.asarray(array, np.float64).tolist(),
        }
        for name, array in values.items()
    }
    return json.dumps({"msg_type": "data", "frame_number": number, "datasets": datasets}).encode()


def write_stop(messages: int) -> bytes:
    """The message after the last samples; `messages` of them held samples."""
    return json.dumps({"msg_type": "stop", "emitted_frames": messages}).encode()

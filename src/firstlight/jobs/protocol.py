"""What a run process and those who watch it say to each other: bytes to messages and back, with no socket in sight.

A message is one line of JSON. If its field ``bytes`` is n, n raw bytes follow the line: the array of a view. Both sizes
are checked before memory is taken for them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError

LONGEST_LINE = 16 << 20
"""Bytes of JSON in one message: a status with a few thousand values fits many times."""
LARGEST_ARRAY = 1 << 30
"""Bytes of array behind one message: a view of 16384² float32 pixels."""
DTYPES = frozenset(
    f"{kind}{size}" for kind, sizes in {"i": "1248", "u": "1248", "f": "248"}.items() for size in sizes
) | {"b1", "c8", "c16"}
"""Types that an array may have: numbers and truth values, never objects."""

_ROOM = 1 << 16


class ProtocolError(FirstlightError, ValueError):
    """Bytes that are no message."""


Payload = bytearray | bytes | memoryview


@dataclass(frozen=True, slots=True)
class Message:
    """One line of JSON, and the bytes behind it."""

    head: Mapping[str, Any]
    payload: Payload = field(default=b"", repr=False)


def encode(message: Message) -> list[Payload]:
    """A message as the parts to be sent one after the other; the payload is not copied.

    Raises:
        ProtocolError: The head is too long, or the payload too large.
    """
    size = memoryview(message.payload).nbytes
    _check_payload(size)
    head = {**message.head, "bytes": size} if size else dict(message.head)
    line = json.dumps(plain(head), separators=(",", ":")).encode() + b"\n"
    if len(line) > LONGEST_LINE:
        raise ProtocolError(
            "A message is too long.", field="line", value=len(line), expected=f"at most {LONGEST_LINE} bytes"
        )
    return [line, message.payload] if size else [line]


class Decoder:
    """Cuts a stream of bytes into messages, however it was split on its way.

    Either call `feed` with what came, or receive right into `room()` and tell `filled` how much it was: an array then
    goes from the socket to its place without a copy.
    """

    def __init__(self) -> None:
        """Start before the first byte."""
        self._line = bytearray()
        self._chunk = bytearray(_ROOM)
        self._head: dict[str, Any] | None = None
        self._payload = _unwritten(0)
        self._have = 0

    @property
    def idle(self) -> bool:
        """True between two messages: a connection that ends here was closed in order."""
        return self._head is None and not self._line

    def room(self) -> memoryview:
        """Where the next bytes belong."""
        if self._head is not None:
            return self._payload[self._have :]
        return memoryview(self._chunk)

    def filled(self, count: int) -> list[Message]:
        """The messages that are complete now that `count` bytes were put in `room()`.

        Raises:
            ProtocolError: The bytes are no message; nothing sensible can follow on this connection.
        """
        if self._head is None:
            return list(self._split(memoryview(self._chunk)[:count]))
        self._have += count
        return self._complete()

    def feed(self, data: bytes | bytearray | memoryview) -> list[Message]:
        """The messages that are complete now that `data` came.

        Raises:
            ProtocolError: The bytes are no message; nothing sensible can follow on this connection.
        """
        return list(self._split(memoryview(data)))

    def _split(self, data: memoryview) -> Iterator[Message]:
        while len(data):
            if self._head is None:
                data = self._take_line(data)
            else:
                part = min(len(data), len(self._payload) - self._have)
                self._payload[self._have : self._have + part] = data[:part]
                self._have += part
                data = data[part:]
            yield from self._complete()

    def _take_line(self, data: memoryview) -> memoryview:
        end = bytes(data).find(b"\n")
        part = data if end < 0 else data[:end]
        if len(self._line) + len(part) > LONGEST_LINE:
            raise ProtocolError(
                "A message is too long.", field="line", expected=f"a line feed within {LONGEST_LINE} bytes"
            )
        self._line += part
        if end < 0:
            return data[len(data) :]
        self._head = _read_head(bytes(self._line))
        self._line = bytearray()
        self._payload = _unwritten(self._head["bytes"])
        self._have = 0
        return data[end + 1 :]

    def _complete(self) -> list[Message]:
        if self._head is None or self._have < len(self._payload):
            return []
        message = Message(self._head, self._payload)
        self._head, self._payload, self._have = None, _unwritten(0), 0
        return [message]


def _unwritten(size: int) -> memoryview:
    """Room for bytes, not filled with zeros: doing that to an image of 16 MB stops every other thread for 5 to 50 ms."""
    return np.empty(size, np.uint8).data


def _read_head(line: bytes) -> dict[str, Any]:
    try:
        head = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(
            "A message is not JSON.", field="line", value=line[:80], expected="one JSON object", next_move=str(error)
        ) from None
    if not isinstance(head, dict):
        raise ProtocolError("A message is not a JSON object.", field="line", value=line[:80], expected="{…}")
    size = head.setdefault("bytes", 0)
    if not isinstance(size, int) or isinstance(size, bool):
        raise ProtocolError(
            "The size of an array is not a number.", field="bytes", value=size, expected="a whole number"
        )
    _check_payload(size)
    return head


def _check_payload(size: int) -> None:
    if not 0 <= size <= LARGEST_ARRAY:
        raise ProtocolError(
            "An array is too large to be sent.", field="bytes", value=size, expected=f"0 to {LARGEST_ARRAY} bytes"
        )


def array_fields(array: Array) -> tuple[dict[str, Any], memoryview]:
    """Shape and type of an array as fields of a message, and its bytes (little-endian, C order)."""
    ready = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    fields = {"dtype": f"{ready.dtype.kind}{ready.dtype.itemsize}", "shape": list(array.shape)}
    if fields["dtype"] not in DTYPES:
        raise ProtocolError(
            "Only arrays of numbers can be sent.",
            field="dtype",
            value=str(array.dtype),
            expected="an integer or float type",
        )
    return fields, ready.reshape(-1).view(np.uint8).data if ready.size else memoryview(b"")


def array_of(fields: Mapping[str, Any], payload: Payload) -> Array:
    """The array that `array_fields` described; shares memory with `payload`.

    Raises:
        ProtocolError: Type or shape are not sensible, or do not fit the bytes.
    """
    dtype, shape = fields.get("dtype"), fields.get("shape")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ProtocolError(
            "An array has a type that is not accepted.",
            field="dtype",
            value=dtype,
            expected="one of " + " ".join(sorted(DTYPES)),
        )
    if not isinstance(shape, list) or len(shape) > 32 or not all(type(n) is int and n >= 0 for n in shape):
        raise ProtocolError("An array has no sensible shape.", field="shape", value=shape, expected="a list of lengths")
    kind = np.dtype(dtype).newbyteorder("<")
    wanted = math.prod(shape) * kind.itemsize
    if wanted != len(payload):
        raise ProtocolError(
            "An array's bytes do not fit its shape.",
            field="shape",
            value=shape,
            expected=f"{len(payload)} bytes in all",
        )
    return np.frombuffer(payload, dtype=kind).reshape(shape)


def plain(value: Any, *, nan: bool = True) -> Any:
    """A value made of numbers, texts, lists and mappings alone, as JSON needs it.

    Args:
        value: Anything found in a status or a report: numpy numbers and arrays, tuples, paths, models.
        nan: Keep NaN and infinity (Python reads them); False makes them None, as browsers need.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, Enum):
        return plain(value.value, nan=nan)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return number if nan or math.isfinite(number) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item, nan=nan) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), nan=nan)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, nan=nan) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item(), nan=nan)
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(), nan=nan)
    return str(value)

"""ONNX files whose weights lie in other files, as MLflow writes them: which those are, and all of it as one file.

Specification: onnx.proto of ONNX 1.x (ModelProto.graph = 7, GraphProto.initializer = 5; TensorProto: raw_data = 9, external_data = 13,
data_location = 14), in the wire format of protocol buffers. Only what is needed is read; all else is copied as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_GRAPH, _INITIALIZER = 7, 5
_RAW, _EXTERNAL, _WHERE = 9, 13, 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_ELSEWHERE = 1
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
"""Names of files beside; nothing that leads out of the folder."""
Read = Callable[[str], bytes]
"""The whole of a file by its name."""


class NotOnnx(ValueError):
    """Bytes that are no ONNX file, or that name other files in a way that makes no sense."""


def elsewhere(model: bytes) -> set[str]:
    """Names of the files that hold weights.

    Raises:
        NotOnnx: These bytes are no ONNX file, or a name leads out of the folder.
    """
    found: set[str] = set()
    for number, kind, value, _ in _fields(model):
        if (number, kind) == (_GRAPH, _BYTES):
            for inner, inner_kind, tensor, _ in _fields(value):
                if (inner, inner_kind) == (_INITIALIZER, _BYTES) and _is_elsewhere(tensor):
                    found.add(_place(tensor)[0])
    return found


def whole(model: bytes, read: Read) -> bytes:
    """The same model with all weights inside.

    Raises:
        NotOnnx: These bytes are no ONNX file, or name what a file does not have.
    """
    return _rewritten(
        model, _GRAPH, lambda graph: _rewritten(graph, _INITIALIZER, lambda tensor: _filled(tensor, read))
    )


def _rewritten(message: bytes, wanted: int, change: Callable[[bytes], bytes]) -> bytes:
    parts: list[bytes] = []
    for number, kind, value, field in _fields(message):
        parts.append(_field(number, change(value)) if (number, kind) == (wanted, _BYTES) else field)
    return b"".join(parts)


def _filled(tensor: bytes, read: Read) -> bytes:
    if not _is_elsewhere(tensor):
        return tensor
    name, offset, length = _place(tensor)
    data = read(name)
    end = len(data) if length is None else offset + length
    if not offset <= end <= len(data):
        raise NotOnnx(f"{name} has {len(data)} bytes, and the model asks for those from {offset} to {end}.")
    kept = [field for number, _, _, field in _fields(tensor) if number not in (_EXTERNAL, _WHERE, _RAW)]
    return b"".join(kept) + _field(_RAW, data[offset:end])


def _is_elsewhere(tensor: bytes) -> bool:
    return any(
        (number, kind) == (_WHERE, _VARINT) and value == bytes([_ELSEWHERE])
        for number, kind, value, _ in _fields(tensor)
    )


def _place(tensor: bytes) -> tuple[str, int, int | None]:
    """Name, first byte and number of bytes (None: all that follow)."""
    told: dict[str, str] = {}
    for number, kind, value, _ in _fields(tensor):
        if (number, kind) == (_EXTERNAL, _BYTES):
            entry = {inner: text for inner, inner_kind, text, _ in _fields(value) if inner_kind == _BYTES}
            told[entry.get(1, b"").decode(errors="replace")] = entry.get(2, b"").decode(errors="replace")
    name, offset, length = told.get("location", ""), told.get("offset", "0"), told.get("length")
    if not _FILE.fullmatch(name) or not _number(offset) or not (length is None or _number(length)):
        raise NotOnnx(f"Weights lie at {str(told)[:200]}; expected the name of a file in the same folder.")
    return name, int(offset), None if length is None else int(length)


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _fields(message: bytes) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Number, kind, value, and the whole field with its head.

    Raises:
        NotOnnx: The bytes are no message.
    """
    at = 0
    while at < len(message):
        start = at
        head, at = _read_varint(message, at)
        kind = head & 7
        if kind == _VARINT:
            first = at
            _, at = _read_varint(message, at)
        elif kind == _BYTES:
            size, first = _read_varint(message, at)
            at = first + size
        elif kind in (_FIXED32, _FIXED64):
            first, at = at, at + (4 if kind == _FIXED32 else 8)
        else:
            raise NotOnnx(f"Field {head >> 3} at byte {start} is of no kind that ONNX has.")
        if at > len(message):
            raise NotOnnx(f"It stops in the middle of field {head >> 3} at byte {start}.")
        yield head >> 3, kind, message[first:at], message[start:at]


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise NotOnnx(f"It stops in the middle of a number at byte {at}.")

"""What Accos says: headers of 32 byte, and sparse frames (CSR) behind some; both ways, without sockets.

All numbers are little-endian. An acquisition is AcquisitionStart, any number of scans (ScanStart with metadata in JSON, chunks,
ScanEnd), AcquisitionEnd; AcquisitionEnd right after a chunk means that the scan was cancelled.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from scipy import sparse

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.kernels.sparse_frames import SparseFrames

HEADER = 32
MOST_METADATA = 2**24
"""Bytes of metadata that are taken from a scan's start."""
MOST_PAYLOAD = 2**28
"""Bytes of one chunk that are taken."""
_TYPES = {2: "u1", 3: "<u2", 4: "<u4", 5: "<u8"}
_CODES = {np.dtype(text): code for code, text in _TYPES.items()}
_START = struct.Struct("<BBBHHBHHBI15x")
_SCAN = struct.Struct("<BIQ19x")
_CHUNK = struct.Struct("<BBIIII14x")
_END = struct.Struct("<BI27x")


class BadMessage(FirstlightError, ValueError):
    """The bytes are no message, or ask for too much."""


@dataclass(frozen=True, slots=True)
class AcquisitionStart:
    """Sizes of scan and detector, and how indices are written."""

    nav: tuple[int, int]
    sig: tuple[int, int]
    indptr: np.dtype[Any] = field(default_factory=lambda: np.dtype("<u4"))
    indices: np.dtype[Any] = field(default_factory=lambda: np.dtype("<u4"))
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class ScanStart:
    """A scan begins; so many bytes of metadata follow."""

    sequence: int
    metadata: int


@dataclass(frozen=True, slots=True)
class ArrayChunk:
    """Some frames; a payload follows."""

    dtype: np.dtype[Any]
    frames: int
    events: int
    indices_at: int
    values_at: int

    @property
    def nbytes(self) -> int:
        """Size of the payload."""
        return self.values_at + self.events * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class ScanEnd:
    """The scan is over."""

    sequence: int


@dataclass(frozen=True, slots=True)
class AcquisitionEnd:
    """The acquisition is over."""

    sequence: int


Message = AcquisitionStart | ScanStart | ArrayChunk | ScanEnd | AcquisitionEnd


def read_header(data: bytes | memoryview) -> Message:
    """A message of its header.

    Raises:
        BadMessage: It is cut off, of no known kind, or asks for more than can be meant.
    """
    if len(data) < HEADER:
        raise BadMessage("A header is cut off.", field="length", value=len(data), expected=f"{HEADER} byte")
    head = bytes(data[:HEADER])
    if head[0] == 0:
        return _read_start(head)
    if head[0] == 1:
        _, sequence, size = _SCAN.unpack(head)
        if size > MOST_METADATA:
            raise BadMessage(
                "Too much metadata.", field="metadata_length", value=size, expected=f"{MOST_METADATA} at most"
            )
        return ScanStart(sequence, size)
    if head[0] == 2:
        _, code, frames, events, indices_at, values_at = _CHUNK.unpack(head)
        found = ArrayChunk(_type(code, "value_dtype"), frames, events, indices_at, values_at)
        if found.nbytes > MOST_PAYLOAD or not 0 <= indices_at <= values_at:
            raise BadMessage(
                "A chunk can not be as large.", field="values_offset", value=(indices_at, values_at, events)
            )
        return found
    if head[0] in (3, 4):
        _, sequence = _END.unpack(head)
        return ScanEnd(sequence) if head[0] == 3 else AcquisitionEnd(sequence)
    raise BadMessage("This is no message of Accos.", field="tag", value=head[0], expected="0, 1, 2, 3 or 4")


def _read_start(head: bytes) -> AcquisitionStart:
    _, _, kind, nav_y, nav_x, indptr, sig_y, sig_x, indices, sequence = _START.unpack(head)
    if kind != 0:
        raise BadMessage("Frames come in another form.", field="format", value=kind, expected="0 (CSR)")
    if 0 in (nav_y, nav_x, sig_y, sig_x):
        raise BadMessage("A size is 0.", field="shape", value=(nav_y, nav_x, sig_y, sig_x))
    return AcquisitionStart(
        (nav_y, nav_x), (sig_y, sig_x), _type(indptr, "indptr_dtype"), _type(indices, "indices_dtype"), sequence
    )


def _type(code: int, name: str) -> np.dtype[Any]:
    if code not in _TYPES:
        raise BadMessage("This type is not known.", field=name, value=code, expected="2 (8 bit) to 5 (64 bit)")
    return np.dtype(_TYPES[code])


def read_metadata(data: bytes | memoryview) -> dict[str, Any]:
    """The metadata of a scan; what is no JSON object is kept as text, under ``text``."""
    try:
        found: Any = json.loads(bytes(data)) if len(data) else {}
    except (ValueError, RecursionError):
        found = None
    return (
        cast("dict[str, Any]", found) if isinstance(found, dict) else {"text": bytes(data).decode("utf-8", "replace")}
    )


def read_frames(
    start: AcquisitionStart, chunk: ArrayChunk, payload: bytes | memoryview, dtype: str | None = None
) -> SparseFrames:
    """Sparse frames, whose dense ones are of a type (default: that of the values).

    Raises:
        BadMessage: The payload is cut off, or its indices make no sense.
    """
    if len(payload) < chunk.nbytes:
        raise BadMessage("A chunk is cut off.", field="length", value=len(payload), expected=f"{chunk.nbytes} byte")
    sizes = (chunk.frames + 1) * start.indptr.itemsize, chunk.indices_at + chunk.events * start.indices.itemsize
    if sizes[0] > chunk.indices_at or sizes[1] > chunk.values_at:
        raise BadMessage("Parts of a chunk overlap.", field="indices_offset", value=(chunk.indices_at, chunk.values_at))
    indptr = np.frombuffer(payload, start.indptr, chunk.frames + 1)
    indices = np.frombuffer(payload, start.indices, chunk.events, chunk.indices_at)
    values = np.frombuffer(payload, chunk.dtype, chunk.events, chunk.values_at)
    if indptr[0] != 0 or indptr[-1] != chunk.events or (indptr[1:] < indptr[:-1]).any():
        raise BadMessage(
            "The beginnings of frames make no sense.", field="indptr", expected=f"rising from 0 to {chunk.events}"
        )
    pixels = start.sig[0] * start.sig[1]
    if chunk.events and int(indices.max()) >= pixels:
        raise BadMessage(
            "An event lies outside the detector.", field="indices", value=int(indices.max()), expected=f"< {pixels}"
        )
    narrow = indices.astype(np.uint32)
    return SparseFrames(indptr, narrow, values.astype(chunk.dtype.newbyteorder("=")), start.sig, dtype)


# ---- the other way ------------------------------------------------------------------------------------------------------


def write_start(start: AcquisitionStart) -> bytes:
    """Header of an acquisition."""
    codes = _CODES[start.indptr], _CODES[start.indices]
    return _START.pack(0, 7, 0, *start.nav, codes[0], *start.sig, codes[1], start.sequence)


def write_scan(sequence: int, metadata: dict[str, Any] | None = None) -> bytes:
    """Start of a scan, with its metadata."""
    text = b"" if metadata is None else json.dumps(metadata).encode()
    return _SCAN.pack(1, sequence, len(text)) + text


def write_frames(start: AcquisitionStart, frames: Array, *, padding: int = 0) -> bytes:
    """Header and payload of dense frames (frame, row, col), with so many bytes between the parts of the payload."""
    found = sparse.csr_array(frames.reshape(len(frames), -1))
    dtype = frames.dtype.newbyteorder("<")
    gap = b"\0" * padding
    indptr = found.indptr.astype(start.indptr).tobytes() + gap
    indices = found.indices.astype(start.indices).tobytes() + gap
    places = len(indptr), len(indptr) + len(indices)
    head = _CHUNK.pack(2, _CODES[np.dtype(dtype)], len(frames), found.nnz, *places)
    return head + indptr + indices + found.data.astype(dtype).tobytes()


def write_end(sequence: int, *, scan: bool) -> bytes:
    """End of a scan, or of the acquisition."""
    return _END.pack(3 if scan else 4, sequence)

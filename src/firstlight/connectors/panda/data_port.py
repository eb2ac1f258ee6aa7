"""The data port of a PandABox (TCP 8889): an XML header, framed binary samples, a line at the end; no sockets here.

Specification: PandABlocks-server, "Data capture". After ``XML FRAMED SCALED?`` or ``XML FRAMED RAW`` the box answers ``OK``; for
each capture come ``<header>…</header>``, an empty line, then blocks of ``BIN `` with a length (4 bytes, little-endian, itself
and the four letters included) and samples without gaps, and ``END <samples> <reason>``. A raw sum of the capture `Mean` is
divided by ``PCAP.GATE_DURATION``; a value is ``raw · scale + offset``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from firstlight.core.arrays import Array

from .messages import Message, Samples, Start, Stop, Stray

REQUEST = b"XML FRAMED RAW\n"
"""What a client asks for."""
LONGEST_HEADER = 2**20
LARGEST_BLOCK = 16 * 2**20
_TYPES = {"uint32": "<u4", "int32": "<i4", "int64": "<i8", "uint64": "<u8", "double": "<f8"}
_GATE = "PCAP.GATE_DURATION.Value"
_FIELD = re.compile(r"<field\s+([^<>]*?)/?>")
_ATTRIBUTE = re.compile(r'([A-Za-z_]+)="([^"<]*)"')
_END = re.compile(rb"END (\d{1,18}) ([^\n]{0,200})\n")


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a sample."""

    name: str
    capture: str
    type: str
    scale: float = 1.0
    offset: float = 0.0
    units: str = ""

    @property
    def channel(self) -> str:
        """Name and what was captured, such as ``INENC1.VAL.Mean``."""
        return f"{self.name}.{self.capture}"


class Decoder:
    """Reads what comes from the port, in whatever pieces; used by one thread."""

    def __init__(self) -> None:
        """Before the first byte."""
        self._rest = bytearray()
        self._fields: tuple[Field, ...] = ()
        self._layout: np.dtype[np.void] | None = None
        self._raw = True
        self._next = 0

    def feed(self, data: bytes | memoryview) -> list[Message]:
        """The messages that are complete now."""
        self._rest += data
        found: list[Message] = []
        while (message := self._take()) is not None:
            if isinstance(message, Start | Stop | Stray) or len(message):
                found.append(message)
        return found

    def _take(self) -> Message | None:
        """The next message; None if it is not whole yet."""
        head = bytes(self._rest[:8])
        if not head:
            return None
        if head[:4] == b"BIN ":
            return self._block()
        if head[:4] == b"END ":
            return self._end()
        if head.startswith(b"<header>"):
            return self._header()
        if b"<header>".startswith(head) or b"BIN ".startswith(head) or b"END ".startswith(head):
            return None
        return self._skip()

    def _skip(self) -> Message | None:
        """Pass over a line between messages: ``OK``, an empty one, or bytes that make no sense."""
        stop = self._rest.find(b"\n", 0, 4096)
        if stop < 0 and len(self._rest) < 4096:
            return None
        line = bytes(self._rest[: stop + 1] if stop >= 0 else self._rest[:4096])
        del self._rest[: len(line)]
        if line.strip() in (b"", b"OK"):
            return Samples({}, None)
        return Stray(f"neither a header, nor samples, nor an end: {line[:20]!r}")

    def _header(self) -> Message | None:
        stop = self._rest.find(b"</header>")
        if stop < 0:
            if len(self._rest) <= LONGEST_HEADER:
                return None
            self._rest.clear()
            return Stray(f"a header of more than {LONGEST_HEADER} bytes")
        text = bytes(self._rest[:stop]).decode("utf-8", "replace")
        del self._rest[: stop + len(b"</header>")]
        try:
            self._fields, self._layout, self._raw = _layout(text)
        except ValueError as error:
            self._layout = None
            return Stray(str(error))
        self._next = 0
        return Start()

    def _block(self) -> Message | None:
        if len(self._rest) < 8:
            return None
        length = int.from_bytes(self._rest[4:8], "little")
        if not 8 <= length <= LARGEST_BLOCK:
            del self._rest[:4]
            return Stray(f"a block of {length} bytes, expected 8 to {LARGEST_BLOCK}")
        if len(self._rest) < length:
            return None
        payload = bytes(self._rest[8:length])
        del self._rest[:length]
        if self._layout is None:
            return Stray("samples without a header")
        if len(payload) % self._layout.itemsize:
            return Stray(f"a block of {len(payload)} bytes is no whole number of samples of {self._layout.itemsize}")
        values = _scaled(np.frombuffer(payload, self._layout), self._fields, self._raw)
        first, self._next = self._next, self._next + len(payload) // self._layout.itemsize
        return Samples(values, first)

    def _end(self) -> Message | None:
        match = _END.match(self._rest)
        if match is None:
            return self._skip() if b"\n" in self._rest[:256] or len(self._rest) > 256 else None
        samples, reason = int(match[1]), match[2].decode("ascii", "replace").strip()
        stop = match.end()
        del match  # a bytearray can not shrink while a match looks at it
        del self._rest[:stop]
        return Stop(samples, reason)


def _layout(header: str) -> tuple[tuple[Field, ...], np.dtype[np.void], bool]:
    """Fields of a sample, how it lies in memory, and whether values are raw.

    Raises:
        ValueError: A field has no name or an unknown type, or the sizes do not fit.
    """
    if "<!" in header or 'format="Framed"' not in header:
        raise ValueError("the header is not that of framed samples: ask for XML FRAMED")
    fields = tuple(_field(dict(_ATTRIBUTE.findall(found))) for found in _FIELD.findall(header))
    if not 0 < len(fields) <= 1024:
        raise ValueError(f"the header has {len(fields)} fields, expected 1 to 1024")
    layout = np.dtype([(f"f{place}", _TYPES[field.type]) for place, field in enumerate(fields)])
    stated = re.search(r'sample_bytes="(\d{1,6})"', header)
    if stated is not None and int(stated[1]) != layout.itemsize:
        raise ValueError(f"a sample has {stated[1]} bytes, but its fields {layout.itemsize}")
    return fields, layout, 'process="Raw"' in header


def _field(told: dict[str, str]) -> Field:
    name, kind = told.get("name", ""), told.get("type", "")
    if not name or kind not in _TYPES:
        raise ValueError(f"a field is called {name[:40]!r} and has the type {kind[:20]!r}")
    scale, offset = float(told.get("scale", 1)), float(told.get("offset", 0))
    return Field(name, told.get("capture", "Value"), kind, scale, offset, told.get("units", ""))


def _scaled(samples: Array, fields: tuple[Field, ...], raw: bool) -> dict[str, Array]:
    """Values by channel, in the unit that the box is set to."""
    found: dict[str, Array] = {}
    gate = next((place for place, field in enumerate(fields) if field.channel == _GATE), None)
    for place, field in enumerate(fields):
        values = samples[f"f{place}"].astype(np.float64)
        if raw and field.capture == "Mean":
            if gate is None:
                continue
            # a sum over the ticks of the gate; a gate of no length measured nothing
            ticks = samples[f"f{gate}"].astype(np.float64)
            values = np.divide(values, ticks, out=np.full(len(values), np.nan), where=ticks > 0)
        found[field.channel] = values * field.scale + field.offset if raw else values
    return found


def write_header(channels: list[Field]) -> bytes:
    """The header of a capture with these fields."""
    layout = sum(np.dtype(_TYPES[field.type]).itemsize for field in channels)
    lines = [
        f'<field name="{f.name}" type="{f.type}" capture="{f.capture}" scale="{f.scale:g}" offset="{f.offset:g}" units="{f.units}" />'
        for f in channels
    ]
    top = f'<data missed="0" process="Raw" format="Framed" sample_bytes="{layout}" />'
    return ("<header>\n" + top + "\n<fields>\n" + "\n".join(lines) + "\n</fields>\n</header>\n\n").encode()


def write_block(channels: list[Field], columns: list[Array]) -> bytes:
    """Samples of raw values, one column for each field."""
    samples = np.empty(len(columns[0]), [(f"f{place}", _TYPES[field.type]) for place, field in enumerate(channels)])
    for place, column in enumerate(columns):
        samples[f"f{place}"] = column
    payload = samples.tobytes()
    return b"BIN " + (len(payload) + 8).to_bytes(4, "little") + payload


def write_end(samples: int, reason: str = "Ok") -> bytes:
    """The line after the last samples."""
    return f"END {samples} {reason}\n".encode()

"""Blocks of EDF files: a text header in braces, then the pixels of one frame."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError

from .packed import length, opened

_TYPES = {
    "signedbyte": "i1",
    "unsignedbyte": "u1",
    "signedshort": "i2",
    "unsignedshort": "u2",
    "signedinteger": "i4",
    "unsignedinteger": "u4",
    "signedlong": "i4",
    "unsignedlong": "u4",
    "signed64": "i8",
    "unsigned64": "u8",
    "float": "f4",
    "floatvalue": "f4",
    "floatieee32": "f4",
    "real": "f4",
    "double": "f8",
    "doublevalue": "f8",
    "floatieee64": "f8",
}
"""``Long`` has 32 bits in EDF."""
_STEP = 512
_MOST_HEADER = 2**20
_MOST_FRAMES = 10**6
_PAIR = re.compile(r"\s*([^=\s][^=]*?)\s*=\s*([^;]*?)\s*(?:;|$)")


@dataclass(frozen=True, slots=True)
class Block:
    """One frame of a file."""

    path: Path
    offset: int
    """Of the first pixel."""
    shape: tuple[int, int]
    """(row, col)"""
    dtype: np.dtype[Any]
    header: dict[str, str]
    """Keys in lower case."""

    @property
    def end(self) -> int:
        """One past the last byte."""
        return self.offset + prod(self.shape) * self.dtype.itemsize

    def unpacked(self, file: BinaryIO) -> Array:
        """The pixels, from the unpacked bytes of a file.

        Raises:
            SourceError: There are too few.
        """
        file.seek(self.offset)
        raw = file.read(self.end - self.offset)
        if len(raw) < self.end - self.offset:
            raise no_edf(self.path, "it ends before its pixels do")
        return np.frombuffer(raw, self.dtype).reshape(self.shape)


def read_blocks(path: Path, most: int = _MOST_FRAMES) -> list[Block]:
    """The frames of a file, without their pixels.

    Raises:
        SourceError: It is no EDF file, or shorter than its headers say.
    """
    found: list[Block] = []
    try:
        with opened(path) as file:
            size = length(path, file)
            place = 0
            while place < size and len(found) < most:
                file.seek(place)
                raw = _header(file, path)
                if raw is None:  # padding after the last frame
                    break
                found.append(block := _block(path, raw, place + len(raw), size))
                place = block.end
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise no_edf(path, str(error)) from error
    if not found:
        raise no_edf(path, "it has no header in braces")
    return found


def _header(file: BinaryIO, path: Path) -> bytes | None:
    """The bytes of a header, closing brace and line end included; None where none begins."""
    raw = file.read(_STEP)
    if not raw.lstrip().startswith(b"{"):
        return None
    while b"}" not in raw:
        more = file.read(_STEP)
        if not more or len(raw) > _MOST_HEADER:
            raise no_edf(path, "its header has no end")
        raw += more
    end = raw.index(b"}") + 1
    for line in (b"\r\n", b"\n"):
        if raw[end : end + len(line)] == line:
            return raw[: end + len(line)]
    return raw[:end]


def _block(path: Path, raw: bytes, offset: int, size: int) -> Block:
    text = raw.decode("latin-1").strip().strip("{}")
    header = {match[1].strip().lower(): match[2] for match in _PAIR.finditer(text)}
    kind = _TYPES.get(header.get("datatype", "").lower())
    try:
        shape = (int(header.get("dim_2", "1")), int(header["dim_1"]))
    except (KeyError, ValueError):
        raise no_edf(path, "its header has no Dim_1 and Dim_2") from None
    if kind is None or min(shape) < 1 or header.get("dim_3", "1") not in ("", "1"):
        raise no_edf(path, f"its header says {shape} pixels of type {header.get('datatype')!r}")
    if header.get("compression", "none").lower() not in ("none", "nocompression", ""):
        raise no_edf(path, f"its pixels are compressed by {header['compression']!r}")
    order = ">" if header.get("byteorder", "LowByteFirst").lower().startswith("high") else "<"
    block = Block(path, offset, shape, np.dtype(order + kind), header)
    if block.end > size:
        raise SourceError(
            f"The file is cut short: its header asks for {block.end} byte, and it has {size}.",
            field="path",
            value=str(path),
            next_move="Copy it again from where it was written, or wait until the copy is complete.",
        )
    return block


def motor(header: dict[str, str], name: str) -> float | None:
    """A motor's position: by its own key, or from the lists ``motor_mne`` and ``motor_pos``."""
    found = header.get(name.lower())
    if found is None:
        positions = dict(zip(header.get("motor_mne", "").split(), header.get("motor_pos", "").split(), strict=False))
        found = positions.get(name)
    try:
        return None if found is None else float(found.split()[0])
    except (ValueError, IndexError):
        return None


def no_edf(path: Path, why: str) -> SourceError:
    """The error for a file that is something else."""
    return SourceError(
        f"The file can not be read as EDF ({why}).",
        field="path",
        value=str(path),
        expected="EDF with two dimensions, not compressed",
        next_move="Copy it again from where it was written, or convert it.",
    )

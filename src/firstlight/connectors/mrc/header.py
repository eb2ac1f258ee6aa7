"""The first 1024 byte of an MRC file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

LENGTH = 1024


class Header:
    """The first 1024 byte."""

    def __init__(self, raw: bytes) -> None:
        mark = raw[212:214]
        big = mark[:1] == b"\x11" if mark[:1] in (b"\x11", b"\x44") else _looks_big(raw)
        self.order = ">" if big else "<"
        words: Any = np.frombuffer(raw, self.order + "i4")
        floats: Any = np.frombuffer(raw, self.order + "f4")
        self.columns, self.rows, self.sections, self.mode = (int(word) for word in words[:4])
        self.intervals = tuple(int(word) for word in words[7:10])
        self.cell = tuple(float(word) for word in floats[10:13])
        """Å"""
        self.extra = int(words[23])
        self.kind = raw[104:108]
        self.each = tuple(int(n) for n in np.frombuffer(raw, self.order + "i2", 2, 128))
        """Numbers ``nint`` and ``nreal``: what the extended header has for each section."""
        labels = min(max(int(words[55]), 0), 10)
        self.labels = tuple(raw[224 + 80 * n : 304 + 80 * n].decode("latin-1") for n in range(labels))
        """What programs noted of what they did."""
        self.marked = raw[208:212] == b"MAP "
        self.signed = not (self.mode == 0 and int(words[39]) & 1 == 0 and int(words[38]) == 1146047817)
        """IMOD writes unsigned bytes in mode 0 where its flag says so."""


def _looks_big(raw: bytes) -> bool:
    """By the mode, where the mark of the byte order is missing."""
    return not 0 <= int.from_bytes(raw[12:16], "little", signed=True) <= 200


def is_marked(path: Path) -> bool:
    """True for a file with the mark of MRC2014, whatever else its header says."""
    try:
        with path.open("rb") as file:
            return file.read(212)[208:] == b"MAP "
    except OSError:
        return False

"""Raw packets of Timepix3 chips, as SERVAL writes and sends them (``.tpx3``): both ways, without sockets.

A stream is sections: a word with ``TPX3``, the chip and the size, then 64-bit words, all little-endian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstlight.core.arrays import Array
from firstlight.kernels.timepix import CHIP, MAGIC, STATE, decode

EDGES = {"1 rising": 0xF, "1 falling": 0xA, "2 rising": 0xE, "2 falling": 0xB}
"""Inputs for triggers, and how packets call them."""
LARGEST = 65528
"""Bytes of the largest section."""
_MARK = b"TPX3"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a chip lies on the detector."""

    row: int = 0
    col: int = 0
    turned: bool = False
    """By half a turn."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What some bytes held."""

    times: NDArray[np.int64]
    """Of each hit, in ticks of 25/16 ns."""
    pixels: NDArray[np.uint32]
    """Row · columns + column."""
    widths: NDArray[np.uint16]
    """Time over threshold in 25 ns."""
    triggers: NDArray[np.int64]
    """(trigger, 3): kind, count (12 bits), time."""


class Packets:
    """Reads a stream that comes in pieces of any size.

    What makes no sense is passed over up to the next section, and counted.
    """

    def __init__(self, chips: Sequence[Place], columns: int) -> None:
        """Nothing has come."""
        self._chips = np.array([(place.row, place.col, place.turned) for place in chips], np.int64).reshape(-1, 3)
        self._columns = columns
        self._state = np.zeros(STATE, np.int64)
        self._rest = b""
        self.skipped = 0
        """Bytes that belong to no section."""

    @property
    def newest(self) -> int:
        """The time of the last packet, in ticks."""
        return int(self._state[2])

    @property
    def timeless(self) -> int:
        """Hits that were recorded without their time of arrival, and so have no place in a scan."""
        return int(self._state[7])

    def feed(self, data: bytes | memoryview) -> Found:
        """The packets that are complete; the rest waits for more."""
        whole = self._rest + bytes(data)
        parts: list[Found] = []
        at, end = 0, len(whole) - len(whole) % 8
        while at < end:
            words = np.frombuffer(whole, "<u8", (len(whole) - at) // 8, at)
            read, found, stray = self._read(words)
            parts.append(found)
            at += 8 * read
            end = at + 8 * (len(words) - read)
            if stray:
                mark = whole.find(_MARK, at + 1)
                # the last bytes may be the beginning of a mark
                mark = max(at + 1, len(whole) - len(_MARK) + 1) if mark < 0 else mark
                self.skipped += mark - at
                at = mark
                end = at + (len(whole) - at) // 8 * 8
        self._rest = whole[at:]
        return joined(parts)

    def _read(self, words: NDArray[np.uint64]) -> tuple[int, Found, bool]:
        room = len(words)
        hits = np.empty(room, np.int64), np.empty(room, np.uint32), np.empty(room, np.uint16)
        triggers = np.empty((room, 3), np.int64)
        given: Any = words.astype(np.uint64, copy=False)
        read, count, edges, stray = decode(given, self._state, self._chips, self._columns, *hits, triggers)
        return read, Found(hits[0][:count], hits[1][:count], hits[2][:count], triggers[:edges]), stray


def joined(parts: list[Found]) -> Found:
    """Several as one."""
    if not parts:
        parts = [
            Found(np.zeros(0, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.uint16), np.zeros((0, 3), np.int64))
        ]
    if len(parts) == 1:
        return parts[0]
    return Found(
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.widths for part in parts]),
        np.concatenate([part.triggers for part in parts]),
    )


# ---- the other way ------------------------------------------------------------------------------------------------------


def hit_words(times: Array, rows: Array, cols: Array, widths: Array) -> NDArray[np.uint64]:
    """Packets of hits on one chip: times in ticks, rows and columns of the chip, times over threshold in 25 ns."""
    ticks = np.asarray(times, np.int64)
    coarse = -(-ticks // 16)
    fine = coarse * 16 - ticks
    clock: Any = (coarse % (1 << 30)).astype(np.uint64)
    row: Any = np.asarray(rows, np.uint64)
    col: Any = np.asarray(cols, np.uint64)
    # double column, then super pixel, then the pixel in it: columns of two, rows of four
    place = (col >> 1 << 9) | (row >> 2 << 3) | ((col & 1) << 2) | (row & 3)
    word = (np.uint64(0xB) << np.uint64(60)) | (place << np.uint64(44)) | ((clock & 0x3FFF) << np.uint64(30))
    return (
        word
        | (np.asarray(widths, np.uint64) << np.uint64(20))
        | (fine.astype(np.uint64) << np.uint64(16))
        | clock >> 14
    )


def trigger_words(times: Array, counts: Array, kind: str = "1 rising") -> NDArray[np.uint64]:
    """Packets of triggers: times in ticks."""
    ticks = np.asarray(times, np.int64)
    stamp = (ticks // 2 % (1 << 35)).astype(np.uint64)
    fine = np.where(ticks % 2, 7, 1).astype(np.uint64)
    word: Any = (np.uint64(0x60 | EDGES[kind]) << np.uint64(56)) | (
        (np.asarray(counts, np.uint64) & 0xFFF) << np.uint64(44)
    )
    return word | (stamp << np.uint64(9)) | (fine << np.uint64(5))


def global_words(time: int) -> NDArray[np.uint64]:
    """The two packets of the global time, in ticks."""
    stamp = time // 16
    low, high, clock = stamp & 0xFFFFFFFF, stamp >> 32 & 0xFFFF, stamp >> 14 & 0xFFFF
    return np.array([0x44 << 56 | low << 16 | clock, 0x45 << 56 | high << 16 | clock], np.uint64)


def section(words: NDArray[np.uint64], chip: int = 0) -> bytes:
    """Words of one chip behind their headers."""
    step = LARGEST // 8
    parts = [words[first : first + step] for first in range(0, len(words), step)]
    heads = [np.array([MAGIC | chip << 32 | 8 * len(part) << 48], "<u8").tobytes() for part in parts]
    return b"".join(head + part.astype("<u8").tobytes() for head, part in zip(heads, parts, strict=True))


__all__ = [
    "CHIP",
    "EDGES",
    "Found",
    "Packets",
    "Place",
    "global_words",
    "hit_words",
    "joined",
    "section",
    "trigger_words",
]

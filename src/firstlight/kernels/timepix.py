"""Packets of Timepix3 chips to hits and triggers, and hits to electrons.

Times count in ticks of 25/16 ns, the finest that a pixel tells, from the first packet on. Chip and trigger clocks are the same one; what
is sent of it wraps every 26.8 s (30 bits of 25 ns), so that each time is taken to be the one nearest to the last. Layout of the
64-bit words: manual of SERVAL, raw file format of Timepix3.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["CHIP", "MAGIC", "PERIOD", "STATE", "TICK", "cluster", "decode"]

MAGIC = 0x33585054
"""``TPX3``, the lower half of the word before the packets of a chip."""
CHIP = 256
"""Rows and columns of a chip."""
TICK = 25e-9 / 16
"""Second."""
PERIOD = 1 << 34
"""Ticks after which the clock of pixels starts over."""
STATE = 8
"""Numbers that `decode` keeps: chip, words left of its packets, time of the last packet, whether there was one, lower half of the
global time, its offset, whether there is one, packets without a time."""
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}


@numba.njit(**_OPTIONS)
def _nearest(value: Any, last: Any) -> Any:
    """The time nearest to `last` that is `value` on the clock."""
    ahead = (value - last) % PERIOD
    return last + (ahead - PERIOD if ahead >= PERIOD // 2 else ahead)


@numba.njit(**_OPTIONS)
def decode(
    words: NDArray[np.uint64],
    state: NDArray[np.int64],
    chips: NDArray[np.int64],
    columns: int,
    times: NDArray[np.int64],
    pixels: NDArray[np.uint32],
    widths: NDArray[np.uint16],
    triggers: NDArray[np.int64],
) -> tuple[int, int, int, bool]:
    """Read packets until there is none, or until a word comes that is no header where one is due.

    Args:
        words: 64-bit words.
        state: (STATE,) of the stream, changed.
        chips: Row and column of the first pixel of each chip on the detector, and whether it is turned by half a turn: (chip, 3).
        columns: Of the detector.
        times: Room for the time of every hit, in ticks.
        pixels: Likewise for its place, row · columns + column.
        widths: Likewise for its time over threshold, in 25 ns.
        triggers: Room for (kind, count, time) of every trigger.

    Returns:
        How many words were read, how many hits and triggers were found, and whether it stopped at a word that is no header.
    """
    hits, found = 0, 0
    for at in range(len(words)):
        word = words[at]
        if state[1] == 0:
            size = np.int64(word >> np.uint64(48))
            if (word & np.uint64(0xFFFFFFFF)) != MAGIC or size % 8:
                return at, hits, found, True
            state[0], state[1] = np.int64((word >> np.uint64(32)) & np.uint64(0xFF)), size // 8
            continue
        state[1] -= 1
        kind = np.int64(word >> np.uint64(60))
        if kind == 0xB and state[0] < len(chips):
            coarse = ((word & np.uint64(0xFFFF)) << np.uint64(14)) | ((word >> np.uint64(30)) & np.uint64(0x3FFF))
            time = np.int64(coarse) * 16 - np.int64((word >> np.uint64(16)) & np.uint64(0xF))
            state[2] = _nearest(time, state[2]) if state[3] else time % PERIOD
            state[3] = 1
            place = np.int64((word >> np.uint64(44)) & np.uint64(0xFFFF))
            col = ((place >> 8) & 0xFE) + ((place & 7) >> 2)
            row = ((place >> 1) & 0xFC) + (place & 3)
            if chips[state[0], 2]:
                row, col = CHIP - 1 - row, CHIP - 1 - col
            times[hits] = state[2]
            pixels[hits] = (row + chips[state[0], 0]) * columns + col + chips[state[0], 1]
            widths[hits] = np.uint16((word >> np.uint64(20)) & np.uint64(0x3FF))
            hits += 1
        elif kind == 0x6:
            # 35 bits of 3.125 ns, then twelfths of that: two ticks, and the half of twelve twelfths is one
            time = np.int64((word >> np.uint64(9)) & np.uint64(0x7FFFFFFFF)) * 2
            fine = np.int64((word >> np.uint64(5)) & np.uint64(0xF))
            time = (time + (1 if fine > 6 else 0)) % PERIOD
            state[2] = _nearest(time, state[2]) if state[3] else time
            state[3] = 1
            triggers[found, 0] = np.int64((word >> np.uint64(56)) & np.uint64(0xF))
            triggers[found, 1] = np.int64((word >> np.uint64(44)) & np.uint64(0xFFF))
            triggers[found, 2] = state[2]
            found += 1
        elif kind == 0x4:
            _global_time(word, state)
        elif kind == 0xA:
            state[7] += 1
    return len(words), hits, found, False


@numba.njit(**_OPTIONS)
def _global_time(word: Any, state: NDArray[np.int64]) -> None:
    """Keep up with the clock over pauses longer than it runs for."""
    which = np.int64((word >> np.uint64(56)) & np.uint64(0xF))
    if which == 4:
        state[4] = np.int64((word >> np.uint64(16)) & np.uint64(0xFFFFFFFF))
    elif which == 5 and state[3]:
        high = np.int64((word >> np.uint64(16)) & np.uint64(0xFFFF))
        now = ((high << 32) | state[4]) * 16
        if not state[6]:
            state[5], state[6] = now - _nearest(now % PERIOD, state[2]), 1
        state[2] = max(state[2], now - state[5])


@numba.njit(**_OPTIONS)
def cluster(
    times: NDArray[np.int64],
    pixels: NDArray[np.uint32],
    widths: NDArray[np.uint16],
    columns: int,
    window: int,
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.int64]]:
    """Put hits of neighbouring pixels at nearly the same time together: the electron that made them.

    Two hits are of one electron if their pixels touch (also at a corner) and their times differ by `window` at most, or if hits in
    between link them.

    Args:
        times: Of the hits, rising, in ticks.
        pixels: Row · columns + column.
        widths: Time over threshold; weights the place.
        columns: Of the detector.
        window: In ticks.

    Returns:
        Of each electron, in the order of its first hit: the time of that, its place (centre of mass by width, rounded to a
        pixel), and the number of its hits.
    """
    count = len(times)
    root = np.arange(count)
    first = 0
    for n in range(count):
        while times[n] - times[first] > window:
            first += 1
        row, col = np.int64(pixels[n]) // columns, np.int64(pixels[n]) % columns
        for m in range(first, n):
            other = np.int64(pixels[m])
            if abs(other // columns - row) <= 1 and abs(other % columns - col) <= 1:
                a, b = _root(root, n), _root(root, m)
                root[max(a, b)] = min(a, b)
    number = np.full(count, -1)
    sums, starts, hits = np.zeros((count, 3)), np.zeros(count, np.int64), np.zeros(count, np.int64)
    found = 0
    for n in range(count):
        top = _root(root, n)
        if number[top] < 0:
            number[top], starts[found] = found, times[top]
            found += 1
        k, weight = number[top], np.float64(widths[n]) + 1e-3
        sums[k, 0] += weight
        sums[k, 1] += weight * np.float64(np.int64(pixels[n]) // columns)
        sums[k, 2] += weight * np.float64(np.int64(pixels[n]) % columns)
        hits[k] += 1
    places = np.empty(found, np.uint32)
    for k in range(found):
        row, col = np.int64(round(sums[k, 1] / sums[k, 0])), np.int64(round(sums[k, 2] / sums[k, 0]))
        places[k] = row * columns + col
    return starts[:found], places, hits[:found]


@numba.njit(**_OPTIONS)
def _root(root: NDArray[np.int64], n: int) -> int:
    while root[n] != n:
        root[n] = root[root[n]]
        n = root[n]
    return n

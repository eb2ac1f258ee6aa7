"""Join lines that overlap: half turns about an axis near the side of the detector, and tiles beside each other.

Values between pixels come from a cubic through the four neighbours (Keys 1981), which blurs far less than a straight line.
In the overlap each part is weighted by its distance from its own rim, so that no seam shows.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


@numba.njit(nogil=True, cache=True, inline="always")
def _between(line: Any, place: float) -> float:
    """Value of a line at a place between its pixels; the outermost pixel goes on for ever."""
    last = line.size - 1
    place = min(max(place, 0.0), float(last))
    left = int(place)
    t = place - left
    if t == 0.0:
        return line[left]
    a, b = line[max(left - 1, 0)], line[left]
    c, d = line[min(left + 1, last)], line[min(left + 2, last)]
    return b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))


@numba.njit(nogil=True, cache=True, inline="always")
def _room(place: float, size: int) -> float:
    """How far a place lies inside a line; negative outside."""
    return min(place, size - 1 - place)


@numba.njit(nogil=True, cache=True)
def _mirror_lines(ahead: Any, behind: Any, center: float, out: Any) -> None:
    width, columns = ahead.shape[1], out.shape[1]
    for n in range(ahead.shape[0]):
        for j in range(columns):
            s = j - (columns - 1) / 2
            one, other = center + s, center - s
            near, far = _room(one, width), _room(other, width)
            if near < 0.0 and far < 0.0:
                out[n, j] = _between(ahead[n], one) if near > far else _between(behind[n], other)
            elif far < 0.0 or (near >= 0.0 and far == 0.0):
                out[n, j] = _between(ahead[n], one)
            elif near <= 0.0:
                out[n, j] = _between(behind[n], other)
            else:
                share = near / (near + far)
                out[n, j] = share * _between(ahead[n], one) + (1.0 - share) * _between(behind[n], other)


def join_half_turns(ahead: NDArray[np.floating], behind: NDArray[np.floating], center: float, columns: int) -> F32:
    """Full lines of a scan whose axis lies near the side of the detector: about the axis, s to -s, both halves meet.

    Args:
        ahead: shape (..., col): projections at some angles.
        behind: the same shape: projections half a turn later.
        center: column of the rotation axis, from 0.
        columns: width of the result; the axis lies in its middle.

    Returns:
        float32 of shape (..., columns). What neither has seen repeats the outermost pixel.

    Raises:
        ValueError: shapes that differ, or an axis off the detector.
    """
    width = ahead.shape[-1]
    if ahead.shape != behind.shape or not 0 <= center <= width - 1:
        raise ValueError(
            f"halves of {ahead.shape} and {behind.shape} about column {center}; expected equal, 0 to {width - 1}."
        )
    out = np.empty((*ahead.shape[:-1], columns), np.float32)
    first, second = (np.ascontiguousarray(half, np.float32).reshape(-1, width) for half in (ahead, behind))
    _mirror_lines(first, second, center, out.reshape(-1, columns))
    return out


@numba.njit(nogil=True, cache=True)
def _seen(start: float, width: int, columns: int) -> tuple[int, int]:
    """The first column that a tile has seen, and the one behind the last."""
    first = min(max(int(np.ceil(start)), 0), columns)
    return first, max(min(int(np.floor(start + width - 1)) + 1, columns), first)


@numba.njit(nogil=True, cache=True)
def _shares(starts: Any, width: int, columns: int) -> Any:
    """How much each tile has to say at each column, (tile, column); and the nearest tile where none has, else -1."""
    shares, totals = np.zeros((starts.size, columns), np.float32), np.zeros(columns, np.float32)
    for k in range(starts.size):
        first, behind = _seen(starts[k], width, columns)
        for j in range(first, behind):
            shares[k, j] = _room(j - starts[k], width) + 1e-3  # at its very rim a tile has hardly a say
            totals[j] += shares[k, j]
    nearest = np.full(columns, -1)
    for j in np.flatnonzero(totals == 0):
        totals[j], best = 1, -np.inf
        for k in range(starts.size):
            if _room(j - starts[k], width) > best:
                best, nearest[j] = _room(j - starts[k], width), k
    shares /= totals
    return shares, nearest


@numba.njit(nogil=True, cache=True, fastmath={"contract"})
def _add_tile(line: Any, start: float, share: Any, out: Any) -> None:
    """Add a line of a tile where it has a say; all its places lie between pixels by the same part."""
    first, behind = _seen(start, line.size, out.size)
    if first == behind:
        return
    left = int(first - start)
    t = np.float32(first - start - left)
    target, say = out[first:behind], share[first:behind]
    if t == 0:
        part = line[left : left + target.size]
        for j in range(target.size):
            target[j] += say[j] * part[j]
        return
    half, one, two = np.float32(0.5), np.float32(1), np.float32(2)
    a = half * t * (t * (two - t) - one)
    b = one + half * t * t * (np.float32(3) * t - np.float32(5))
    c = half * t * (one + t * (np.float32(4) - np.float32(3) * t))
    d = half * t * t * (t - one)
    begin, end = max(0, 1 - left), min(target.size, line.size - 2 - left)  # all four neighbours are on the line
    far, near, after, late = (
        line[left + begin - 1 :],
        line[left + begin :],
        line[left + begin + 1 :],
        line[left + begin + 2 :],
    )
    inner, heard = target[begin:], say[begin:]
    for j in range(end - begin):
        inner[j] += heard[j] * (a * far[j] + b * near[j] + c * after[j] + d * late[j])
    for j in range(target.size):
        if j < begin or j >= end:
            target[j] += say[j] * _between(line, float(left + j + t))


@numba.njit(nogil=True, cache=True)
def _join_tiles(tiles: Any, starts: Any, out: Any) -> None:
    count, lines, width = tiles.shape
    shares, nearest = _shares(starts, width, out.shape[1])
    unseen = np.flatnonzero(nearest >= 0)
    for n in range(lines):
        out[n] = 0
        for k in range(count):
            _add_tile(tiles[k, n], starts[k], shares[k], out[n])
        for j in unseen:
            out[n, j] = _between(tiles[nearest[j], n], j - starts[nearest[j]])


def join_tiles(tiles: NDArray[np.floating], offset: float, columns: int, out: F32 | None = None) -> F32:
    """Join tiles beside each other, each `offset` pixels behind the one before.

    Args:
        tiles: shape (tile, line, col).
        offset: columns from the beginning of one tile to that of the next; may be a fraction, or negative.
        columns: width of the result, which begins where the first of the tiles does.
        out: float32 (line, columns) that is filled; a new one by default.

    Returns:
        float32 of shape (line, columns). What no tile has seen repeats the nearest pixel.
    """
    starts = np.arange(len(tiles)) * float(offset)
    joined = np.empty((tiles.shape[1], columns), np.float32) if out is None else out
    _join_tiles(np.ascontiguousarray(tiles, np.float32), starts - starts.min(), joined)
    return joined

"""Everything that is a sum over pixels or over frames, in one pass over memory.

Virtual detectors (sums under masks), centres of mass (first moments) and the sum image of a chunk need the same pixels:
:func:`frame_sums` reads them once. It takes four frames at a time, tile by tile (some rows, a few KiB), so that
pixels come from memory in long runs and once, and the sum image is read and written once for four frames. What bounds it is
memory as long as there are few masks.

Integers give 64-bit integers, exactly; floats give double precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["FrameSums", "Masks", "frame_sums", "readable", "sum_dtype", "weighted_sums"]

# sums may be taken in any order, which lets them vectorise; NaN and infinity keep their meaning
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "reassoc"},
}
_TILE = 4096
"""Pixels of a tile: four frames of it and the sum image fit into 48 KiB."""
_BAND = 65536
"""Pixels of the sum image that are added to at a time: 256 KiB stay in the second cache."""
_BLOCK = 32768
"""Frames whose 16-bit values can not overflow 32 bits."""
_SPARSE = 8
"""A stack of masks that uses less than 1/8 of its pixels is multiplied pixel by pixel, others as a matrix."""


class Masks:
    """A stack of masks, prepared once for many chunks of frames.

    Args:
        masks: (mask, row, col), bool.

    Raises:
        ValueError: if they are not bool or not a stack.
    """

    def __init__(self, masks: ArrayLike) -> None:
        """Note which tiles each mask uses."""
        found = np.asarray(masks)
        if found.dtype.kind != "b" or found.ndim != 3:
            raise ValueError(f"masks are {found.dtype} of shape {found.shape}: expected bool, (mask, row, col)")
        self.bits = np.ascontiguousarray(found).view(np.uint8)
        rows, cols = found.shape[1:]
        self.tile = max(1, _TILE // max(cols, 1))
        tops = range(0, rows, self.tile)
        self.used = np.array([[mask[top : top + self.tile].any() for top in tops] for mask in found], bool)
        self.used = self.used.reshape(len(found), len(tops))
        self.whole = bool(found.all())

    def __len__(self) -> int:
        """Number of masks."""
        return len(self.bits)


@dataclass(frozen=True, slots=True)
class FrameSums:
    """What one pass over some frames found; None where it was not asked for."""

    masks: NDArray[Any] | None = None
    """Sum of each frame under each mask, (frame, mask)."""
    moments: NDArray[Any] | None = None
    """Sum, sum times row and sum times column of each frame, (frame, 3); rows and columns count from 0."""
    image: NDArray[Any] | None = None
    """Sum of all frames, (row, col)."""


def sum_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """The number type in which frames of ``dtype`` are summed: uint64, int64 or float64.

    Raises:
        ValueError: if ``dtype`` is neither integer, bool nor float.
    """
    kind = np.dtype(dtype).kind
    if kind not in "buif":
        raise ValueError(f"dtype is {np.dtype(dtype)}: expected integers or floats")
    return np.dtype({"b": np.uint64, "u": np.uint64, "i": np.int64, "f": np.float64}[kind])


def readable(frames: ArrayLike) -> NDArray[Any]:
    """Frames in a type that numba reads: native byte order, no half precision, no bool."""
    values = np.asarray(frames)
    sum_dtype(values.dtype)
    if values.dtype.kind == "b":
        return values.view(np.uint8)
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float32)
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def frame_sums(
    frames: ArrayLike, masks: Masks | None = None, *, moments: Masks | None = None, image: bool = False
) -> FrameSums:
    """Sums of frames under masks, first moments and sum image, whichever are asked for, in one pass.

    Args:
        frames: (frame, row, col), integers or floats.
        masks: any number of masks; a pixel outside a mask counts nothing even if it is NaN.
        moments: one mask: where first moments are taken; None for no moments.
        image: also the sum over frames.

    Raises:
        ValueError: if the shapes do not fit.
    """
    values = np.ascontiguousarray(readable(frames))
    if values.ndim != 3:
        raise ValueError(f"frames has shape {values.shape}: expected (frame, row, col)")
    count, (rows, cols) = len(values), values.shape[1:]
    nothing = Masks(np.zeros((0, rows, cols), bool))
    under, inside = nothing if masks is None else masks, nothing if moments is None else moments
    for each in (under, inside):
        if each.bits.shape[1:] != (rows, cols):
            raise ValueError(
                f"frames has shape {values.shape} and masks {each.bits.shape}: expected (.., row, col) alike"
            )
    total = sum_dtype(values.dtype)
    # a tile of 65536 pixels of 16 bit can not overflow 32 bits
    small = values.dtype.kind == "u" and values.dtype.itemsize <= 2 and cols <= 65536
    sums, first = np.zeros((count + 3, len(under)), total), np.zeros((count + 3, 3), total)
    seen = np.zeros((rows if image else 0, cols), total)
    # whole tiles of the sum image that stay in the second cache
    tiles = max(1, _BAND // (under.tile * max(cols, 1))) if image else rows
    scratch = np.zeros((tiles * under.tile if image else 1, cols), np.uint32 if small else total)
    which = 0 if moments is None else 1 if moments.whole else 2
    bits = np.zeros((rows, cols), np.uint8) if moments is None else moments.bits[0]
    for start in range(0, count, _BLOCK):
        part = values[start : start + _BLOCK]
        _pass(part, under.bits, under.used, bits, which, under.tile, tiles, scratch, sums[start:], first[start:], seen)
    return FrameSums(
        None if masks is None else sums[:count], None if moments is None else first[:count], seen if image else None
    )


@numba.njit(**_OPTIONS)
def _pass(
    frames: NDArray[Any],
    masks: NDArray[np.uint8],
    used: NDArray[np.bool_],
    inside: NDArray[np.uint8],
    which: int,
    tile: int,
    tiles: int,
    scratch: NDArray[Any],
    under: NDArray[Any],
    first: NDArray[Any],
    image: NDArray[Any],
) -> None:
    """One pass; `which` is 0 for no moments, 1 for those of all pixels, 2 for those inside."""
    count, rows, cols = frames.shape
    nothing = np.zeros((tile, cols), frames.dtype)
    band = tile * tiles
    for start in range(0, rows, band):
        scratch[:] = 0
        stop = min(start + band, rows)
        for n in range(0, count, 4):
            for top in range(start, stop, tile):
                end = min(top + tile, stop)
                a = frames[n, top:end]
                b = frames[n + 1, top:end] if n + 1 < count else nothing[: end - top]
                c = frames[n + 2, top:end] if n + 2 < count else nothing[: end - top]
                d = frames[n + 3, top:end] if n + 3 < count else nothing[: end - top]
                if which == 1 and image.shape[0]:
                    _moments_and_image(a, b, c, d, scratch[top - start : end - start], top, first, n)
                elif which:
                    for k in range(n, min(n + 4, count)):
                        _moments(frames[k, top:end], inside, which, top, scratch, first, k)
                for m in range(masks.shape[0]):
                    if used[m, top // tile]:
                        _under_one(a, b, c, d, masks[m, top:end], scratch, under, n, m)
                if image.shape[0] and which != 1:
                    sums = scratch[top - start : end - start].reshape(-1)
                    _add_four(sums, a.reshape(-1), b.reshape(-1), c.reshape(-1), d.reshape(-1))
        if image.shape[0]:
            for row in range(start, stop):
                for col in range(cols):
                    image[row, col] += image.dtype.type(scratch[row - start, col])


@numba.njit(**_OPTIONS)
def _under_one(
    a: NDArray[Any],
    b: NDArray[Any],
    c: NDArray[Any],
    d: NDArray[Any],
    mask: NDArray[np.uint8],
    like: NDArray[Any],
    under: NDArray[Any],
    n: int,
    m: int,
) -> None:
    """Sums of a tile of four frames under one mask, each mask pixel read once."""
    zero = like.dtype.type(0)
    s, t, u, v = zero, zero, zero, zero
    w, x, y, z, bits = a.reshape(-1), b.reshape(-1), c.reshape(-1), d.reshape(-1), mask.reshape(-1)
    for i in range(bits.size):
        inside = bits[i]
        s = like.dtype.type(s + (like.dtype.type(w[i]) if inside else zero))
        t = like.dtype.type(t + (like.dtype.type(x[i]) if inside else zero))
        u = like.dtype.type(u + (like.dtype.type(y[i]) if inside else zero))
        v = like.dtype.type(v + (like.dtype.type(z[i]) if inside else zero))
    under[n, m] += under.dtype.type(s)
    under[n + 1, m] += under.dtype.type(t)
    under[n + 2, m] += under.dtype.type(u)
    under[n + 3, m] += under.dtype.type(v)


@numba.njit(**_OPTIONS)
def _add_four(sums: NDArray[Any], a: NDArray[Any], b: NDArray[Any], c: NDArray[Any], d: NDArray[Any]) -> None:
    """Four frames added to the tile of the sum image, which is read and written once for them."""
    for i in range(a.size):
        four = sums.dtype.type(a[i]) + sums.dtype.type(b[i]) + sums.dtype.type(c[i]) + sums.dtype.type(d[i])
        sums[i] = sums.dtype.type(sums[i] + four)


@numba.njit(**_OPTIONS)
def _moments(
    tile: NDArray[Any],
    inside: NDArray[np.uint8],
    which: int,
    top: int,
    like: NDArray[Any],
    first: NDArray[Any],
    n: int,
) -> None:
    """Sum and first moments of a tile of one frame: by row sums, and by one line of column sums."""
    # made here, so that the compiler knows that it overlaps with nothing
    columns = np.zeros(tile.shape[1], like.dtype)
    zero, long = columns.dtype.type(0), first.dtype.type
    for row in range(tile.shape[0]):
        pixels, total = tile[row], zero
        if which == 1:
            for i in range(pixels.size):
                value = columns.dtype.type(pixels[i])
                total = columns.dtype.type(total + value)
                columns[i] = columns.dtype.type(columns[i] + value)
        else:
            bits = inside[top + row]
            for i in range(pixels.size):
                value = columns.dtype.type(pixels[i]) if bits[i] else zero
                total = columns.dtype.type(total + value)
                columns[i] = columns.dtype.type(columns[i] + value)
        first[n, 0] += long(total)
        first[n, 1] += long(total) * long(top + row)
    across = long(0)
    for i in range(columns.size):
        across += long(columns[i]) * long(i)
    first[n, 2] += across


@numba.njit(**_OPTIONS)
def _moments_and_image(
    a: NDArray[Any],
    b: NDArray[Any],
    c: NDArray[Any],
    d: NDArray[Any],
    sums: NDArray[Any],
    top: int,
    first: NDArray[Any],
    n: int,
) -> None:
    """Sums and first moments of a tile of four frames, which are added to the sum image: each pixel is read once."""
    kind, long, cols = sums.dtype.type, first.dtype.type, a.shape[1]
    # made here, so that the compiler knows that they overlap with nothing
    e, f, g, h = (
        np.zeros(cols, sums.dtype),
        np.zeros(cols, sums.dtype),
        np.zeros(cols, sums.dtype),
        np.zeros(cols, sums.dtype),
    )
    for row in range(a.shape[0]):
        w, x, y, z, line = a[row], b[row], c[row], d[row], sums[row]
        s, t, u, v = kind(0), kind(0), kind(0), kind(0)
        for i in range(cols):
            p, q, r, o = kind(w[i]), kind(x[i]), kind(y[i]), kind(z[i])
            s, t, u, v = kind(s + p), kind(t + q), kind(u + r), kind(v + o)
            e[i], f[i], g[i], h[i] = kind(e[i] + p), kind(f[i] + q), kind(g[i] + r), kind(h[i] + o)
            line[i] = kind(line[i] + kind(kind(p + q) + kind(r + o)))
        place = long(top + row)
        for k, total in enumerate((s, t, u, v)):
            first[n + k, 0] += long(total)
            first[n + k, 1] += long(total) * place
    for i in range(cols):
        first[n, 2] += long(e[i]) * long(i)
        first[n + 1, 2] += long(f[i]) * long(i)
        first[n + 2, 2] += long(g[i]) * long(i)
        first[n + 3, 2] += long(h[i]) * long(i)


def weighted_sums(frames: ArrayLike, weights: ArrayLike) -> NDArray[Any]:
    """Sum each frame under each mask of weights.

    Args:
        frames: (frame, row, col), integers or floats.
        weights: (mask, row, col), real or complex; a pixel of weight 0 counts nothing even if it is NaN.

    Returns:
        (frame, mask), float64 or complex128.

    Raises:
        ValueError: if the shapes do not fit.
    """
    values, given = readable(frames), np.asarray(weights)
    if values.ndim != 3 or given.ndim != 3 or values.shape[1:] != given.shape[1:]:
        raise ValueError(f"frames has shape {values.shape} and masks {given.shape}: expected the same (.., row, col)")
    pixels = values.shape[1] * values.shape[2]
    flat = values.reshape(len(values), pixels)
    table = given.reshape(len(given), pixels)
    if table.dtype.kind == "c":
        parts = np.concatenate([np.real(table), np.imag(table)]).astype(np.float64)
        both = _products(flat, parts)
        return both[:, : len(table)] + 1j * both[:, len(table) :]
    return _products(flat, np.ascontiguousarray(table, dtype=np.float64))


def _products(flat: NDArray[Any], table: NDArray[np.float64]) -> NDArray[np.float64]:
    masks, places = np.nonzero(table)
    if flat.dtype.kind == "f" or len(masks) * _SPARSE < table.size:
        starts = np.searchsorted(masks, np.arange(len(table) + 1))
        out = np.zeros((len(flat), len(table)))
        _sparse(np.ascontiguousarray(flat), starts, places, table[masks, places], out)
        return out
    return flat.astype(np.float64) @ table.T


@numba.njit(**_OPTIONS)
def _sparse(
    flat: NDArray[Any],
    starts: NDArray[np.int64],
    places: NDArray[np.int64],
    weights: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    for n in range(flat.shape[0]):
        for m in range(out.shape[1]):
            total = 0.0
            for j in range(starts[m], starts[m + 1]):
                total += weights[j] * np.float64(flat[n, places[j]])
            out[n, m] = total

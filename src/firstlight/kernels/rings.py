"""Rings of slices, found in polar coordinates and subtracted where they are (Sijbers and Postnov 2004).

Values are averaged in sectors of a few degree. Along a radius a ring is a narrow line: what differs from the running
median along the radius. Of neighbouring sectors the median is the ring, which edges of the sample in a few of them do
not change. Only this is brought back to the slice, so that the sample keeps its sharpness.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from firstlight.kernels.running_median import running_median

__all__ = ["remove_rings"]

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
Plane = NDArray[np.float32]
_STEP = 0.5
"""Pixels between two radii: rings of both halves of the detector lie at different fractions of a pixel."""
_SECTORS = 72
"""Parts of the full circle in which a ring has one value each."""


def remove_rings(
    image: Plane, *, center: tuple[float, float], width: int, arc: float, limit: float | None, rounds: int
) -> Plane:
    """Subtract rings around a center.

    Args:
        image: (y, x) float32, finite.
        center: (y, x) of the rings.
        width: pixels of the median along the radius: rings up to half as wide are found.
        arc: length in degree of the arc over which a ring is followed.
        limit: difference from the median beyond which it is the sample's own, and counts as 0; None: none is.
        rounds: how often; what one round leaves, because pixels are square, the next one finds.

    Returns:
        New array. Corners beyond the largest whole circle stay as they are.
    """
    rows, columns = image.shape
    reach = min(center[0], center[1], rows - 1 - center[0], columns - 1 - center[1])
    out = image.copy()
    if reach < 2:
        return out
    each = max(4, int(np.ceil(2 * np.pi * reach / _SECTORS)))
    turn = (np.arange(each * _SECTORS) + 0.5) * (2 * np.pi / (each * _SECTORS))
    sine, cosine = np.sin(turn), np.cos(turn)
    sectors = np.empty((int(reach / _STEP) + 1, _SECTORS), np.float32)
    window = 2 * int(width / _STEP / 2) + 1
    half = min(_SECTORS // 2, round(arc / 360 * _SECTORS / 2))
    places = _pixel_places(image.shape, center)
    for _ in range(rounds):
        _average_sectors(out, center[0], center[1], sine, cosine, each, sectors)
        sectors -= running_median(sectors, window)
        if limit is not None:
            sectors[np.abs(sectors) > limit] = 0
        means = np.ascontiguousarray(sectors.T)
        around = np.concatenate([means[_SECTORS - half :], means, means[:half]])
        rings = running_median(around, 2 * half + 1)[half : half + _SECTORS]
        _subtract(np.ascontiguousarray(rings), *places, out)
    return out


def _pixel_places(shape: tuple[int, ...], center: tuple[float, float]) -> tuple[Plane, Plane]:
    """Radius, in steps, and angle, in sectors counted from the middle of the first one, of every pixel."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    up, right = (center[0] - y).astype(np.float32), (x - center[1]).astype(np.float32)
    radius, turn = np.hypot(up, right), np.arctan2(up, right)
    turn *= np.float32(_SECTORS / (2 * np.pi))
    turn -= np.float32(0.5)
    turn[turn < 0] += np.float32(_SECTORS)
    return np.asarray(radius / np.float32(_STEP), np.float32), np.asarray(turn, np.float32)


@numba.njit(**_OPTIONS)
def _average_sectors(
    image: Plane,
    y: float,
    x: float,
    sine: NDArray[np.float64],
    cosine: NDArray[np.float64],
    each: int,
    sectors: Plane,
) -> None:
    """Mean over the places of a sector at each radius, interpolated between pixels; (radius, sector)."""
    rows, columns = image.shape
    for r in range(sectors.shape[0]):
        for sector in range(sectors.shape[1]):
            total = np.float32(0)
            for t in range(sector * each, (sector + 1) * each):
                v, u = y - r * _STEP * sine[t], x + r * _STEP * cosine[t]
                i, j = min(max(int(v), 0), rows - 2), min(max(int(u), 0), columns - 2)
                down, right = np.float32(v - i), np.float32(u - j)
                above = image[i, j] + right * (image[i, j + 1] - image[i, j])
                below = image[i + 1, j] + right * (image[i + 1, j + 1] - image[i + 1, j])
                total += above + down * (below - above)
            sectors[r, sector] = total / np.float32(each)


@numba.njit(**_OPTIONS)
def _subtract(rings: Plane, radius: Plane, turn: Plane, out: Plane) -> None:
    """Interpolate the rings (sector, radius) at every pixel, and subtract them."""
    sectors, radii = rings.shape
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            if radius[i, j] > radii - 1:
                continue
            r, s = min(int(radius[i, j]), radii - 2), int(turn[i, j])
            outward, along = radius[i, j] - np.float32(r), turn[i, j] - np.float32(s)
            s, following = s % sectors, (s + 1) % sectors
            inner = rings[s, r] + along * (rings[following, r] - rings[s, r])
            outer = rings[s, r + 1] + along * (rings[following, r + 1] - rings[s, r + 1])
            out[i, j] -= inner + outward * (outer - inner)

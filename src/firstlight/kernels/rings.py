"""Rings of slices, found in polar coordinates and subtracted where they are (Sijbers and Postnov 2004).

Along a radius a ring is a narrow line: what differs from the running median along the radius is averaged in sectors of a
few degree, and of neighbouring sectors the median is the ring, which edges of the sample in a few of them do not change.
Only this is brought back to the slice, so that the sample keeps its sharpness.
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
        limit: difference from the median beyond which it is the sample's own and not counted; None: none is.
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
    polar = np.empty((int(reach / _STEP) + 1, turn.size), np.float32)
    means = np.empty((_SECTORS, polar.shape[0]), np.float32)
    window = 2 * int(width / _STEP / 2) + 1
    half = min(_SECTORS // 2, round(arc / 360 * _SECTORS / 2))
    highest = np.float32(np.inf if limit is None else limit)
    for _ in range(rounds):
        _to_polar(out, center[0], center[1], np.sin(turn), np.cos(turn), polar)
        polar -= running_median(polar, window)
        _average_sectors(polar, highest, each, means)
        around = np.concatenate([means[_SECTORS - half :], means, means[:half]])
        rings = running_median(around, 2 * half + 1)[half : half + _SECTORS]
        _subtract(np.ascontiguousarray(rings), center[0], center[1], out)
    return out


@numba.njit(**_OPTIONS)
def _to_polar(
    image: Plane, y: float, x: float, sine: NDArray[np.float64], cosine: NDArray[np.float64], polar: Plane
) -> None:
    rows, columns = image.shape
    for r in range(polar.shape[0]):
        for t in range(polar.shape[1]):
            v, u = y - r * _STEP * sine[t], x + r * _STEP * cosine[t]
            i, j = min(max(int(v), 0), rows - 2), min(max(int(u), 0), columns - 2)
            down, right = np.float32(v - i), np.float32(u - j)
            above = image[i, j] + right * (image[i, j + 1] - image[i, j])
            below = image[i + 1, j] + right * (image[i + 1, j + 1] - image[i + 1, j])
            polar[r, t] = above + down * (below - above)


@numba.njit(**_OPTIONS)
def _average_sectors(polar: Plane, highest: np.float32, each: int, means: Plane) -> None:
    """Mean of the differences within the limit, (sector, radius)."""
    for r in range(polar.shape[0]):
        for sector in range(means.shape[0]):
            total, count = np.float64(0), 0
            for t in range(sector * each, (sector + 1) * each):
                value = polar[r, t]
                if abs(value) <= highest:
                    total += value
                    count += 1
            means[sector, r] = np.float32(total / count) if count else np.float32(0)


@numba.njit(**_OPTIONS)
def _subtract(rings: Plane, y: float, x: float, out: Plane) -> None:
    """Interpolate the rings (sector, radius), whose values hold in the middle of each sector, and subtract them."""
    sectors, radii = rings.shape
    scale = sectors / (2 * np.pi)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            radius = np.hypot(y - i, j - x) / _STEP
            if radius > radii - 1:
                continue
            turn = np.arctan2(y - i, j - x) * scale - 0.5
            turn = turn + sectors if turn < 0 else turn
            r, s = min(int(radius), radii - 2), int(turn)
            outward, along = np.float32(radius - r), np.float32(turn - s)
            s, following = s % sectors, (s + 1) % sectors
            inner = rings[s, r] + along * (rings[following, r] - rings[s, r])
            outer = rings[s, r + 1] + along * (rings[following, r + 1] - rings[s, r + 1])
            out[i, j] -= inner + outward * (outer - inner)

"""Bright-field images that see the object under different angles: how far each is shifted, and their sum once they are put back.

By reciprocity the image of one pixel of the bright field is that of a tilted plane wave. Aberrations shift it: for a weak phase φ
its transform is ``G(k, q) = 2 φ̂(q) sin(½ q·H q) exp(i q·∇χ(k))``, H the curvature of χ, wherever k - q and k + q lie within the aperture. So
images are brought over each other by ``exp(-i q·∇χ(k))``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, optimize

__all__ = ["Numbers", "best_aberrations", "corrected", "gradients"]

_BATCH = 64
"""Images that are transformed at a time."""
_FREQUENCIES = 200
"""Spatial frequencies that aberrations are found from."""
Numbers = tuple[float, float, float]
"""C1, A1 cos 2φ₁ and A1 sin 2φ₁ in metre."""


def gradients(
    rows: NDArray[Any],
    cols: NDArray[Any],
    *,
    length: float,
    pixel_angle: float,
    defocus: float,
    spherical: float,
    astigmatism: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float64]:
    """∇χ at detector places, in radian per pixel of spatial frequency: (place, 2) along rows and columns.

    Args:
        rows: of the places from the axis, in pixels.
        cols: likewise.
        length: wavelength in metre.
        pixel_angle: angle of a detector pixel in radian.
        defocus: C1 in metre, positive over focus.
        spherical: C3 in metre.
        astigmatism: A1 cos 2φ₁ and A1 sin 2φ₁ in metre.
    """
    squared = (np.asarray(rows) ** 2 + np.asarray(cols) ** 2) * pixel_angle**2
    round_part, unit = defocus + spherical * squared, 2 * np.pi / length * pixel_angle**2
    along, across = astigmatism
    down = (round_part - along) * rows + across * cols
    right = (round_part + along) * cols + across * rows
    return unit * np.stack([down, right], axis=-1)


def corrected(
    images: NDArray[Any], slopes: NDArray[np.float64], down: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The mean of images, each shifted back.

    Args:
        images: (place, line, point).
        slopes: what `gradients` gives of each place.
        down: spatial frequencies (q_y, q_x ≥ 0) in detector pixels along the rows.
        right: along the columns.

    Returns:
        (line, point).
    """
    total = np.zeros(down.shape, np.complex128)
    for first in range(0, len(images), _BATCH):
        part = slice(first, first + _BATCH)
        there = fft.rfft2(images[part].astype(np.float64))
        turn = slopes[part, 0, None, None] * down + slopes[part, 1, None, None] * right
        total += np.einsum("kyx,kyx->yx", there, np.exp(-1j * turn))
    return fft.irfft2(total, s=images.shape[1:]) / max(len(images), 1)


def best_aberrations(
    images: NDArray[Any],
    rows: NDArray[Any],
    cols: NDArray[Any],
    down: NDArray[np.float64],
    right: NDArray[np.float64],
    *,
    radius: float,
    length: float,
    pixel_angle: float,
    spherical: float,
    astigmatism: tuple[float, float] | None,
    most: float,
) -> Numbers:
    """The defocus, and if wanted the astigmatism, under which a weak phase explains most of what the images show.

    For each frequency q the images of all places k are ``i φ̂(q) Γ(k, q)`` with one unknown φ̂(q) and Γ as for single side
    bands (`kernels.ssb`), so that ``|Σ_k Γ* G|² / Σ_k |Γ|²`` is what φ̂ explains of them. Images that are
    laid over each other alone would not do: where only one of k - q and k + q lies within the aperture, they shift otherwise.

    Args:
        images: (place, line, point).
        rows: of the places from the axis, in pixels.
        cols: likewise.
        down: spatial frequencies (q_y, q_x ≥ 0) in detector pixels along the rows.
        right: along the columns.
        radius: of the aperture in pixels.
        length: wavelength in metre.
        pixel_angle: angle of a detector pixel in radian.
        spherical: C3 in metre.
        astigmatism: A1 cos 2φ₁ and A1 sin 2φ₁ in metre, where they are known.
        most: largest defocus that is tried, on both sides, in metre.

    Returns:
        C1, A1 cos 2φ₁ and A1 sin 2φ₁ in metre.
    """
    seen = _strongest(images, down, right, radius)
    optics = np.pi / length * pixel_angle**2, np.pi / length / 2 * spherical * pixel_angle**4, radius
    explained, steepest = _explained(seen, rows, cols, *optics)
    # half a radian where it matters most: no hill is narrower
    step = 0.5 / max(steepest, 0.5 / most)
    tried = np.arange(-np.ceil(most / step), np.ceil(most / step) + 1) * step
    known = astigmatism or (0.0, 0.0)
    begin = max(tried.tolist(), key=lambda c1: explained((c1, *known)))
    if astigmatism is not None:
        return _climb(lambda c1: explained((c1, *known)), begin, step), *known
    few = _Seen(
        seen.shown[::3, -_FREQUENCIES // 3 :], seen.down[-_FREQUENCIES // 3 :], seen.right[-_FREQUENCIES // 3 :]
    )
    quickly, _ = _explained(few, rows[::3], cols[::3], *optics)
    starts = sorted(_starts(begin, step, most), key=quickly, reverse=True)[:3]
    return max((_climb_around(explained, start, step) for start in starts), key=explained)


def _explained(
    seen: _Seen, rows: NDArray[Any], cols: NDArray[Any], twofold: float, fourfold: float, radius: float
) -> tuple[Callable[[Numbers], float], float]:
    """What a weak phase explains under some aberrations, and how fast the phase of Γ turns with defocus (radian per metre)."""

    def aberrations(at_rows: NDArray[Any], at_cols: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        squared = at_rows**2 + at_cols**2
        # by one metre of each of the three numbers; then what is known
        return twofold * np.stack([squared, at_cols**2 - at_rows**2, 2 * at_rows * at_cols]), fourfold * squared**2

    here = aberrations(rows[:, None], cols[:, None])
    sides: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for sign in (-1, 1):
        at_rows, at_cols = rows[:, None] + sign * seen.down, cols[:, None] + sign * seen.right
        beside = aberrations(at_rows, at_cols)
        inside = np.hypot(at_rows, at_cols) <= radius + 1e-4
        sides.append((sign * (beside[0] - here[0]), inside * np.exp(1j * sign * (beside[1] - here[1]))))

    def explained(numbers: Numbers) -> float:
        first, second = (np.exp(1j * np.tensordot(numbers, by, 1)) * known for by, known in sides)
        gamma = first - second
        power = np.sum(np.abs(gamma) ** 2, axis=0)
        found = np.abs(np.einsum("kq,kq->q", gamma.conj(), seen.shown)) ** 2
        return float(np.sum(found[power > 1e-9] / power[power > 1e-9]))

    return explained, max(float(np.abs(by[0] * (np.abs(known) > 0)).max(initial=0.0)) for by, known in sides)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The strongest spatial frequencies of some images: they tell most."""

    shown: NDArray[Any]
    """(place, frequency)."""
    down: NDArray[np.float64]
    right: NDArray[np.float64]


def _strongest(images: NDArray[Any], down: NDArray[Any], right: NDArray[Any], radius: float) -> _Seen:
    far = np.hypot(down, right)
    there = fft.rfft2(images.astype(np.float32)) * ((far > 0) & (far < 2 * radius))
    strength = np.sum(np.abs(there) ** 2, axis=0).ravel()
    seen = np.argsort(strength)[-_FREQUENCIES:]
    seen = seen[strength[seen] > 0]
    return _Seen(there.reshape(len(images), -1)[:, seen], down.ravel()[seen], right.ravel()[seen])


def _climb(height: Callable[[float], float], best: float, step: float) -> float:
    """The top of the hill that one number is on."""
    for _ in range(12):
        step /= 2
        best = max((best - step, best, best + step), key=height)
    return best


def _starts(begin: float, step: float, most: float) -> list[Numbers]:
    """Where to begin: with a strong astigmatism one of the line foci, C1 ± A1, may explain more than what lies between."""
    found = [(begin, 0.0, 0.0)]
    for size in np.arange(2 * step, most, 2 * step).tolist():
        for turn in np.arange(8) * np.pi / 4:
            parts = size * float(np.cos(turn)), size * float(np.sin(turn))
            found += [(begin + shift, *parts) for shift in (-size, 0.0, size)]
    return found


def _climb_around(height: Callable[[Numbers], float], start: Numbers, step: float) -> Numbers:
    """The top of the hill that three numbers are on."""
    simplex = np.array(start) + step * np.vstack([np.zeros(3), np.eye(3)])
    options: Any = {"initial_simplex": simplex, "xatol": step / 1e3, "fatol": 1e-9 * height(start)}
    found: Any = optimize.minimize(
        lambda each: -height((each[0], each[1], each[2])), start, method="Nelder-Mead", options=options
    ).x
    return float(found[0]), float(found[1]), float(found[2])

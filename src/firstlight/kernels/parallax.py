"""Bright-field images that see the object under different angles: how far each is shifted, and their sum once they are put back.

By reciprocity the image of one pixel of the bright field is that of a tilted plane wave. Aberrations shift it: for a weak phase φ
its transform is ``G(k, q) = 2 φ̂(q) sin(½ q·H q) exp(i q·∇χ(k))``, H the curvature of χ, wherever k - q and k + q lie within the aperture. So
images are brought over each other by ``exp(-i q·∇χ(k))``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

__all__ = ["best_defocus", "corrected", "gradients"]

_BATCH = 64
"""Images that are transformed at a time."""
_FREQUENCIES = 200
"""Spatial frequencies that defocus is found from."""


def gradients(
    rows: NDArray[Any], cols: NDArray[Any], *, length: float, pixel_angle: float, defocus: float, spherical: float
) -> NDArray[np.float64]:
    """∇χ at detector places, in radian per pixel of spatial frequency: (place, 2) along rows and columns.

    Args:
        rows: of the places from the axis, in pixels.
        cols: likewise.
        length: wavelength in metre.
        pixel_angle: angle of a detector pixel in radian.
        defocus: C1 in metre, positive over focus.
        spherical: C3 in metre.
    """
    squared = (np.asarray(rows) ** 2 + np.asarray(cols) ** 2) * pixel_angle**2
    slope = 2 * np.pi / length * pixel_angle**2 * (defocus + spherical * squared)
    return np.stack([slope * rows, slope * cols], axis=-1)


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


def best_defocus(
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
    most: float,
) -> float:
    """The defocus under which a weak phase explains most of what the images show.

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
        most: largest defocus that is tried, on both sides, in metre.

    Returns:
        C1 in metre.
    """
    far = np.hypot(down, right)
    there = fft.rfft2(images.astype(np.float32)) * ((far > 0) & (far < 2 * radius))
    strength = np.sum(np.abs(there) ** 2, axis=0).ravel()
    # the strongest frequencies tell most
    seen = np.argsort(strength)[-_FREQUENCIES:]
    seen = seen[strength[seen] > 0]
    shown = there.reshape(len(images), -1)[:, seen]
    q_down, q_right = down.ravel()[seen], right.ravel()[seen]
    unit = np.pi / length * pixel_angle**2

    def aberration(at_rows: NDArray[Any], at_cols: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        squared = at_rows**2 + at_cols**2
        return unit * squared, unit / 2 * spherical * pixel_angle**2 * squared**2

    here = aberration(rows[:, None], cols[:, None])
    sides: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for sign in (-1, 1):
        at_rows, at_cols = rows[:, None] + sign * q_down, cols[:, None] + sign * q_right
        beside = aberration(at_rows, at_cols)
        inside = np.hypot(at_rows, at_cols) <= radius + 1e-4
        # by one metre of defocus, and the rest
        sides.append((sign * (beside[0] - here[0]), inside * np.exp(1j * sign * (beside[1] - here[1]))))

    def explained(defocus: float) -> float:
        (low, first), (high, second) = sides
        gamma = first * np.exp(1j * defocus * low) - second * np.exp(1j * defocus * high)
        power = np.sum(np.abs(gamma) ** 2, axis=0)
        found = np.abs(np.einsum("kq,kq->q", gamma.conj(), shown)) ** 2
        return float(np.sum(found[power > 1e-9] / power[power > 1e-9]))

    # half a radian where it matters most: no hill is narrower
    steepest = max(float(np.abs(low * (np.abs(known) > 0)).max(initial=0.0)) for low, known in sides)
    step = 0.5 / max(steepest, 0.5 / most)
    tried = np.arange(-np.ceil(most / step), np.ceil(most / step) + 1) * step
    best = float(tried[int(np.argmax([explained(value) for value in tried]))])
    for _ in range(12):
        step /= 2
        best = max((best - step, best, best + step), key=explained)
    return best

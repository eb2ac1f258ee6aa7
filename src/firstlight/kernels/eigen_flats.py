"""Flat images that vary: their principal components, and how much of each is in a projection (Van Nieuwenhove 2015).

The weights of a projection are those for which it has the least structure left. The measure is the total variation of
the attenuation, not of the transmission as in the paper: a brighter flat image then gains nothing, so that the
intensity stays as it is.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["component_weights", "principal_images", "transmission"]

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
_BLOCK = 65_536
"""Pixels worked on at once."""
_ROUNDS = 20
"""Reweighted least squares: the weights have settled long before."""


def principal_images(frames: NDArray[Any], components: int) -> NDArray[np.float32]:
    """Mean and principal components of flat frames, from the small matrix of their scalar products.

    Args:
        frames: (frame, row, col), at least one.
        components: how many beside the mean.

    Returns:
        (1 + components, row, col) float32: the mean, then the components by strength, each one standard deviation of
        its weight; 0 beyond what the frames hold.
    """
    count = len(frames)
    flat = frames.reshape(count, -1)
    mean = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
    products = np.zeros((count, count))
    for first in range(0, flat.shape[1], _BLOCK):
        part = flat[:, first : first + _BLOCK].astype(np.float32) - mean[first : first + _BLOCK]
        products += part @ part.T
    values, vectors = np.linalg.eigh(products)
    out = np.zeros((1 + components, flat.shape[1]), np.float32)
    out[0] = mean
    # the mean takes one degree of freedom
    strongest = np.argsort(values)[::-1][: min(components, count - 1)]
    strongest = strongest[values[strongest] > 1e-10 * max(values.max(), 1e-30)]
    chosen = vectors[:, strongest].T.copy()
    chosen *= np.where(chosen[np.arange(len(chosen)), np.abs(chosen).argmax(axis=1)] < 0, -1, 1)[:, None]
    for first in range(0, flat.shape[1], _BLOCK):
        part = flat[:, first : first + _BLOCK].astype(np.float32) - mean[first : first + _BLOCK]
        out[1 : 1 + len(chosen), first : first + _BLOCK] = chosen.astype(np.float32) @ part / np.float32(np.sqrt(count))
    return out.reshape(1 + components, *frames.shape[1:])


def component_weights(
    frames: NDArray[Any], dark: NDArray[np.float32], flats: NDArray[np.float32], step: int
) -> NDArray[np.float64]:
    """How much of each component is in the flat image behind each projection.

    Args:
        frames: (frame, row, col).
        dark: (row, col).
        flats: (1 + component, row, col) from `principal_images`, without dark image subtracted.
        step: pixels averaged to one along both axes before the weights are searched.

    Returns:
        (frame, component): weights in standard deviations of the flat frames.
    """
    known = np.flatnonzero(np.abs(flats[1:]).max(axis=(1, 2)) > 0)
    weights = np.zeros((len(frames), len(flats) - 1))
    if known.size == 0:
        return weights
    small_dark = _binned(dark, step)
    small_flat = _binned(flats[0], step) - small_dark
    parts = np.stack([_binned(flats[1 + k], step) for k in known])
    for n, frame in enumerate(frames):
        light = _binned(frame, step) - small_dark
        found = np.zeros(known.size)
        for _ in range(2):  # the logarithm is made linear around the flat image found so far
            behind = small_flat + np.einsum("k,kij->ij", found, parts)
            good = (light > 0) & (behind > 0) & np.isfinite(light)
            safe = np.where(good, behind, 1.0)
            lines = np.log(np.where(good, light, 1.0) / safe)
            found = found + _least_variation(lines, parts / safe, good)
        weights[n, known] = found
    return weights


def transmission(
    frames: NDArray[Any], dark: NDArray[np.float32], flats: NDArray[np.float32], weights: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(frame - dark) / (mean flat + sum of weight x component - dark); 1 where that is not positive.

    Returns:
        (frame, row, col) float32.
    """
    out = np.empty(frames.shape, np.float32)
    values = frames if frames.dtype.isnative and frames.dtype != np.float16 else frames.astype(np.float32)
    _transmission(values, np.ascontiguousarray(dark, np.float32), flats, weights.astype(np.float32), out)
    return out


def _binned(image: NDArray[Any], step: int) -> NDArray[np.float64]:
    rows, columns = image.shape[0] // step, image.shape[1] // step
    part = np.asarray(image[: rows * step, : columns * step], np.float64)
    return part.reshape(rows, step, columns, step).mean(axis=(1, 3))


def _least_variation(
    lines: NDArray[np.float64], parts: NDArray[np.float64], good: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Weights w for which lines - sum w parts has the least total variation: least squares, reweighted."""
    pairs = good[:-1, :-1] & good[1:, :-1] & good[:-1, 1:]
    down, right = (lines[1:, :-1] - lines[:-1, :-1])[pairs], (lines[:-1, 1:] - lines[:-1, :-1])[pairs]
    parts_down = (parts[:, 1:, :-1] - parts[:, :-1, :-1])[:, pairs]
    parts_right = (parts[:, :-1, 1:] - parts[:, :-1, :-1])[:, pairs]
    weights = np.zeros(len(parts))
    if down.size == 0:
        return weights
    for _ in range(_ROUNDS):
        left_down, left_right = down - weights @ parts_down, right - weights @ parts_right
        steep = np.hypot(left_down, left_right)
        share = 1 / np.maximum(steep, 1e-3 * steep.mean() + 1e-12)
        weighted_down, weighted_right = parts_down * share, parts_right * share
        normal = np.einsum("ip,jp->ij", weighted_down, parts_down) + np.einsum("ip,jp->ij", weighted_right, parts_right)
        target = weighted_down @ down + weighted_right @ right
        # a priori, a weight is about one: its square counts as much as the usual gradient, so that noise finds none
        weights = np.linalg.solve(normal + (steep.mean() + 1e-12) * np.eye(len(normal)), target)
    return weights


@numba.njit(**_OPTIONS)
def _transmission(
    frames: NDArray[Any],
    dark: NDArray[np.float32],
    flats: NDArray[np.float32],
    weights: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    light = np.empty(frames.shape[2], np.float32)
    for n in range(frames.shape[0]):
        for row in range(frames.shape[1]):
            for col in range(light.size):
                light[col] = flats[0, row, col] - dark[row, col]
            for k in range(weights.shape[1]):
                weight, part = weights[n, k], flats[1 + k, row]
                for col in range(light.size):
                    light[col] += weight * part[col]
            for col in range(light.size):
                value = (np.float32(frames[n, row, col]) - dark[row, col]) / light[col]
                out[n, row, col] = value if light[col] > 0 else np.float32(1)

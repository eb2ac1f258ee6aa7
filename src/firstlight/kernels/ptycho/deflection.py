"""A first object from where the light went: differential phase contrast of the diffraction patterns.

A phase that rises by g radian a pixel moves a far-field pattern of N pixels by ``g N / 2π`` of them. So the centre of mass of
each pattern, against the mean of all, is the gradient of the phase, averaged over the probe; integrated, it is the phase.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.interpolate import griddata
from scipy.ndimage import map_coordinates

from firstlight.kernels.fields import integrated

Array = Any


def centers_of_mass(amplitudes: Array, count: int, valid: Array, share: int = 64) -> tuple[Array, Array]:
    """Centre of mass of each pattern in pixels from the zero frequency, shape (position, 2), and its counts.

    Args:
        amplitudes: Gives amplitudes of shape (position, v, u) for slices of positions, zero frequency at the corner.
        count: How many positions there are.
        valid: Shape (v, u): pixels that measure.
        share: Most positions to be read at once.
    """
    down, right = (np.fft.fftfreq(n) * n for n in valid.shape)
    places, counts = np.zeros((count, 2)), np.zeros(count)
    for start in range(0, count, share):
        some = slice(start, min(start + share, count))
        light = (np.asarray(amplitudes[some], np.float64) * valid) ** 2
        counts[some] = light.sum(axis=(1, 2))
        moments = np.stack([light.sum(axis=2) @ down, light.sum(axis=1) @ right], axis=1)
        places[some] = moments / np.maximum(counts[some], 1e-30)[:, None]
    return places, counts


def object_from_deflection(
    centers: Array, counts: Array, middles: Array, window: tuple[int, int], size: tuple[int, int]
) -> Array:
    """The object that deflects and absorbs so, as far as steps between positions can tell; shape (y, x), complex128.

    Args:
        centers: Centre of mass of each pattern, shape (position, 2), in pixels.
        counts: Of each pattern, shape (position,).
        middles: Row and column of the object under the middle of each window, shape (position, 2).
        window: Rows and columns of a pattern.
        size: Rows and columns of the object.
    """
    slopes = 2 * np.pi * (centers - centers.mean(axis=0)) / np.asarray(window)
    low, high = middles.min(axis=0), middles.max(axis=0)
    pitch = float(max(1.0, np.sqrt(np.prod(np.maximum(high - low, 1.0)) / len(middles))))
    grid = [np.arange(a, b + pitch, pitch) for a, b in zip(low, high, strict=True)]
    values = np.column_stack([slopes, np.sqrt(counts / np.percentile(counts, 90))])
    found = _gridded(middles, values, grid)
    phase = integrated(found[..., 0] * pitch, found[..., 1] * pitch)
    rows, cols = np.meshgrid(*(np.arange(n) for n in size), indexing="ij")
    at = np.stack([(rows - low[0]) / pitch, (cols - low[1]) / pitch])
    fine_phase, fine_amplitude = (map_coordinates(part, at, order=1, mode="nearest") for part in (phase, found[..., 2]))
    return np.clip(fine_amplitude, 0.05, 1.2) * np.exp(1j * fine_phase)


def _gridded(places: Array, values: Array, grid: list[Array]) -> Array:
    """Values at places, interpolated to a grid; beyond their hull the nearest."""
    points = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1)
    nearest = griddata(places, values, points, method="nearest")
    if len(places) < 4 or np.linalg.matrix_rank(places - places.mean(axis=0)) < 2:
        return nearest
    found = griddata(places, values, points, method="linear")
    return np.where(np.isnan(found), nearest, found)

"""Sums over positions: what exit waves ask of the object and of the probe, and the step that follows.

Each can be done for a band of rows alone, so that threads share the work without sharing a pixel; the order in which the
terms of a pixel are added up stays that of the positions, so that a result does not depend on the number of bands.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numba as nb
import numpy as np

from .waves import on_cpu, window_of

Array = Any
Band = tuple[int, int]

_FASTMATH = {"nnan", "ninf", "nsz", "contract", "reassoc", "arcp"}


def bands(rows: int, number: int) -> list[Band]:
    """Cut rows into so many nearly equal bands: first row, and the row after the last."""
    edges = np.linspace(0, rows, max(1, min(number, rows)) + 1).astype(int).tolist()
    return list(pairwise(edges))


def add_to_object(
    numerator: Array, denominator: Array, probes: Array, waves: Array, corners: Array, band: Band | None = None
) -> None:
    """Add ``Σ_m P*_m ψ_m`` and ``Σ_m |P_m|²`` to the windows of two images.

    Args:
        numerator: Shape (y, x), complex; changed.
        denominator: Shape (y, x), float; changed.
        probes: Shape (1 or position, mode, v, u), complex.
        waves: Exit waves or changes of them, shape (position, mode, v, u), complex.
        corners: Shape (position, 2), integers on the host.
        band: Rows of the images that are changed (numpy); default: all.
    """
    if on_cpu(waves):
        first, last = band or (0, len(numerator))
        _add_to_object(numerator, denominator, probes, waves, corners, first, last)
        return
    for place, corner in enumerate(corners):
        window = window_of(corner, waves.shape)
        lamp = probes[place % len(probes)]
        numerator[window] += (lamp.conj() * waves[place]).sum(axis=0)
        denominator[window] += (lamp.real**2 + lamp.imag**2).sum(axis=0)


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _add_to_object(
    numerator: Array, denominator: Array, probes: Array, waves: Array, corners: Array, first: int, last: int
) -> None:  # pragma: no cover - compiled
    positions, modes, rows, cols = waves.shape
    for b in range(positions):
        top, left = corners[b, 0], corners[b, 1]
        for r in range(max(0, first - top), min(rows, last - top)):
            above = numerator[top + r, left : left + cols]
            below = denominator[top + r, left : left + cols]
            for m in range(modes):
                lamp, wave = probes[b % probes.shape[0], m, r], waves[b, m, r]
                for c in range(cols):
                    above[c] += lamp[c].conjugate() * wave[c]
                    below[c] += lamp[c].real * lamp[c].real + lamp[c].imag * lamp[c].imag


def add_to_probe(
    numerator: Array, denominator: Array, image: Array, waves: Array, corners: Array, band: Band | None = None
) -> None:
    """Add ``Σ_j O*_j ψ_jm`` and ``Σ_j |O_j|²`` over the windows j of the object.

    Args:
        numerator: Shape (mode, v, u), complex; changed.
        denominator: Shape (v, u), float; changed.
        image: The object, shape (y, x), complex.
        waves: Exit waves or changes of them, shape (position, mode, v, u), complex.
        corners: Shape (position, 2), integers on the host.
        band: Rows of the probe that are changed (numpy); default: all.
    """
    if on_cpu(waves):
        first, last = band or (0, waves.shape[-2])
        _add_to_probe(numerator, denominator, image, waves, corners, first, last)
        return
    for place, corner in enumerate(corners):
        seen = image[window_of(corner, waves.shape)]
        numerator += seen.conj() * waves[place]
        denominator += seen.real**2 + seen.imag**2


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _add_to_probe(
    numerator: Array, denominator: Array, image: Array, waves: Array, corners: Array, first: int, last: int
) -> None:  # pragma: no cover - compiled
    positions, modes, _, cols = waves.shape
    for b in range(positions):
        top, left = corners[b, 0], corners[b, 1]
        for r in range(first, last):
            seen = image[top + r, left : left + cols]
            below = denominator[r]
            for c in range(cols):
                below[c] += seen[c].real * seen[c].real + seen[c].imag * seen[c].imag
            for m in range(modes):
                above, wave = numerator[m, r], waves[b, m, r]
                for c in range(cols):
                    above[c] += seen[c].conjugate() * wave[c]


def largest_in_windows(denominator: Array, corners: Array, size: tuple[int, int], band: Band | None = None) -> float:
    """The largest value in the windows, or in a band of their rows; zero where there is none.

    Args:
        denominator: Shape (y, x), float, zero outside the windows.
        corners: Shape (position, 2), integers on the host.
        size: Rows and columns of a window.
        band: Rows of the image that are looked at (numpy); default: all.
    """
    if on_cpu(denominator):
        first, last = band or (0, len(denominator))
        return float(_largest_in_windows(denominator, corners, size[0], size[1], first, last))
    return float(denominator.max())


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _largest_in_windows(
    denominator: Array, corners: Array, rows: int, cols: int, first: int, last: int
) -> float:  # pragma: no cover - compiled
    largest = denominator[0, 0] * 0
    for corner in corners:
        for r in range(max(first, corner[0]), min(last, corner[0] + rows)):
            line = denominator[r, corner[1] : corner[1] + cols]
            for c in range(cols):
                largest = max(largest, line[c])
    return largest


def step_in_windows(
    image: Array,
    numerator: Array,
    denominator: Array,
    corners: Array,
    *,
    size: tuple[int, int],
    step: float,
    regularization: float,
    largest: float | None = None,
    band: Band | None = None,
) -> None:
    """Move an image by ``step · N / ((1 − γ) D + γ max D)`` in the windows, and set N and D back to zero there.

    The law of regularised PIE (Maiden, Johnson, Li, Optica 4, 736 (2017)), with the sums of a batch as N and D; a batch
    of one position and γ = 1 is ePIE.

    Args:
        image: The object, shape (y, x), complex; changed.
        numerator: Shape (y, x), complex: N, zero outside the windows; zero afterwards.
        denominator: Shape (y, x), float: D, zero outside the windows; zero afterwards.
        corners: Shape (position, 2), integers on the host.
        size: Rows and columns of a window.
        step: Length of the step.
        regularization: γ, 0…1.
        largest: max D, where it is known.
        band: Rows of the image that are moved (numpy); default: all.
    """
    most = largest_in_windows(denominator, corners, size) if largest is None else largest
    if on_cpu(image):
        first, last = band or (0, len(image))
        _step_in_windows(
            image, numerator, denominator, corners, size[0], size[1], step, regularization, most, first, last
        )
        return
    weight = (1 - regularization) * denominator + regularization * most
    image += step * numerator / weight.clip(np.finfo(weight.dtype).tiny)
    numerator[...] = 0
    denominator[...] = 0


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _step_in_windows(
    image: Array,
    numerator: Array,
    denominator: Array,
    corners: Array,
    rows: int,
    cols: int,
    step: float,
    regularization: float,
    largest: float,
    first: int,
    last: int,
) -> None:  # pragma: no cover - compiled
    zero = denominator[0, 0] * 0
    flat = zero + regularization * largest + np.finfo(denominator.dtype).tiny
    slope, length = zero + (1 - regularization), zero + step
    for corner in corners:
        for r in range(max(first, corner[0]), min(last, corner[0] + rows)):
            above = numerator[r, corner[1] : corner[1] + cols]
            below = denominator[r, corner[1] : corner[1] + cols]
            target = image[r, corner[1] : corner[1] + cols]
            for c in range(cols):
                # where windows overlap the sums are zero the second time, and nothing moves
                factor = length / (slope * below[c] + flat)
                target[c] += complex(above[c].real * factor, above[c].imag * factor)
                above[c] = 0
                below[c] = 0


def scale_in_windows(
    numerator: Array,
    denominator: Array,
    corners: Array,
    *,
    size: tuple[int, int],
    floor: float,
    band: Band | None = None,
) -> None:
    """Divide N by ``D + floor`` in the windows, once each pixel; D is of no more use afterwards.

    Args:
        numerator: Shape (y, x), complex: N, zero outside the windows; changed.
        denominator: Shape (y, x), float: D, zero outside the windows; changed.
        corners: Shape (position, 2), integers on the host.
        size: Rows and columns of a window.
        floor: More than zero.
        band: Rows of the image that are changed (numpy); default: all.
    """
    if on_cpu(numerator):
        first, last = band or (0, len(numerator))
        _scale_in_windows(numerator, denominator, corners, size[0], size[1], floor, first, last)
        return
    numerator /= denominator + denominator.dtype.type(floor)


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _scale_in_windows(
    numerator: Array, denominator: Array, corners: Array, rows: int, cols: int, floor: float, first: int, last: int
) -> None:  # pragma: no cover - compiled
    flat = denominator[0, 0] * 0 + floor
    for corner in corners:
        for r in range(max(first, corner[0]), min(last, corner[0] + rows)):
            above = numerator[r, corner[1] : corner[1] + cols]
            below = denominator[r, corner[1] : corner[1] + cols]
            for c in range(cols):
                # a negative denominator says: done, by a window that overlaps this one
                if below[c] >= 0:
                    factor = 1 / (below[c] + flat)
                    above[c] = complex(above[c].real * factor, above[c].imag * factor)
                    below[c] = -1


def move_in_windows(
    image: Array,
    direction: Array,
    denominator: Array,
    corners: Array,
    *,
    size: tuple[int, int],
    step: float,
    band: Band | None = None,
) -> None:
    """Move an image by ``step`` times a direction in the windows, and set direction and denominator back to zero there.

    Args:
        image: The object, shape (y, x), complex; changed.
        direction: Shape (y, x), complex, zero outside the windows; zero afterwards.
        denominator: Shape (y, x), float; zero afterwards.
        corners: Shape (position, 2), integers on the host.
        size: Rows and columns of a window.
        step: Length of the step.
        band: Rows of the image that are moved (numpy); default: all.
    """
    if on_cpu(image):
        first, last = band or (0, len(image))
        _move_in_windows(image, direction, denominator, corners, size[0], size[1], step, first, last)
        return
    image += step * direction
    direction[...] = 0
    denominator[...] = 0


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _move_in_windows(
    image: Array,
    direction: Array,
    denominator: Array,
    corners: Array,
    rows: int,
    cols: int,
    step: float,
    first: int,
    last: int,
) -> None:  # pragma: no cover - compiled
    length = denominator[0, 0] * 0 + step
    for corner in corners:
        for r in range(max(first, corner[0]), min(last, corner[0] + rows)):
            line = direction[r, corner[1] : corner[1] + cols]
            target = image[r, corner[1] : corner[1] + cols]
            below = denominator[r, corner[1] : corner[1] + cols]
            for c in range(cols):
                target[c] += complex(line[c].real * length, line[c].imag * length)
                line[c] = 0
                below[c] = 0

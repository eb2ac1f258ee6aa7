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
    count = max(1, min(number, rows))
    return list(pairwise(rows * k // count for k in range(count + 1)))


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
    for r, left, right in _runs(corners, rows, cols, first, last):
        line = denominator[r, left:right]
        for c in range(right - left):
            largest = max(largest, line[c])
    return largest


@nb.njit(nogil=True, cache=True)
def _runs(corners: Array, rows: int, cols: int, first: int, last: int) -> Array:  # pragma: no cover - compiled
    """The pixels that lie in any window, each once: row, first column, and the one after the last; shape (run, 3)."""
    found, count = np.empty((len(corners) * rows, 3), np.int64), 0
    begun, ended = np.zeros(last - first, np.int64), np.full(last - first, -1, np.int64)
    for place in np.argsort(corners[:, 1]):
        top, left = corners[place, 0], corners[place, 1]
        for r in range(max(first, top), min(last, top + rows)):
            if left > ended[r - first]:
                if ended[r - first] >= 0:
                    found[count] = r, begun[r - first], ended[r - first]
                    count += 1
                begun[r - first] = left
            ended[r - first] = left + cols
    for r in range(first, last):
        if ended[r - first] >= 0:
            found[count] = r, begun[r - first], ended[r - first]
            count += 1
    return found[:count]


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
    kind = denominator.dtype.type  # numba makes x + 0.01 double
    flat = kind(regularization * largest + np.finfo(denominator.dtype).tiny)
    slope, length = kind(1 - regularization), kind(step)
    for r, left, right in _runs(corners, rows, cols, first, last):
        above, below, target = numerator[r, left:right], denominator[r, left:right], image[r, left:right]
        for c in range(right - left):
            factor = length / (slope * below[c] + flat)
            target[c] += complex(above[c].real * factor, above[c].imag * factor)
            above[c] = 0
            below[c] = 0


def step_probe(probe: Array, numerator: Array, denominator: Array, *, step: float, regularization: float) -> None:
    """Move the probe by the same law.

    Args:
        probe: Shape (mode, v, u), complex; changed.
        numerator: N, likewise.
        denominator: Shape (v, u), float: D.
        step: Length of the step.
        regularization: γ, 0…1.
    """
    if on_cpu(probe):
        _step_probe(probe, numerator, denominator, step, regularization)
        return
    weight = (1 - regularization) * denominator + regularization * denominator.max()
    probe += step * numerator / weight.clip(np.finfo(weight.dtype).tiny)


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _step_probe(
    probe: Array, numerator: Array, denominator: Array, step: float, regularization: float
) -> None:  # pragma: no cover - compiled
    kind = denominator.dtype.type
    flat = kind(regularization * denominator.max() + np.finfo(denominator.dtype).tiny)
    slope, length = kind(1 - regularization), kind(step)
    for m in range(len(probe)):
        for r in range(len(denominator)):
            above, below, target = numerator[m, r], denominator[r], probe[m, r]
            for c in range(len(below)):
                factor = length / (slope * below[c] + flat)
                target[c] += complex(above[c].real * factor, above[c].imag * factor)


def scale_in_windows(
    numerator: Array,
    denominator: Array,
    corners: Array,
    *,
    size: tuple[int, int],
    floor: float,
    band: Band | None = None,
) -> None:
    """Divide N by ``D + floor`` in the windows, once each pixel.

    Args:
        numerator: Shape (y, x), complex: N, zero outside the windows; changed.
        denominator: Shape (y, x), float: D, zero outside the windows.
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
    one, flat = denominator.dtype.type(1), denominator.dtype.type(floor)
    for r, left, right in _runs(corners, rows, cols, first, last):
        above, below = numerator[r, left:right], denominator[r, left:right]
        for c in range(right - left):
            factor = one / (below[c] + flat)
            above[c] = complex(above[c].real * factor, above[c].imag * factor)


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
    length = denominator.dtype.type(step)
    for r, left, right in _runs(corners, rows, cols, first, last):
        line, target, below = direction[r, left:right], image[r, left:right], denominator[r, left:right]
        for c in range(right - left):
            target[c] += complex(line[c].real * length, line[c].imag * length)
            line[c] = 0
            below[c] = 0

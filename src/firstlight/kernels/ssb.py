"""Single-side-band ptychography, line by line.

A weak phase object φ changes the pattern at detector place k, for the probe at s, by a sum over spatial frequencies q of
the object: ``G(k, q) = i φ̂(q) Γ(k, q)`` with ``Γ = a(k-q) a*(k) - a*(k+q) a(k)``, where G is the Fourier transform of the
intensities over the scan and a(k) the wave in the aperture. Where exactly one of the two disks overlaps with the bright
field (a side band), |Γ| = 1, and ``φ̂(q) = -i Σ_k Γ* G / Σ_k |Γ|²``: Pennycook et al., Ultramicroscopy 151 (2015) 160,
doi 10.1016/j.ultramic.2014.09.013.

The transform over the scan separates: a line of frames is transformed along x first, which takes the sum over its frames out
of the sum over all (q, k). So a line of n frames costs little more than one frame, and the sum can be updated as lines,
or parts of them, come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import fft

__all__ = ["SideBands", "add_line", "side_bands"]

Wave = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.complex128]]


@dataclass(frozen=True, slots=True)
class SideBands:
    """For each spatial frequency the detector places in its side bands, in one list after the other."""

    starts: NDArray[np.int64]
    """Where the list of frequency number i begins, and where the last one ends; i counts (q_y, q_x ≥ 0)."""
    places: NDArray[np.int32]
    """Number of the detector place."""
    weights: NDArray[np.complex64]
    """Γ*, conjugated: what the transformed intensities are multiplied by."""


def side_bands(
    wave: Wave, rows: NDArray[np.float64], cols: NDArray[np.float64], q_row: NDArray[Any], q_col: NDArray[Any]
) -> SideBands:
    """Side bands of every spatial frequency.

    Args:
        wave: a(k) at any (row, col) from the axis.
        rows: of the detector places in the bright field, in pixels from the axis, (place,).
        cols: likewise.
        q_row: spatial frequencies in detector pixels along the rows, flattened.
        q_col: along the columns.
    """
    centre = wave(rows, cols)
    counts = np.zeros(len(q_row), np.int64)
    places: list[NDArray[np.int32]] = []
    weights: list[NDArray[np.complex64]] = []
    for number, (down, right) in enumerate(zip(q_row.tolist(), q_col.tolist(), strict=True)):
        if down == 0 and right == 0:
            continue
        minus, plus = wave(rows - down, cols - right), wave(rows + down, cols + right)
        one = np.flatnonzero((minus != 0) != (plus != 0))
        gamma = (minus * centre.conj() - plus.conj() * centre)[one]
        counts[number] = len(one)
        places.append(one.astype(np.int32))
        weights.append(gamma.conj().astype(np.complex64))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return SideBands(
        starts,
        np.concatenate(places) if places else np.zeros(0, np.int32),
        np.concatenate(weights) if weights else np.zeros(0, np.complex64),
    )


def add_line(
    total: NDArray[np.complex128],
    bands: SideBands,
    line: int,
    points: NDArray[np.int64],
    values: NDArray[Any],
    width: int,
) -> None:
    """Add frames of one scan line to the sum over all (q, k).

    Args:
        total: Σ Γ* G by (q_y, q_x ≥ 0), changed in place.
        bands: the side bands.
        line: number of the scan line.
        points: position of each frame in the line.
        values: intensities in the bright field, (frame, place).
        width: points of a line.
    """
    lines, half = total.shape
    intensities = values.astype(np.float64)
    if len(points) == width and (points == np.arange(width)).all():
        along = fft.rfft(intensities, axis=0)
    else:
        turn = -2 * np.pi * np.outer(np.arange(half), points % width) / width
        along = (np.cos(turn) @ intensities) + 1j * (np.sin(turn) @ intensities)
    down = np.exp(-2j * np.pi * (np.arange(lines) * line % lines) / lines)
    _gather(total, bands.starts, bands.places, bands.weights, along, down)


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"})
def _gather(
    total: NDArray[np.complex128],
    starts: NDArray[np.int64],
    places: NDArray[np.int32],
    weights: NDArray[np.complex64],
    along: NDArray[np.complex128],
    down: NDArray[np.complex128],
) -> None:
    for qy in range(total.shape[0]):
        for qx in range(total.shape[1]):
            number = qy * total.shape[1] + qx
            found = 0j
            for j in range(starts[number], starts[number + 1]):
                found += weights[j] * along[qx, places[j]]
            total[qy, qx] += found * down[qy]

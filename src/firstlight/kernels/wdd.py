"""Wigner distribution deconvolution, as weights on detector places.

The Fourier transform over the scan of the intensities at detector place k is, for each spatial frequency Q, a convolution of what is known of
the probe with what is wanted of the object: ``G(k, Q) = Σ_q A_Q(k - q) Ψ_Q(q)``, ``A_Q(k) = a(k) a*(k + Q)``, ``Ψ_Q(q) = T(q) T*(q - Q)``, with a the
wave in the aperture and T the transform of the transmission. A Wiener filter divides in the space of k's transform (Rodenburg and Bates, Phil. Trans. R. Soc.
A 339 (1992) 521, doi 10.1098/rsta.1992.0050). Only ``Ψ_Q(0) = T(0) T*(-Q)`` is needed of the answer, so all of it comes to one weight for each k and Q, by which G is
summed; frames can be added as they come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from .ssb import SideBands

__all__ = ["wigner_weights"]

_APART = 1e-3
"""Terms whose filters differ less than this can not be told from each other."""
Wave = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.complex128]]


def wigner_weights(
    wave: Wave,
    rows: NDArray[np.float64],
    cols: NDArray[np.float64],
    q_row: NDArray[Any],
    q_col: NDArray[Any],
    *,
    radius: float,
    epsilon: float,
) -> tuple[SideBands, SideBands]:
    """Weights of the detector places for ``T(0) T*(-Q)``, and for ``T*(0) T(Q)``.

    Args:
        wave: a(k) at any (row, col) from the axis.
        rows: of the detector places, in pixels from the axis, (place,).
        cols: likewise.
        q_row: spatial frequencies in detector pixels along the rows, flattened.
        q_col: along the columns.
        radius: of the aperture in pixels.
        epsilon: of the Wiener filter, as a part of the largest |Â|².
    """
    # room for both disks that are convolved, so that nothing wraps round into the bright field
    size = fft.next_fast_len(int(np.ceil(4 * radius)) + 4)
    top, left = rows.min(), cols.min()
    grid = np.meshgrid(top + np.arange(size), left + np.arange(size), indexing="ij")
    # beyond the disk the grid is the other side of the axis
    for axis in grid:
        axis[axis > size / 2] -= size
    index = np.rint(rows - top).astype(int) % size, np.rint(cols - left).astype(int) % size
    centre = wave(grid[0], grid[1])
    least = epsilon * float(np.max(np.abs(fft.fft2(np.abs(centre) ** 2)) ** 2))
    lists: list[list[NDArray[np.complex64]]] = [[], []]
    reached = np.hypot(q_row, q_col) < 2 * radius
    for down, right in zip(q_row[reached].tolist(), q_col[reached].tolist(), strict=True):
        # A at q = 0 and at q = Q
        known = [
            centre * wave(grid[0] + down, grid[1] + right).conj(),
            wave(grid[0] - down, grid[1] - right) * centre.conj(),
        ]
        filters = [_wiener(each, least)[index] for each in known]
        pair = _apart(np.stack(filters), np.stack([each[index] for each in known]), down == right == 0)
        for weights, found in zip(pair, lists, strict=True):
            found.append(weights.astype(np.complex64))
    counts = np.where(reached, len(rows), 0)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    places = np.tile(np.arange(len(rows), dtype=np.int32), int(reached.sum()))
    minus, plus = (SideBands(starts, places, np.concatenate(found)) for found in lists)
    return minus, plus


def _wiener(known: NDArray[np.complex128], least: float) -> NDArray[np.complex128]:
    """The transform of the Wiener filter: Ψ is the mean of the quotient over r, moved to the side of k."""
    there = fft.fft2(known)
    return fft.fft2(there.conj() / (np.abs(there) ** 2 + least), overwrite_x=True) / known.size


def _apart(
    filters: NDArray[np.complex128], known: NDArray[np.complex128], still: bool
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Filters that pass one of the two terms whole and none of the other, on the places that there are.

    A filter that is regularised passes a part of what it should, and some of the neighbour's. The two terms of a weak object
    have opposite signs, so that they would take from each other.
    """
    passed = filters @ known.T
    if still:  # both are the same
        return filters[0] / passed[0, 0], filters[0] / passed[0, 0]
    strength = np.sqrt(np.abs(passed[0, 0] * passed[1, 1]))
    if not np.abs(np.linalg.det(passed)) > _APART * strength**2:
        return np.zeros_like(filters[0]), np.zeros_like(filters[1])
    one, other = np.linalg.solve(passed, filters)
    return one, other

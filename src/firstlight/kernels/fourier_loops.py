"""Inner loops of `firstlight.kernels.fourier`: what happens between its Fourier transforms.

Arrays named `block` are complex64 (angle, frequency or column, pair): pairs of real slices side by side.
"""

from typing import Any

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, fastmath=True)
def pack(rows: Any, first: Any, twist: Any, plain: Any, twisted: Any, ends: Any) -> None:
    """Put slices 2p and 2p + 1 of `rows` (slice, angle, col) into pair p, from column `first` on; zeros around.

    `twisted` gets the same times conj(twist); `ends` (2, angle, pair) the first and last value.
    """
    slices, angles, columns = rows.shape
    plain[:] = 0
    twisted[:] = 0
    for a in range(angles):
        for p in range((slices + 1) // 2):
            one, other = rows[2 * p, a], rows[min(2 * p + 1, slices - 1), a]
            share = np.float32(1.0 if 2 * p + 1 < slices else 0.0)
            for n in range(columns):
                value = np.complex64(complex(one[n], share * other[n]))
                plain[a, first + n, p] = value
                wave = twist[first + n]
                twisted[a, first + n, p] = np.complex64(
                    complex(
                        value.real * wave.real + value.imag * wave.imag, value.imag * wave.real - value.real * wave.imag
                    )
                )
            ends[0, a, p] = plain[a, first, p]
            ends[1, a, p] = plain[a, first + columns - 1, p]


@numba.njit(nogil=True, cache=True, fastmath=True)
def scale(block: Any, factor: Any) -> None:
    """Multiply each row of the block by a factor (frequency,)."""
    for a in range(block.shape[0]):
        for k in range(block.shape[1]):
            for p in range(block.shape[2]):
                block[a, k, p] *= factor[k]


@numba.njit(nogil=True, cache=True, fastmath=True)
def combine(plain: Any, twisted: Any, even: Any, edges: Any, ends: Any) -> None:
    """Twice the filtered spectrum: even * plain + twisted, plus the repeated ends; into `plain`."""
    padded = np.any(edges[0] != 0)
    for a in range(plain.shape[0]):
        for k in range(plain.shape[1]):
            for p in range(plain.shape[2]):
                plain[a, k, p] = plain[a, k, p] * even[k] + twisted[a, k, p]
                if padded:
                    plain[a, k, p] += ends[0, a, p] * edges[0, k] + ends[1, a, p] * edges[1, k]


@numba.njit(nogil=True, cache=True, fastmath=True)
def turn(block: Any, wave: Any, shift: Any, swap: Any, out: Any) -> None:
    """Weigh and shift spectra in FFT order into `out`, frequencies from low to high; see `FourierFBP.turns`."""
    angles, length, pairs = block.shape
    half = length // 2
    same = np.all(swap[1] == 0)
    for a in range(angles):
        for place in range(length):
            k = place - half if place >= half else place - half + length
            for p in range(pairs):
                value = block[a, k, p]
                if not same:
                    back = block[a, length - k if k else 0, p]
                    c, s = swap[0, place, p], swap[1, place, p]
                    value = np.complex64(complex(value.real * c + back.imag * s, value.imag * c + back.real * s))
                out[a, place, p] = value * wave[a, place] * shift[place, p]


@numba.njit(nogil=True, cache=True, fastmath=True)
def fold_columns(band: Any, margin: Any, points: Any, rows: Any) -> None:
    """Add what spilled over the left and right rim of the grid to the other side."""
    for i in range(rows):
        for j in range(margin):
            for s in range(band.shape[2]):
                band[i, points + j, s] += band[i, j, s]
                band[i, margin + j, s] += band[i, points + margin + j, s]


@numba.njit(nogil=True, cache=True, fastmath=True)
def store_rows(rows: Any, top: Any, margin: Any, correction: Any, grid: Any) -> None:
    """Copy the wanted columns of transformed rows to the grid; row i is row top + i, over the rim to the other side."""
    points, size, pairs = grid.shape
    for i in range(rows.shape[0]):
        place = top + i
        if place < -margin or place >= points + margin:
            continue
        row = place % points
        rim = row < 2 * margin or row >= points - 2 * margin
        for j in range(size):
            column = j - size // 2
            column += points if column < 0 else 0
            for p in range(pairs):
                value = rows[i, column, p] * correction[j]
                if rim:
                    grid[row, j, p] += value
                else:
                    grid[row, j, p] = value


@numba.njit(nogil=True, cache=True, fastmath=True)
def write(strip: Any, left: Any, correction: Any, radius: Any, out: Any) -> None:
    """Copy transformed columns (row, column, pair) to columns left... of the slices, 0 outside the circle."""
    points, width = strip.shape[:2]
    slices, size = out.shape[:2]
    middle = (size - 1) / 2
    for i in range(size):
        row = i - size // 2
        row += points if row < 0 else 0
        factor = correction[i]
        reach = radius * radius - (i - middle) ** 2
        inside = np.sqrt(reach) if reach > 0 else -1.0
        low = max(0, int(np.ceil(middle - inside)) - left) if inside < size else 0
        high = min(width, int(np.floor(middle + inside)) + 1 - left) if inside < size else width
        if inside < 0:
            low, high = 0, 0
        low = min(low, width)
        high = max(high, low)
        for s in range(slices):
            target = out[s, i]
            target[left : left + low] = 0
            target[left + high : left + width] = 0
            if s % 2 == 0:
                for j in range(low, high):
                    target[left + j] = strip[row, j, s // 2].real * factor
            else:
                for j in range(low, high):
                    target[left + j] = strip[row, j, s // 2].imag * factor

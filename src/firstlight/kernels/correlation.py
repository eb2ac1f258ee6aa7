"""Fourier ring and shell correlation: down to which detail two measurements of one object agree.

For a ring (shell in 3-D) of spatial frequencies around f

    FRC(f) = Re Σ A(k) B*(k) / sqrt(Σ |A(k)|² Σ |B(k)|²)

is 1 where both hold the same and 0 where they share nothing. The resolution is 1/f where the curve first falls below a
threshold: the half-bit curve of van Heel and Schatz (2005), which allows for the number of samples in a ring, or 1/7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

__all__ = ["ShellCorrelation", "half_bit", "shell_correlation", "soft_edge"]

SEVENTH = 1 / 7
_HALF_BIT_SNR = (math.sqrt(2.0) - 1) / 2  # of each half of the data: half a bit per sample of their sum


@dataclass(frozen=True, slots=True)
class ShellCorrelation:
    """A curve of correlation over spatial frequency."""

    frequency: NDArray[np.float64]
    """Middle of each ring, in 1/px; the last lies at or below 1/2."""
    correlation: NDArray[np.float64]
    """From -1 to 1; NaN in a ring where one of the two is zero."""
    samples: NDArray[np.int64]
    """Independent samples in each ring: of each pair of opposite frequencies one."""

    def threshold(self, criterion: str) -> NDArray[np.float64]:
        """The threshold per ring: ``half-bit`` or ``1/7``.

        Raises:
            ValueError: there is no such criterion.
        """
        if criterion == "half-bit":
            return half_bit(self.samples)
        if criterion == "1/7":
            return np.full(len(self.samples), SEVENTH)
        raise ValueError(f"criterion is {criterion!r}: expected 'half-bit' or '1/7'")

    def resolution(self, criterion: str = "half-bit") -> float | None:
        """The period in pixels at which the curve first falls below a threshold.

        Returns:
            At least 2 px, which is reached where the curve never falls below; None where it is never above.

        Raises:
            ValueError: there is no such criterion.
        """
        # the constant is left out: its ring holds one sample, for which the threshold is 1
        limit = self.threshold(criterion)[1:]
        above = np.nan_to_num(self.correlation[1:], nan=-1.0) - limit
        frequency = self.frequency[1:]
        below = np.flatnonzero(above < 0)
        if not len(below):
            return 2.0
        first = int(below[0])
        if first == 0:
            return None
        share = above[first - 1] / (above[first - 1] - above[first])
        crossing = frequency[first - 1] + share * (frequency[first] - frequency[first - 1])
        return float(max(2.0, 1 / crossing))


def half_bit(samples: ArrayLike) -> NDArray[np.float64]:
    """The half-bit threshold for rings of so many independent samples (van Heel and Schatz 2005, equation 17)."""
    root = np.sqrt(np.maximum(np.asarray(samples, np.float64), 1.0))
    snr = _HALF_BIT_SNR
    return (snr + (2 * math.sqrt(snr) + 1) / root) / (1 + snr + 2 * math.sqrt(snr) / root)


def soft_edge(length: int, share: float) -> NDArray[np.float32]:
    """A line that rises as a cosine over a share of its length at each end, so that opposite edges do not meet in a step."""
    if not 0 <= share <= 0.5:
        raise ValueError(f"share is {share}: expected from 0 to 0.5")
    distance = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
    width = max(share * length, 1e-9)
    return (0.5 - 0.5 * np.cos(np.pi * np.minimum(distance / width, 1.0))).astype(np.float32)


def shell_correlation(a: ArrayLike, b: ArrayLike, *, edge: float = 0.125) -> ShellCorrelation:
    """The Fourier ring correlation of two images, or shell correlation of two volumes.

    Args:
        a: shape (row, col) or (z, y, x), without NaN.
        b: the same object, measured again: of the same shape.
        edge: share of each side over which both are faded out.

    Returns:
        One value per ring; rings are as wide as one step of frequency along the shortest side.

    Raises:
        ValueError: the shapes differ, have not two or three axes, or a side is shorter than 8.
    """
    first, second = np.asarray(a), np.asarray(b)
    if first.shape != second.shape:
        raise ValueError(f"the shapes are {first.shape} and {second.shape}: expected the same")
    if first.ndim not in (2, 3) or min(first.shape) < 8:
        raise ValueError(f"the shape is {first.shape}: expected 2 or 3 axes of at least 8")
    spectra = [_spectrum(values, edge) for values in (first, second)]
    size = min(first.shape)
    rings = size // 2 + 1
    depth = 1 if first.ndim == 2 else first.shape[0]
    height, width = first.shape[-2:]
    cross, power_a, power_b, count = _sums(spectra[0], spectra[1], depth, height, width, size, rings)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = cross / np.sqrt(power_a * power_b)
    return ShellCorrelation(np.arange(rings) / size, correlation, np.maximum(count // 2, 1))


def _spectrum(values: NDArray[np.generic], edge: float) -> NDArray[np.complex64]:
    """Half of the spectrum, shape (z, y, x // 2 + 1), of the values without their mean, faded out at the edges."""
    faded = values.astype(np.float32)
    faded -= faded.mean(dtype=np.float64).astype(np.float32)
    for axis, length in enumerate(faded.shape):
        shape = [1] * faded.ndim
        shape[axis] = length
        faded *= soft_edge(length, edge).reshape(shape)
    spectrum = np.asarray(scipy.fft.rfftn(faded), np.complex64)
    return spectrum if spectrum.ndim == 3 else spectrum[np.newaxis]


@numba.njit(nogil=True, cache=True)
def _sums(
    a: NDArray[np.complex64], b: NDArray[np.complex64], depth: int, height: int, width: int, size: int, rings: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Cross power, both powers and number of samples per ring; frequencies beyond the last ring are left out."""
    cross, power_a, power_b = np.zeros(rings), np.zeros(rings), np.zeros(rings)
    count = np.zeros(rings, np.int64)
    for i in range(a.shape[0]):
        fz = (i if 2 * i <= depth else i - depth) / depth
        for j in range(a.shape[1]):
            fy = (j if 2 * j <= height else j - height) / height
            for k in range(a.shape[2]):
                fx = k / width
                ring = int(math.sqrt(fz * fz + fy * fy + fx * fx) * size + 0.5)
                if ring >= rings:
                    continue
                # all columns but the first (and the last of an even length) stand for their mirror images too
                weight = 1 if k == 0 or 2 * k == width else 2
                p, q = a[i, j, k], b[i, j, k]
                cross[ring] += weight * (p.real * q.real + p.imag * q.imag)
                power_a[ring] += weight * (p.real * p.real + p.imag * p.imag)
                power_b[ring] += weight * (q.real * q.real + q.imag * q.imag)
                count[ring] += weight
    return cross, power_a, power_b, count

"""Stripes taken out of a sinogram by linear filters: wavelets and Fourier (Münch), Fourier (Raven), smoothness (Titarenko).

All of them find what is the same at (nearly) every angle and changes fast across the columns, and subtract it. Sinograms
are (angle, col) float32, finite; results are new arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import scipy.fft
import scipy.linalg
import scipy.ndimage
from numpy.typing import NDArray

from firstlight.kernels.columns import column_means
from firstlight.kernels.stripes import low_pass
from firstlight.kernels.wavelets import coarser, finer, largest_level

__all__ = [
    "STRONGEST",
    "averaged",
    "block_ends",
    "butterworth",
    "gap_of",
    "lowest_waves",
    "polynomials",
    "remove_by_fitting",
    "remove_by_fourier",
    "remove_by_smoothing",
    "remove_by_smoothness",
    "remove_by_wavelets",
    "smoothing_change",
    "smoothness_change",
]

Sinogram = NDArray[np.float32]
STRONGEST = 10.0
"""Response of a column beyond which it is none."""


def remove_by_wavelets(sinogram: Sinogram, level: int, sigma: float, moments: int) -> Sinogram:
    """Damp the lowest frequencies along the angles in the vertical detail of each level (Münch et al. 2009).

    The damping is 1 - exp(-k^2 / (2 sigma^2)) for k periods in the whole. Beyond the first and last angle lies the mean
    of each column, beyond the rim the outermost column.
    """
    angles, columns = sinogram.shape
    gap = gap_of(sinogram.shape)
    padded = _padded(sinogram, gap)
    shapes: list[tuple[int, int]] = []
    details: list[Sinogram] = []
    part = padded
    for _ in range(min(level, largest_level(*padded.shape))):
        shapes.append((part.shape[0], part.shape[1]))
        part, detail = coarser(part, moments)
        details.append(_slow(detail, sigma))
    stripes = np.zeros_like(part)
    for shape, detail in zip(reversed(shapes), reversed(details), strict=True):
        stripes = finer(stripes[: detail.shape[0], : detail.shape[1]], detail, moments, shape)
    return sinogram - stripes[gap : gap + angles, gap : gap + columns]


def remove_by_fourier(sinogram: Sinogram, cutoff: float, order: int, rows: int) -> Sinogram:
    """Keep only low frequencies across the columns (Butterworth) in the lowest ones along the angles (Raven 1998).

    The frequencies along the angles from -`rows` to `rows` are those of stripes: only these few are computed.
    """
    angles, columns = sinogram.shape
    gap = gap_of(sinogram.shape)
    padded = _padded(sinogram, gap)
    high, wide = padded.shape
    phase = lowest_waves(high, rows)
    profiles = scipy.fft.fft(_times(phase, padded), axis=1)
    profiles *= butterworth(wide, cutoff, order)
    removed = scipy.fft.ifft(profiles, axis=1)
    removed[1:] *= 2  # a real sinogram has the negative frequencies too
    here = slice(gap, gap + angles)
    back = phase[:, here].conj().T / np.float32(high)
    stripes = np.real(_times(back, removed[:, gap : gap + columns]))
    return sinogram - stripes.astype(np.float32)


def lowest_waves(angles: int, rows: int) -> NDArray[np.complex64]:
    """The waves of 0 to `rows` periods over so many angles: (wave, angle)."""
    return np.exp(-2j * np.pi * np.outer(np.arange(rows + 1), np.arange(angles)) / angles).astype(np.complex64)


def butterworth(columns: int, cutoff: float, order: int) -> NDArray[np.float32]:
    """What is taken of each frequency across the columns, in FFT order."""
    frequency = np.abs(scipy.fft.fftfreq(columns, 1 / columns))
    return (1 - 1 / (1 + (frequency / cutoff) ** (2 * order))).astype(np.float32)


def remove_by_fitting(sinogram: Sinogram, order: int, sigma: float) -> Sinogram:
    """Multiply each column by what its polynomial along the angles lacks to that of its neighbours (Vo 2018, algorithm 1).

    The coefficients of the polynomials (in an orthonormal basis) are averaged across the columns by a Gaussian. Where
    the two are not above 0, or too far apart for a response, the value stays.
    """
    basis = polynomials(sinogram.shape[0], order)
    own = np.einsum("ak,ac->kc", basis, sinogram)
    usual = averaged(own, sigma)
    fitted, wanted = np.einsum("ak,kc->ac", basis, own), np.einsum("ak,kc->ac", basis, usual)
    sound = (fitted > 0) & (wanted > fitted / STRONGEST) & (wanted < fitted * STRONGEST)
    return sinogram * np.divide(wanted, fitted, out=np.ones_like(fitted), where=sound)


def polynomials(angles: int, order: int) -> NDArray[np.float32]:
    """Orthonormal polynomials up to an order over so many angles: (angle, polynomial)."""
    place = np.linspace(-1, 1, angles) if angles > 1 else np.zeros(1)
    return np.linalg.qr(np.polynomial.legendre.legvander(place, min(order, angles - 1)))[0].astype(np.float32)


def averaged(coefficients: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """A Gaussian average of coefficients (..., col) across the columns."""
    return scipy.ndimage.gaussian_filter1d(coefficients, sigma, axis=-1)


def remove_by_smoothness(
    sinogram: Sinogram, alpha: float, blocks: int, order: int = 1, out: Sinogram | None = None
) -> Sinogram:
    """Add to each column the number that makes the mean profile smooth (Titarenko et al. 2010).

    The numbers q minimise |D (p + q)|^2 + alpha |q|^2, with the mean profile p and differences D of an order: they
    solve (D'D + alpha) q = -D'D p, a banded system.

    Args:
        sinogram: (angle, col).
        alpha: weight of small corrections; smaller removes more.
        blocks: parts of the angles with a profile each.
        order: of the differences, 1 or 2.
        out: array like `sinogram` to fill; made if missing.
    """
    return _add_to_profiles(sinogram, lambda profiles: smoothness_change(profiles, alpha, order), blocks, out)


def smoothness_change(profiles: NDArray[np.float64], alpha: float, order: int) -> NDArray[np.float64]:
    """What `remove_by_smoothness` adds to columns with mean profiles (profile, col)."""
    columns = profiles.shape[1]
    if columns <= 2 * order:
        return np.zeros_like(profiles)
    bands = _squared_differences(columns, order)
    system = bands.copy()
    system[0] += alpha
    return scipy.linalg.solveh_banded(system, -_banded_product(bands, profiles.T), lower=True).T


def remove_by_smoothing(sinogram: Sinogram, sigma: float, blocks: int, out: Sinogram | None = None) -> Sinogram:
    """Add to each column the difference between the mean profile and a Gaussian average of it (Boin and Haibel 2006)."""
    return _add_to_profiles(sinogram, lambda profiles: smoothing_change(profiles, sigma), blocks, out)


def smoothing_change(profiles: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """What `remove_by_smoothing` adds to columns with mean profiles (profile, col)."""
    return scipy.ndimage.gaussian_filter1d(profiles, sigma, axis=1) - profiles


def block_ends(angles: int, blocks: int) -> NDArray[np.int32]:
    """Where the parts of the angles begin, and where the last one ends."""
    sizes = [part.size for part in np.array_split(np.arange(angles), min(blocks, angles))]
    return np.cumsum([0, *sizes]).astype(np.int32)


def _add_to_profiles(
    sinogram: Sinogram,
    change: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    blocks: int,
    out: Sinogram | None,
) -> Sinogram:
    out = np.empty_like(sinogram) if out is None else out
    for first, end in pairwise(block_ends(sinogram.shape[0], blocks).tolist()):
        found = change(column_means(sinogram[first:end])[None])[0]
        np.add(sinogram[first:end], found.astype(np.float32), out=out[first:end])
    return out


def gap_of(shape: tuple[int, ...]) -> int:
    """Values that are put around a sinogram on each side before it is transformed."""
    return min(150, min(shape) // 10)


def _padded(sinogram: Sinogram, gap: int) -> Sinogram:
    """With the mean of each column before and behind the angles, and the outermost columns repeated."""
    if not gap:
        return sinogram
    angles, columns = sinogram.shape
    out = np.empty((angles + 2 * gap, columns + 2 * gap), np.float32)
    inside = out[:, gap : gap + columns]
    inside[gap : gap + angles] = sinogram
    inside[:gap] = inside[gap + angles :] = column_means(sinogram)
    out[:, :gap], out[:, gap + columns :] = inside[:, :1], inside[:, -1:]
    return out


def _slow(detail: Sinogram, sigma: float) -> Sinogram:
    """What the damping takes away along the angles."""
    high = detail.shape[0]
    spectrum = scipy.fft.rfft(detail, axis=0)
    window = low_pass(spectrum.shape[0], sigma)
    spectrum[: window.size] *= window[:, None]
    spectrum[window.size :] = 0
    return np.asarray(scipy.fft.irfft(spectrum, high, axis=0, overwrite_x=True), np.float32)


def _times(left: NDArray[np.complex64], right: NDArray[np.generic]) -> NDArray[np.complex64]:
    """Product of a few rows with a sinogram; einsum, since a matrix product would start threads of its own."""
    return np.einsum("ij,jk->ik", left, right.astype(np.complex64))


def _squared_differences(columns: int, order: int) -> NDArray[np.float64]:
    """D'D for differences of an order, in bands: row 0 the diagonal, row k what lies k below it."""
    taps = np.array([-1.0, 1.0]) if order == 1 else np.array([1.0, -2.0, 1.0])
    bands = np.zeros((order + 1, columns))
    for start in range(order + 1):
        for below in range(order + 1 - start):
            # every row of D adds taps[start] taps[start + below] at (row + start, row + start + below)
            bands[below, start : start + columns - order] += taps[start] * taps[start + below]
    return bands


def _banded_product(bands: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a symmetric matrix, in bands, with vectors side by side (place, vector)."""
    out = bands[0][:, None] * vectors
    for below in range(1, len(bands)):
        reach, band = len(vectors) - below, bands[below][:, None]
        out[below:] += band[:reach] * vectors[:reach]
        out[:reach] += band[:reach] * vectors[below:]
    return out

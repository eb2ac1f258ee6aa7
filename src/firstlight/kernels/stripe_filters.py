"""Stripes taken out of a sinogram by linear filters: wavelets and Fourier (Münch), Fourier (Raven), smoothness (Titarenko).

All of them find what is the same at (nearly) every angle and changes fast across the columns, and subtract it. Sinograms
are (angle, col) float32, finite; results are new arrays.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.linalg
import scipy.ndimage
from numpy.typing import NDArray

from firstlight.kernels.columns import column_means
from firstlight.kernels.wavelets import coarser, finer, largest_level

__all__ = [
    "remove_by_fitting",
    "remove_by_fourier",
    "remove_by_smoothing",
    "remove_by_smoothness",
    "remove_by_wavelets",
]

Sinogram = NDArray[np.float32]
_STRONGEST = 10.0
"""Response of a column beyond which it is none."""
_REACH = 8
"""Standard deviations of a Gaussian beyond which it is nothing to float32."""


def remove_by_wavelets(sinogram: Sinogram, level: int, sigma: float, moments: int) -> Sinogram:
    """Damp the lowest frequencies along the angles in the vertical detail of each level (Münch et al. 2009).

    The damping is 1 - exp(-k^2 / (2 sigma^2)) for k periods in the whole. Beyond the first and last angle lies the mean
    of each column, beyond the rim the outermost column.
    """
    angles, columns = sinogram.shape
    gap = _gap(sinogram.shape)
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
    gap = _gap(sinogram.shape)
    padded = _padded(sinogram, gap)
    high, wide = padded.shape
    phase = np.exp(-2j * np.pi * np.outer(np.arange(rows + 1), np.arange(high)) / high).astype(np.complex64)
    profiles = scipy.fft.fft(_times(phase, padded), axis=1)
    frequency = np.abs(scipy.fft.fftfreq(wide, 1 / wide))
    profiles *= (1 - 1 / (1 + (frequency / cutoff) ** (2 * order))).astype(np.float32)
    removed = scipy.fft.ifft(profiles, axis=1)
    removed[1:] *= 2  # a real sinogram has the negative frequencies too
    here = slice(gap, gap + angles)
    back = phase[:, here].conj().T / np.float32(high)
    stripes = np.real(_times(back, removed[:, gap : gap + columns]))
    return sinogram - stripes.astype(np.float32)


def remove_by_fitting(sinogram: Sinogram, order: int, sigma: float) -> Sinogram:
    """Multiply each column by what its polynomial along the angles lacks to that of its neighbours (Vo 2018, algorithm 1).

    The coefficients of the polynomials (in an orthonormal basis) are averaged across the columns by a Gaussian. Where
    the two are not above 0, or too far apart for a response, the value stays.
    """
    angles = sinogram.shape[0]
    place = np.linspace(-1, 1, angles) if angles > 1 else np.zeros(1)
    basis = np.linalg.qr(np.polynomial.legendre.legvander(place, min(order, angles - 1)))[0].astype(np.float32)
    own = np.einsum("ak,ac->kc", basis, sinogram)
    usual = scipy.ndimage.gaussian_filter1d(own, sigma, axis=1)
    fitted, wanted = np.einsum("ak,kc->ac", basis, own), np.einsum("ak,kc->ac", basis, usual)
    sound = (fitted > 0) & (wanted > fitted / _STRONGEST) & (wanted < fitted * _STRONGEST)
    return sinogram * np.divide(wanted, fitted, out=np.ones_like(fitted), where=sound)


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
    columns = sinogram.shape[1]
    out = np.empty_like(sinogram) if out is None else out
    if columns <= 2 * order:
        out[:] = sinogram
        return out
    bands = _squared_differences(columns, order)
    system = bands.copy()
    system[0] += alpha
    for part in np.array_split(np.arange(sinogram.shape[0]), min(blocks, sinogram.shape[0])):
        chosen = slice(part[0], part[-1] + 1)
        profile = column_means(sinogram[chosen])
        change = scipy.linalg.solveh_banded(system, -_banded_product(bands, profile), lower=True)
        np.add(sinogram[chosen], change.astype(np.float32), out=out[chosen])
    return out


def remove_by_smoothing(sinogram: Sinogram, sigma: float, blocks: int, out: Sinogram | None = None) -> Sinogram:
    """Add to each column the difference between the mean profile and a Gaussian average of it (Boin and Haibel 2006)."""
    out = np.empty_like(sinogram) if out is None else out
    for part in np.array_split(np.arange(sinogram.shape[0]), min(blocks, sinogram.shape[0])):
        chosen = slice(part[0], part[-1] + 1)
        profile = column_means(sinogram[chosen])
        change = scipy.ndimage.gaussian_filter1d(profile, sigma) - profile
        np.add(sinogram[chosen], change.astype(np.float32), out=out[chosen])
    return out


def _gap(shape: tuple[int, ...]) -> int:
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
    kept = min(spectrum.shape[0], int(_REACH * sigma) + 1)
    spectrum[:kept] *= np.exp(-0.5 * (np.arange(kept, dtype=np.float64) / sigma) ** 2).astype(np.float32)[:, None]
    spectrum[kept:] = 0
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


def _banded_product(bands: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    out = bands[0] * vector
    for below in range(1, len(bands)):
        reach = vector.size - below
        out[below:] += bands[below, :reach] * vector[:reach]
        out[:reach] += bands[below, :reach] * vector[below:]
    return out

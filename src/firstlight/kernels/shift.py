"""How far one image is shifted against another, to a part of a pixel (Guizar-Sicairos, Thurman and Fienup 2008).

The peak of the phase correlation is found to a pixel by a Fourier transform, and then on a grid of parts of a pixel
around it by two small sums of waves, which costs less than a large transform.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

__all__ = ["Shift", "Spectrum", "find_shift", "measure_shift", "spectrum"]

Spectrum = NDArray[np.complex64]


class Shift(NamedTuple):
    """What has to be added to the places of the image to find the reference's content: image[i + row] = reference[i]."""

    row: float
    column: float


def spectrum(image: NDArray[np.generic]) -> Spectrum:
    """Fourier transform of an image without its mean, faded out at the rim, where nothing corresponds.

    Args:
        image: (row, col); NaN and infinity count as the mean.
    """
    values = np.asarray(image, np.float32)
    finite = np.isfinite(values)
    mean = values[finite].mean(dtype=np.float64) if finite.any() else 0.0
    values = np.where(finite, values - np.float32(mean), np.float32(0))
    rows, columns = (np.sin(np.pi * (np.arange(n) + 0.5) / n).astype(np.float32) for n in values.shape)
    return np.asarray(scipy.fft.fft2(values * rows[:, None] * columns), np.complex64)


def measure_shift(
    reference: NDArray[np.generic], known: Spectrum, image: NDArray[np.generic], parts: int, most: float
) -> Shift:
    """Shift of an image against a reference, measured again on what both have in common.

    Args:
        reference: (row, col).
        known: its `spectrum`.
        image: (row, col).
        parts: steps per pixel of the answer.
        most: largest shift looked for, in pixels along either axis.
    """
    first = find_shift(known, spectrum(image), parts, most)
    down, right = round(first.row), round(first.column)
    rows, columns = reference.shape
    if (down, right) == (0, 0) or abs(down) >= rows // 2 or abs(right) >= columns // 2:
        return first
    common = slice(max(-down, 0), rows - max(down, 0)), slice(max(-right, 0), columns - max(right, 0))
    moved = slice(max(down, 0), rows - max(-down, 0)), slice(max(right, 0), columns - max(-right, 0))
    rest = find_shift(spectrum(reference[common]), spectrum(image[moved]), parts, 2.0)
    return Shift(down + rest.row, right + rest.column)


def find_shift(reference: Spectrum, image: Spectrum, parts: int, most: float) -> Shift:
    """Shift of an image against a reference.

    Args:
        reference: `spectrum` of the reference.
        image: `spectrum` of the image.
        parts: steps per pixel of the answer.
        most: largest shift looked for, in pixels along either axis.

    Returns:
        The shift; 0 where either image has no structure.
    """
    product = image * np.conj(reference)
    size = np.abs(product)
    if not size.max() > 0:
        return Shift(0.0, 0.0)
    # whitened, but frequencies that hold nothing but noise count less
    product /= np.sqrt(size * size.mean()) + 1e-3 * size.mean()
    surface = np.abs(scipy.fft.ifft2(product))
    places = [scipy.fft.fftfreq(n, 1 / n) for n in surface.shape]
    allowed = (np.abs(places[0]) <= most)[:, None] & (np.abs(places[1]) <= most)
    peak = np.unravel_index(int(np.argmax(np.where(allowed, surface, -1.0))), surface.shape)
    coarse = [float(place[i]) for place, i in zip(places, peak, strict=True)]
    fine = np.arange(-int(1.5 * parts), int(1.5 * parts) + 1) / parts
    waves = [
        np.exp(2j * np.pi * np.outer(middle + fine, scipy.fft.fftfreq(n))).astype(np.complex64)
        for middle, n in zip(coarse, surface.shape, strict=True)
    ]
    around = np.abs(np.einsum("ij,kj->ik", np.einsum("ai,ij->aj", waves[0], product), waves[1]))
    best = np.unravel_index(int(np.argmax(around)), around.shape)
    return Shift(coarse[0] + float(fine[best[0]]), coarse[1] + float(fine[best[1]]))

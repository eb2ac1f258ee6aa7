"""How far one image is shifted against another, to a part of a pixel.

The peak of the phase correlation is found to a pixel by a Fourier transform, and then to a part of one by following the
correlation, which the spectra give at any place, uphill (the idea of Guizar-Sicairos, Thurman and Fienup 2008).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import scipy.fft
from numpy.typing import NDArray

__all__ = ["Shift", "Spectrum", "measure_shift", "spectrum"]

Spectrum = NDArray[np.complex64]
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
_SUMS: dict[str, Any] = {**_OPTIONS, "fastmath": {"contract", "nsz", "reassoc"}}
_ALIKE = 0.02
"""Shift, as a share of the image, below which both fade out alike at the rim, and need not be cut to what they share."""
_TURNS = 6
"""Searches along one axis and then the other; two suffice where the peak is round."""


class Shift(NamedTuple):
    """Where the reference's content is in the image: image[i + row, j + column] = reference[i, j]."""

    row: float
    column: float


def spectrum(image: NDArray[np.generic]) -> Spectrum:
    """Fourier transform of an image without its mean, faded out at the rim, where nothing corresponds.

    Args:
        image: (row, col); NaN and infinity count as the mean.

    Returns:
        (row, col // 2 + 1): the frequencies that a real image needs.
    """
    values = np.asarray(image, np.float32)
    mean = values.mean(dtype=np.float64)
    if not np.isfinite(mean):
        finite = np.isfinite(values)
        mean = values[finite].mean(dtype=np.float64) if finite.any() else 0.0
        values = np.where(finite, values, np.float32(mean))
    rows, columns = (np.sin(np.pi * (np.arange(n) + 0.5) / n).astype(np.float32) for n in values.shape)
    return np.asarray(scipy.fft.rfft2((values - np.float32(mean)) * (rows[:, None] * columns)), np.complex64)


def measure_shift(
    reference: NDArray[np.generic], known: Spectrum, image: NDArray[np.generic], parts: int, most: float
) -> Shift:
    """Shift of an image against a reference, measured on what both have in common.

    Args:
        reference: (row, col).
        known: its `spectrum`.
        image: (row, col).
        parts: steps per pixel of the answer.
        most: largest shift looked for, in pixels along either axis.

    Returns:
        The shift; 0 where either image has no structure.
    """
    rows, columns = reference.shape
    product = _whitened(spectrum(image), known)
    if product is None:
        return Shift(0.0, 0.0)
    down, right = _peak(product, (rows, columns), most)
    share = max(abs(down) / rows, abs(right) / columns)
    if share < _ALIKE or share >= 0.5:
        return _uphill(product, (rows, columns), down, right, parts)
    high, wide = (scipy.fft.prev_fast_len(n - abs(by), real=True) for n, by in ((rows, down), (columns, right)))
    common = slice(max(-down, 0), max(-down, 0) + high), slice(max(-right, 0), max(-right, 0) + wide)
    moved = slice(max(down, 0), max(down, 0) + high), slice(max(right, 0), max(right, 0) + wide)
    again = _whitened(spectrum(image[moved]), spectrum(reference[common]))
    rest = Shift(0.0, 0.0) if again is None else _uphill(again, (high, wide), 0, 0, parts)
    return Shift(down + rest.row, right + rest.column)


def _whitened(image: Spectrum, reference: Spectrum) -> Spectrum | None:
    """Product of both, frequencies made alike; those that hold nothing but noise count less. None without structure."""
    product = np.empty_like(image)
    mean = _multiply(image, reference, product) / product.size
    if not (mean > 0 and np.isfinite(mean)):
        return None
    _make_alike(product, np.float32(mean))
    return product


def _peak(product: Spectrum, shape: tuple[int, int], most: float) -> tuple[int, int]:
    """The shift in whole pixels."""
    surface = scipy.fft.irfft2(product, shape)
    reach = [min(int(most), n // 2) for n in shape]
    rows, columns = (np.arange(-r, r + 1) for r in reach)
    part = surface[np.ix_(rows % shape[0], columns % shape[1])]
    best = np.unravel_index(int(np.argmax(part)), part.shape)
    return int(rows[best[0]]), int(columns[best[1]])


def _uphill(product: Spectrum, shape: tuple[int, int], down: int, right: int, parts: int) -> Shift:
    """The place of the peak in steps of 1/parts pixel, searched along the rows and the columns in turn."""
    weights = np.full(product.shape[1], 2.0)  # a frequency stands for its mirror image too, but for the outermost
    weights[0] = 1.0
    if shape[1] % 2 == 0:
        weights[-1] = 1.0
    frequency = scipy.fft.fftfreq(shape[0]), np.arange(product.shape[1]) / shape[1]
    fine = np.arange(-parts, parts + 1) / parts
    row, column = float(down), float(right)
    for _ in range(_TURNS):
        before = row, column
        across = (np.exp(2j * np.pi * column * frequency[1]) * weights).astype(np.complex64)
        row = _best(_sum_rows(product, across), frequency[0], row, down, fine)
        upwards = np.exp(2j * np.pi * row * frequency[0]).astype(np.complex64)
        column = _best(_sum_columns(product, upwards) * weights, frequency[1], column, right, fine)
        if (row, column) == before:
            break
    return Shift(row, column)


def _best(
    line: NDArray[np.complexfloating], frequency: NDArray[np.float64], at: float, middle: int, fine: NDArray[np.float64]
) -> float:
    """The place, within a pixel of `middle`, at which the real part of a sum of waves is largest."""
    places = middle + fine
    heights = np.real(np.exp(2j * np.pi * np.outer(places, frequency)) @ line)
    best, here = int(np.argmax(heights)), int(np.argmin(np.abs(places - at)))
    # equal heights: stay
    equal = bool(np.isclose(heights[best], heights[here], rtol=1e-9))
    return at if equal else float(places[best])


@numba.njit(**_SUMS)
def _multiply(image: Spectrum, reference: Spectrum, product: Spectrum) -> float:
    total = 0.0
    for i in range(product.shape[0]):
        part = np.float32(0)
        for j in range(product.shape[1]):
            a, b = image[i, j], reference[i, j]
            real, imaginary = a.real * b.real + a.imag * b.imag, a.imag * b.real - a.real * b.imag
            product[i, j] = complex(real, imaginary)
            part += np.sqrt(real * real + imaginary * imaginary)
        total += part
    return float(total)


@numba.njit(**_OPTIONS)
def _make_alike(product: Spectrum, mean: np.float32) -> None:
    least = np.float32(1e-3) * mean
    for i in range(product.shape[0]):
        for j in range(product.shape[1]):
            value = product[i, j]
            size = np.sqrt(value.real * value.real + value.imag * value.imag)
            factor = np.float32(1) / (np.sqrt(size * mean) + least)
            product[i, j] = complex(value.real * factor, value.imag * factor)


@numba.njit(**_SUMS)
def _sum_rows(product: Spectrum, wave: Spectrum) -> NDArray[np.complex128]:
    """sum_j product[i, j] wave[j]."""
    out = np.empty(product.shape[0], np.complex128)
    for i in range(product.shape[0]):
        real, imaginary = np.float32(0), np.float32(0)
        for j in range(product.shape[1]):
            a, b = product[i, j], wave[j]
            real += a.real * b.real - a.imag * b.imag
            imaginary += a.real * b.imag + a.imag * b.real
        out[i] = complex(real, imaginary)
    return out


@numba.njit(**_OPTIONS)
def _sum_columns(product: Spectrum, wave: Spectrum) -> NDArray[np.complex128]:
    """sum_i product[i, j] wave[i]."""
    real, imaginary = np.zeros(product.shape[1], np.float32), np.zeros(product.shape[1], np.float32)
    for i in range(product.shape[0]):
        b = wave[i]
        for j in range(product.shape[1]):
            a = product[i, j]
            real[j] += a.real * b.real - a.imag * b.imag
            imaginary[j] += a.real * b.imag + a.imag * b.real
    return real + 1j * imaginary

"""Stripes taken out of sinograms by linear filters on a CUDA device, as in `firstlight.kernels.stripe_filters`.

Sinograms are (row, angle, col) float32, C-contiguous and finite; results are new device arrays. Mean profiles, a few numbers
for each column, go to the host and come back as what is to be added: the systems of equations stay the CPU's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstlight.kernels import stripe_filters as filters
from firstlight.kernels.cuda import fourier
from firstlight.kernels.cuda.arrays import Device, cuda, empty, on_device, to_host, zeros
from firstlight.kernels.cuda.columns import column_means
from firstlight.kernels.cuda.grids import over
from firstlight.kernels.cuda.rims import nearest
from firstlight.kernels.cuda.stripes import low_passed
from firstlight.kernels.cuda.wavelets import coarser, finer
from firstlight.kernels.wavelets import largest_level

__all__ = [
    "remove_by_fitting",
    "remove_by_fourier",
    "remove_by_smoothing",
    "remove_by_smoothness",
    "remove_by_wavelets",
]

Profiles = NDArray[np.float64]


def remove_by_smoothness(sinograms: Device, alpha: float, blocks: int, order: int = 1) -> Device:
    """Add to each column the number that makes the mean profile smooth (Titarenko et al. 2010)."""
    return _with_change(sinograms, blocks, lambda profiles: filters.smoothness_change(profiles, alpha, order))


def remove_by_smoothing(sinograms: Device, sigma: float, blocks: int) -> Device:
    """Add to each column the difference between the mean profile and a Gaussian average of it (Boin and Haibel 2006)."""
    return _with_change(sinograms, blocks, lambda profiles: filters.smoothing_change(profiles, sigma))


def _with_change(sinograms: Device, blocks: int, change: Callable[[Profiles], Profiles]) -> Device:
    _, angles, columns = sinograms.shape
    ends = filters.block_ends(angles, blocks)
    profiles = to_host(column_means(sinograms, ends))
    found = change(profiles.reshape(-1, columns)).astype(np.float32).reshape(profiles.shape)
    owner = np.repeat(np.arange(len(ends) - 1, dtype=np.int32), np.diff(ends))
    out = empty(sinograms.shape)
    over(_add_profile, out.shape, sinograms, on_device(found), on_device(owner), out)
    return out


def remove_by_fourier(sinograms: Device, cutoff: float, order: int, rows: int) -> Device:
    """Keep only low frequencies across the columns in the lowest ones along the angles (Raven 1998)."""
    count, angles, columns = sinograms.shape
    gap = filters.gap_of((angles, columns))
    high, wide = angles + 2 * gap, columns + 2 * gap
    phase = on_device(filters.lowest_waves(high, rows))
    means = _means(sinograms)
    profiles = empty((count, rows + 1, wide), np.complex64)
    over(_project, profiles.shape, sinograms, means, phase, np.int32(gap), profiles)
    profiles = fourier.fft(profiles, (2,))
    over(_multiply, profiles.shape, profiles, on_device(filters.butterworth(wide, cutoff, order)))
    removed = fourier.ifft(profiles, (2,))
    out = empty(sinograms.shape)
    over(_subtract_waves, out.shape, sinograms, removed, phase, np.int32(gap), out)
    return out


def remove_by_fitting(sinograms: Device, order: int, sigma: float) -> Device:
    """Multiply each column by what its polynomial along the angles lacks to that of its neighbours (Vo 2018, algorithm 1)."""
    rows, angles, columns = sinograms.shape
    host_basis = filters.polynomials(angles, order)
    basis, own = on_device(host_basis), empty((rows, host_basis.shape[1], columns))
    over(_coefficients, own.shape, sinograms, basis, own)
    usual = on_device(filters.averaged(to_host(own), sigma))
    out = empty(sinograms.shape)
    over(_even_out, out.shape, sinograms, basis, own, usual, np.float32(filters.STRONGEST), out)
    return out


def remove_by_wavelets(sinograms: Device, level: int, sigma: float, moments: int) -> Device:
    """Damp the lowest frequencies along the angles in the vertical detail of each level (Münch et al. 2009)."""
    count, angles, columns = sinograms.shape
    gap = filters.gap_of((angles, columns))
    part = empty((count, angles + 2 * gap, columns + 2 * gap))
    over(_pad, part.shape, sinograms, _means(sinograms), np.int32(gap), part)
    shapes: list[tuple[int, int]] = []
    details: list[Device] = []
    for _ in range(min(level, largest_level(part.shape[1], part.shape[2]))):
        shapes.append((part.shape[1], part.shape[2]))
        part, detail = coarser(part, moments)
        details.append(low_passed(detail, sigma))
    stripes = zeros(part.shape)
    for shape, detail in zip(reversed(shapes), reversed(details), strict=True):
        stripes = finer(stripes, detail, moments, shape)
    out = empty(sinograms.shape)
    over(_subtract, out.shape, sinograms, stripes, np.int32(gap), out)
    return out


def _means(sinograms: Device) -> Device:
    """Of all angles: float64 (row, 1, col)."""
    return column_means(sinograms, np.array([0, sinograms.shape[1]], np.int32))


@cuda.jit
def _add_profile(sinograms: Any, change: Any, owner: Any, out: Any) -> None:
    col, angle, row = cuda.grid(3)
    if col < out.shape[2] and angle < out.shape[1] and row < out.shape[0]:
        out[row, angle, col] = sinograms[row, angle, col] + change[row, owner[angle], col]


@cuda.jit
def _coefficients(sinograms: Any, basis: Any, own: Any) -> None:
    """A thread walks down a column for each polynomial."""
    col, k, row = cuda.grid(3)
    if col >= own.shape[2] or k >= own.shape[1] or row >= own.shape[0]:
        return
    total = np.float32(0)
    for angle in range(basis.shape[0]):
        total += basis[angle, k] * sinograms[row, angle, col]
    own[row, k, col] = total


@cuda.jit
def _even_out(sinograms: Any, basis: Any, own: Any, usual: Any, strongest: Any, out: Any) -> None:
    """Where both polynomials are above 0 and not too far apart for a response, the value follows the usual one."""
    col, angle, row = cuda.grid(3)
    if col >= out.shape[2] or angle >= out.shape[1] or row >= out.shape[0]:
        return
    fitted, wanted, value = np.float32(0), np.float32(0), sinograms[row, angle, col]
    for k in range(basis.shape[1]):
        fitted += basis[angle, k] * own[row, k, col]
        wanted += basis[angle, k] * usual[row, k, col]
    if fitted > np.float32(0) and wanted > fitted / strongest and wanted < fitted * strongest:
        value *= wanted / fitted
    out[row, angle, col] = value


@cuda.jit(device=True)
def _padded(sinograms: Any, means: Any, gap: Any, row: Any, place: Any, col: Any) -> Any:
    """A value of the sinogram with the mean of each column before and behind the angles, and the outermost columns repeated."""
    column, angle = nearest(col - gap, sinograms.shape[2]), place - gap
    if 0 <= angle < sinograms.shape[1]:
        return sinograms[row, angle, column]
    return np.float32(means[row, 0, column])


@cuda.jit
def _pad(sinograms: Any, means: Any, gap: Any, out: Any) -> None:
    col, place, row = cuda.grid(3)
    if col < out.shape[2] and place < out.shape[1] and row < out.shape[0]:
        out[row, place, col] = _padded(sinograms, means, gap, row, place, col)


@cuda.jit
def _project(sinograms: Any, means: Any, phase: Any, gap: Any, profiles: Any) -> None:
    """A thread walks down a padded column and adds up one wave's share."""
    col, wave, row = cuda.grid(3)
    if col >= profiles.shape[2] or wave >= profiles.shape[1] or row >= profiles.shape[0]:
        return
    real, imaginary = np.float32(0), np.float32(0)
    for place in range(phase.shape[1]):
        value, turn = _padded(sinograms, means, gap, row, place, col), phase[wave, place]
        real += value * turn.real
        imaginary += value * turn.imag
    profiles[row, wave, col] = np.complex64(complex(real, imaginary))


@cuda.jit
def _multiply(profiles: Any, weights: Any) -> None:
    k, wave, row = cuda.grid(3)
    if k < profiles.shape[2] and wave < profiles.shape[1] and row < profiles.shape[0]:
        profiles[row, wave, k] *= weights[k]


@cuda.jit
def _subtract_waves(sinograms: Any, removed: Any, phase: Any, gap: Any, out: Any) -> None:
    """Take away what the waves make at an angle; a real sinogram has the negative frequencies too."""
    col, angle, row = cuda.grid(3)
    if col >= out.shape[2] or angle >= out.shape[1] or row >= out.shape[0]:
        return
    total = np.float32(0)
    for wave in range(phase.shape[0]):
        turn, value = phase[wave, angle + gap], removed[row, wave, col + gap]
        share = turn.real * value.real + turn.imag * value.imag
        total += share + share if wave else share
    out[row, angle, col] = sinograms[row, angle, col] - total / np.float32(phase.shape[1])


@cuda.jit
def _subtract(sinograms: Any, stripes: Any, gap: Any, out: Any) -> None:
    col, angle, row = cuda.grid(3)
    if col < out.shape[2] and angle < out.shape[1] and row < out.shape[0]:
        out[row, angle, col] = sinograms[row, angle, col] - stripes[row, angle + gap, col + gap]

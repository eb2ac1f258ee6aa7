"""Elementwise work on exit waves and detector waves: what an engine does beside its Fourier transforms."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

Array = Any
"""A numpy or a CuPy array."""

_FASTMATH = {"nnan", "ninf", "nsz", "contract", "reassoc", "arcp"}


def on_cpu(array: Array) -> bool:
    """True for a numpy array, whose elementwise work numba does."""
    return isinstance(array, np.ndarray)


def namespace(array: Array) -> Any:
    """The library of an array: numpy, or CuPy."""
    if on_cpu(array):
        return np
    import cupy

    return cupy


def empty_like(array: Array, shape: tuple[int, ...]) -> Array:
    """An array of the kind and type of another, its values not set."""
    return namespace(array).empty(shape, array.dtype)


def _window(corner: Array, shape: tuple[int, ...]) -> tuple[slice, slice]:
    row, col = int(corner[0]), int(corner[1])
    return slice(row, row + shape[-2]), slice(col, col + shape[-1])


# ---- exit waves ------------------------------------------------------------------------------------------------------


def exit_waves(image: Array, probes: Array, corners: Array, out: Array) -> Array:
    """Multiply windows of the object by the probe.

    Args:
        image: The object, shape (y, x), complex.
        probes: Shape (1 or position, mode, v, u), complex: one probe for all positions, or one for each.
        corners: Shape (position, 2), integers on the host: first row and column of each window.
        out: Where the result goes, shape (position, mode, v, u), complex.

    Returns:
        `out`.
    """
    if on_cpu(out):
        _exit_waves(image, probes, corners, out)
        return out
    for place, corner in enumerate(corners):
        out[place] = probes[place % len(probes)] * image[_window(corner, out.shape)]
    return out


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _exit_waves(image: Array, probes: Array, corners: Array, out: Array) -> None:  # pragma: no cover - compiled
    positions, modes, rows, cols = out.shape
    for b in range(positions):
        first_row, first_col = corners[b, 0], corners[b, 1]
        for m in range(modes):
            for r in range(rows):
                line = image[first_row + r, first_col : first_col + cols]
                lamp = probes[b % probes.shape[0], m, r]
                target = out[b, m, r]
                for c in range(cols):
                    target[c] = lamp[c] * line[c]


# ---- the detector's constraint ---------------------------------------------------------------------------------------


def replace_modulus(waves: Array, amplitudes: Array, valid: Array) -> Array:
    """Give detector waves the measured amplitudes and leave their phases: ``Ψ_m ← Ψ_m A / √Σ|Ψ_m|²``, in place.

    Args:
        waves: Detector waves, shape (position, mode, v, u), complex; the modes add up incoherently.
        amplitudes: Measured, shape (position, v, u), float: square roots of photon counts.
        valid: Shape (v, u), bool: what is not valid keeps its wave and counts no error.

    Returns:
        Error of each position before the replacement, ``Σ (√Σ|Ψ_m|² − A)²`` over valid pixels, float64.
    """
    if on_cpu(waves):
        errors = np.empty(len(waves), np.float64)
        _replace_modulus(waves, amplitudes, valid, errors)
        return errors
    total = ((waves.real**2 + waves.imag**2).sum(axis=1)) ** 0.5
    differences = (total - amplitudes) * valid
    tiny = np.finfo(total.dtype).tiny ** 0.5
    factors = amplitudes / total.clip(tiny)
    factors = factors * valid + (1 - valid.astype(total.dtype))
    waves *= factors[:, None]
    return (differences.astype("float64") ** 2).sum(axis=(1, 2))


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _replace_modulus(waves: Array, amplitudes: Array, valid: Array, errors: Array) -> None:  # pragma: no cover
    positions, modes, rows, cols = waves.shape
    total = np.empty(cols, amplitudes.dtype)
    tiny = np.sqrt(np.finfo(amplitudes.dtype).tiny)
    for b in range(positions):
        error = 0.0
        for r in range(rows):
            total[:] = 0
            for m in range(modes):
                line = waves[b, m, r]
                for c in range(cols):
                    total[c] += line[c].real * line[c].real + line[c].imag * line[c].imag
            measured, mask = amplitudes[b, r], valid[r]
            short = nb.float32(0)
            for c in range(cols):
                modulus = np.sqrt(total[c])
                difference = modulus - measured[c] if mask[c] else total[c] * 0
                short += difference * difference
                total[c] = measured[c] / max(modulus, tiny) if mask[c] else total[c] * 0 + 1
            error += short
            for m in range(modes):
                line = waves[b, m, r]
                for c in range(cols):
                    line[c] = complex(line[c].real * total[c], line[c].imag * total[c])
        errors[b] = error


def likelihood_step(waves: Array, amplitudes: Array, valid: Array, noise: str) -> Array:
    """Turn detector waves into the change that the likelihood asks for, in place: Newton's step of the modulus.

    Gaussian noise of amplitudes, ``(|Ψ| − A)²``, asks for ``(A / |Ψ| − 1) Ψ``; Poisson noise of counts,
    ``|Ψ|² − A² ln|Ψ|²``, for ``(A² − |Ψ|²) / (A² + |Ψ|²) Ψ``, which never more than doubles a wave. ``|Ψ|² = Σ|Ψ_m|²``.
    Zero where a pixel is not valid.

    Args:
        waves: Detector waves, shape (position, mode, v, u), complex; changed.
        amplitudes: Measured, shape (position, v, u), float: square roots of photon counts.
        valid: Shape (v, u), bool.
        noise: `gaussian` or `poisson`.

    Returns:
        Error of each position, ``Σ (|Ψ| − A)²`` over valid pixels, float64.
    """
    counted = noise == "poisson"
    if on_cpu(waves):
        errors = np.empty(len(waves), np.float64)
        _likelihood_step(waves, amplitudes, valid, counted, errors)
        return errors
    total = ((waves.real**2 + waves.imag**2).sum(axis=1)) ** 0.5
    differences = (total - amplitudes) * valid
    if counted:
        counts, model = amplitudes * amplitudes, total * total
        factors = (counts - model) / (counts + model).clip(np.finfo(total.dtype).tiny)
    else:
        factors = amplitudes / total.clip(np.finfo(total.dtype).tiny ** 0.5) - 1
    factors = factors * valid
    waves *= factors[:, None]
    return (differences.astype("float64") ** 2).sum(axis=(1, 2))


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _likelihood_step(
    waves: Array, amplitudes: Array, valid: Array, counted: bool, errors: Array
) -> None:  # pragma: no cover - compiled
    positions, modes, rows, cols = waves.shape
    total = np.empty(cols, amplitudes.dtype)
    tiny = np.sqrt(np.finfo(amplitudes.dtype).tiny)
    for b in range(positions):
        error = 0.0
        for r in range(rows):
            total[:] = 0
            for m in range(modes):
                line = waves[b, m, r]
                for c in range(cols):
                    total[c] += line[c].real * line[c].real + line[c].imag * line[c].imag
            measured, mask = amplitudes[b, r], valid[r]
            short = nb.float32(0)
            for c in range(cols):
                modulus = np.sqrt(total[c])
                difference = modulus - measured[c] if mask[c] else total[c] * 0
                short += difference * difference
                if counted:
                    counts = measured[c] * measured[c]
                    factor = (counts - total[c]) / max(counts + total[c], tiny)
                else:
                    factor = measured[c] / max(modulus, tiny) - 1
                total[c] = factor if mask[c] else total[c] * 0
            error += short
            for m in range(modes):
                line = waves[b, m, r]
                for c in range(cols):
                    line[c] = complex(line[c].real * total[c], line[c].imag * total[c])
        errors[b] = error


# ---- sums over positions ---------------------------------------------------------------------------------------------


def add_to_object(numerator: Array, denominator: Array, probes: Array, waves: Array, corners: Array) -> None:
    """Add ``Σ_m P*_m ψ_m`` and ``Σ_m |P_m|²`` to the windows of two images.

    Args:
        numerator: Shape (y, x), complex; changed.
        denominator: Shape (y, x), float; changed.
        probes: Shape (1 or position, mode, v, u), complex.
        waves: Exit waves or changes of them, shape (position, mode, v, u), complex.
        corners: Shape (position, 2), integers on the host.
    """
    if on_cpu(waves):
        _add_to_object(numerator, denominator, probes, waves, corners)
        return
    for place, corner in enumerate(corners):
        window = _window(corner, waves.shape)
        lamp = probes[place % len(probes)]
        numerator[window] += (lamp.conj() * waves[place]).sum(axis=0)
        denominator[window] += (lamp.real**2 + lamp.imag**2).sum(axis=0)


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _add_to_object(
    numerator: Array, denominator: Array, probes: Array, waves: Array, corners: Array
) -> None:  # pragma: no cover - compiled
    positions, modes, rows, cols = waves.shape
    for b in range(positions):
        first_row, first_col = corners[b, 0], corners[b, 1]
        for r in range(rows):
            above = numerator[first_row + r, first_col : first_col + cols]
            below = denominator[first_row + r, first_col : first_col + cols]
            for m in range(modes):
                lamp, wave = probes[b % probes.shape[0], m, r], waves[b, m, r]
                for c in range(cols):
                    above[c] += lamp[c].conjugate() * wave[c]
                    below[c] += lamp[c].real * lamp[c].real + lamp[c].imag * lamp[c].imag


def add_to_probe(numerator: Array, denominator: Array, image: Array, waves: Array, corners: Array) -> None:
    """Add ``Σ_j O*_j ψ_jm`` and ``Σ_j |O_j|²`` over the windows j of the object.

    Args:
        numerator: Shape (mode, v, u), complex; changed.
        denominator: Shape (v, u), float; changed.
        image: The object, shape (y, x), complex.
        waves: Exit waves or changes of them, shape (position, mode, v, u), complex.
        corners: Shape (position, 2), integers on the host.
    """
    if on_cpu(waves):
        _add_to_probe(numerator, denominator, image, waves, corners)
        return
    for place, corner in enumerate(corners):
        seen = image[_window(corner, waves.shape)]
        numerator += seen.conj() * waves[place]
        denominator += seen.real**2 + seen.imag**2


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _add_to_probe(
    numerator: Array, denominator: Array, image: Array, waves: Array, corners: Array
) -> None:  # pragma: no cover - compiled
    positions, modes, rows, cols = waves.shape
    for b in range(positions):
        first_row, first_col = corners[b, 0], corners[b, 1]
        for r in range(rows):
            seen = image[first_row + r, first_col : first_col + cols]
            below = denominator[r]
            for c in range(cols):
                below[c] += seen[c].real * seen[c].real + seen[c].imag * seen[c].imag
            for m in range(modes):
                above, wave = numerator[m, r], waves[b, m, r]
                for c in range(cols):
                    above[c] += seen[c].conjugate() * wave[c]


def step_in_windows(
    image: Array,
    numerator: Array,
    denominator: Array,
    corners: Array,
    *,
    size: tuple[int, int],
    step: float,
    regularization: float,
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
    """
    if on_cpu(image):
        _step_in_windows(image, numerator, denominator, corners, size[0], size[1], step, regularization)
        return
    windows = [_window(corner, size) for corner in corners]
    largest = max(denominator[window].max() for window in windows)
    for window in windows:
        weight = (1 - regularization) * denominator[window] + regularization * largest
        image[window] += step * numerator[window] / weight.clip(np.finfo(weight.dtype).tiny)
        numerator[window] = 0
    for window in windows:
        denominator[window] = 0


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
) -> None:  # pragma: no cover - compiled
    largest = denominator[corners[0, 0], corners[0, 1]] * 0
    for corner in corners:
        for r in range(corner[0], corner[0] + rows):
            line = denominator[r, corner[1] : corner[1] + cols]
            for c in range(cols):
                largest = max(largest, line[c])
    flat = largest * 0 + regularization * largest + np.finfo(denominator.dtype).tiny
    slope = largest * 0 + (1 - regularization)
    length = largest * 0 + step
    for corner in corners:
        for r in range(corner[0], corner[0] + rows):
            above = numerator[r, corner[1] : corner[1] + cols]
            below = denominator[r, corner[1] : corner[1] + cols]
            target = image[r, corner[1] : corner[1] + cols]
            for c in range(cols):
                factor = length / (slope * below[c] + flat)
                target[c] += complex(above[c].real * factor, above[c].imag * factor)
                above[c] = 0
    for corner in corners:
        denominator[corner[0] : corner[0] + rows, corner[1] : corner[1] + cols] = 0

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


def on_host(array: Array) -> Array:
    """The values as a numpy array; a numpy array itself."""
    return array if isinstance(array, np.ndarray) else array.get()


def empty_like(array: Array, shape: tuple[int, ...]) -> Array:
    """An array of the kind and type of another, its values not set."""
    return namespace(array).empty(shape, array.dtype)


def window_of(corner: Array, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of a window as large as the last two axes of a shape."""
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
        out[place] = probes[place % len(probes)] * image[window_of(corner, out.shape)]
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


def modulus(waves: Array, background: Array | None = None) -> Array:
    """``√(Σ_m|Ψ_m|² + B)``, shape (position, v, u)."""
    total = (waves.real**2 + waves.imag**2).sum(axis=1)
    return (total if background is None else total + background) ** 0.5


def known_background(background: Array | None, amplitudes: Array) -> Array:
    """Of the amplitudes' type, shape (v, u)."""
    if background is None:
        return np.zeros(amplitudes.shape[1:], amplitudes.dtype)
    return np.ascontiguousarray(background, amplitudes.dtype)


# ---- the detector's constraint ---------------------------------------------------------------------------------------


def replace_modulus(waves: Array, amplitudes: Array, valid: Array, background: Array | None = None) -> Array:
    """Give detector waves the measured amplitudes and leave their phases: ``Ψ_m ← Ψ_m A / √(Σ|Ψ_m|² + B)``, in place.

    Args:
        waves: Detector waves, shape (position, mode, v, u), complex; the modes add up incoherently.
        amplitudes: Measured, shape (position, v, u), float: square roots of photon counts.
        valid: Shape (v, u), bool: what is not valid keeps its wave and counts no error.
        background: B, photons of each frame that are not of the waves, shape (v, u); None: zero.

    Returns:
        Error of each position before the replacement, ``Σ (√(Σ|Ψ_m|² + B) − A)²`` over valid pixels, float64.
    """
    if on_cpu(waves):
        errors = np.empty(len(waves), np.float64)
        _replace_modulus(waves, amplitudes, valid, known_background(background, amplitudes), errors)
        return errors
    total = modulus(waves, background)
    differences = (total - amplitudes) * valid
    tiny = np.finfo(total.dtype).tiny ** 0.5
    factors = amplitudes / total.clip(tiny)
    factors = factors * valid + (1 - valid.astype(total.dtype))
    waves *= factors[:, None]
    return (differences.astype("float64") ** 2).sum(axis=(1, 2))


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _replace_modulus(
    waves: Array, amplitudes: Array, valid: Array, background: Array, errors: Array
) -> None:  # pragma: no cover - compiled
    positions, modes, rows, cols = waves.shape
    total = np.empty(cols, amplitudes.dtype)
    tiny = np.sqrt(np.finfo(amplitudes.dtype).tiny)
    for b in range(positions):
        error = 0.0
        for r in range(rows):
            total[:] = background[r]
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


def likelihood_step(
    waves: Array, amplitudes: Array, valid: Array, noise: str, background: Array | None = None
) -> Array:
    """Turn detector waves into the change that the likelihood asks for, in place: Newton's step of the modulus.

    Gaussian noise of amplitudes, ``(|Ψ| − A)²``, asks for ``(A / |Ψ| − 1) Ψ``; Poisson noise of counts,
    ``|Ψ|² − A² ln|Ψ|²``, for ``(A² − |Ψ|²) / (A² + |Ψ|²) Ψ``, which never more than doubles a wave. ``|Ψ|² = Σ|Ψ_m|² + B``.
    Zero where a pixel is not valid.

    Args:
        waves: Detector waves, shape (position, mode, v, u), complex; changed.
        amplitudes: Measured, shape (position, v, u), float: square roots of photon counts.
        valid: Shape (v, u), bool.
        noise: `gaussian` or `poisson`.
        background: B, photons of each frame that are not of the waves, shape (v, u); None: zero.

    Returns:
        Error of each position, ``Σ (|Ψ| − A)²`` over valid pixels, float64.
    """
    counted = noise == "poisson"
    if on_cpu(waves):
        errors = np.empty(len(waves), np.float64)
        _likelihood_step(waves, amplitudes, valid, counted, known_background(background, amplitudes), errors)
        return errors
    total = modulus(waves, background)
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
    waves: Array, amplitudes: Array, valid: Array, counted: bool, background: Array, errors: Array
) -> None:  # pragma: no cover - compiled
    positions, modes, rows, cols = waves.shape
    total = np.empty(cols, amplitudes.dtype)
    tiny = np.sqrt(np.finfo(amplitudes.dtype).tiny)
    for b in range(positions):
        error = 0.0
        for r in range(rows):
            total[:] = background[r]
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

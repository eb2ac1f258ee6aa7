"""Elementwise work on exit waves and detector waves: what an engine does beside its Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
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
        image: The object, shape (y, x), complex; or its states, shape (state, y, x).
        probes: Shape (1 or position, mode, v, u), complex: one probe for all positions, or one for each.
        corners: Shape (position, 2), integers on the host: first row and column of each window.
        out: Where the result goes, shape (position, mode, v, u), complex; of states (position, state · mode, v, u), those of the
            first state first.

    Returns:
        `out`.
    """
    states = image if image.ndim == 3 else image[None]
    if on_cpu(out):
        _exit_waves(states, probes, corners, out)
        return out
    for place, corner in enumerate(corners):
        seen = states[(slice(None), *window_of(corner, out.shape))]
        out[place] = (seen[:, None] * probes[place % len(probes)]).reshape(out.shape[1:])
    return out


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _exit_waves(states: Array, probes: Array, corners: Array, out: Array) -> None:  # pragma: no cover - compiled
    positions, waves, rows, cols = out.shape
    modes = probes.shape[1]
    for b in range(positions):
        first_row, first_col = corners[b, 0], corners[b, 1]
        for w in range(waves):
            for r in range(rows):
                line = states[w // modes, first_row + r, first_col : first_col + cols]
                lamp = probes[b % probes.shape[0], w % modes, r]
                target = out[b, w, r]
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

REPLACE, AMPLITUDES, COUNTS, LIKELIHOOD = range(4)
"""Laws by which detector waves are scaled, with ``M = Σ_m|Ψ_m|² + B`` and ``I = A²``: by ``A / √M``, by ``A / √M − 1``, by
``(I − M) / (I + M)``, by ``(I − M) / (M + b)``."""
FLOOR = 0.01
"""b of the last one, in photons; see `noise`."""


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
    return scaled(waves, amplitudes, valid, background, REPLACE)


def likelihood_step(
    waves: Array, amplitudes: Array, valid: Array, noise: str, background: Array | None = None
) -> Array:
    """Turn detector waves into the change that the likelihood asks for, in place: Newton's step of the modulus.

    Gaussian noise of amplitudes, ``(|Ψ| − A)²``, asks for ``(A / |Ψ| − 1) Ψ``; Poisson noise of counts,
    ``|Ψ|² − A² ln|Ψ|²``, for ``(A² − |Ψ|²) / (A² + |Ψ|²) Ψ``, which never more than doubles a wave. ``|Ψ|² = Σ|Ψ_m|² + B``.
    Zero where a pixel is not valid. Arguments and result as of `replace_modulus`; `noise` is `gaussian` or `poisson`.
    """
    return scaled(waves, amplitudes, valid, background, COUNTS if noise == "poisson" else AMPLITUDES)


def scaled(
    waves: Array, amplitudes: Array, valid: Array, background: Array | None, law: int, sign: float = 1.0
) -> Array:
    """Scale detector waves by a law, and by a sign, in place; pixels that are not valid by 0, or by 1 where they are replaced.

    Returns:
        Error of each position before, ``Σ (√M − A)²`` over valid pixels, float64.
    """
    if on_cpu(waves):
        errors = np.empty(len(waves), np.float64)
        _SCALING[law](waves, amplitudes, valid, known_background(background, amplitudes), sign, errors)
        return errors
    root = modulus(waves, background)
    differences = (root - amplitudes) * valid
    model, counts, tiny = root * root, amplitudes * amplitudes, np.finfo(root.dtype).tiny
    if law == REPLACE:
        factors = amplitudes / root.clip(tiny**0.5) * valid + (1 - valid.astype(root.dtype))
    elif law == AMPLITUDES:
        factors = (amplitudes / root.clip(tiny**0.5) - 1) * valid
    elif law == COUNTS:
        factors = (counts - model) / (counts + model).clip(tiny) * valid
    else:
        factors = (counts - model) / (model + FLOOR) * valid
    waves *= (sign * factors)[:, None]
    return (differences.astype("float64") ** 2).sum(axis=(1, 2))


def _scaling(law: int) -> Callable[..., None]:
    """A loop for one law: with the law among its arguments it would be three times slower, because nothing is done side by side."""

    @nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
    def scale(
        waves: Array, amplitudes: Array, valid: Array, background: Array, sign: float, errors: Array
    ) -> None:  # pragma: no cover - compiled
        positions, modes, rows, cols = waves.shape
        total = np.empty(cols, amplitudes.dtype)
        kind = amplitudes.dtype.type  # numba makes x + 0.01 and x - 1 double
        tiny, zero, one = kind(np.sqrt(np.finfo(amplitudes.dtype).tiny)), kind(0), kind(1)
        floor, factor_sign, unused = kind(FLOOR), kind(sign), kind(1 if law == REPLACE else 0)
        for b in range(positions):
            error = 0.0
            for r in range(rows):
                total[:] = background[r]
                for m in range(modes):
                    line = waves[b, m, r]
                    for c in range(cols):
                        total[c] += line[c].real * line[c].real + line[c].imag * line[c].imag
                measured, mask = amplitudes[b, r], valid[r]
                short = zero
                for c in range(cols):
                    root, model, counts = np.sqrt(total[c]), total[c], measured[c] * measured[c]
                    difference = root - measured[c] if mask[c] else zero
                    short += difference * difference
                    if law == REPLACE:
                        factor = measured[c] / max(root, tiny)
                    elif law == AMPLITUDES:
                        factor = measured[c] / max(root, tiny) - one
                    elif law == COUNTS:
                        factor = (counts - model) / max(counts + model, tiny)
                    else:
                        factor = (counts - model) / (model + floor)
                    total[c] = factor_sign * (factor if mask[c] else unused)
                error += short
                for m in range(modes):
                    line = waves[b, m, r]
                    for c in range(cols):
                        line[c] = complex(line[c].real * total[c], line[c].imag * total[c])
            errors[b] = error

    return scale


_SCALING = tuple(_scaling(law) for law in (REPLACE, AMPLITUDES, COUNTS, LIKELIHOOD))

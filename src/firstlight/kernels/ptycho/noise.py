"""What the statistics of the counts say about detector waves: cost, derivative and curvature, pixel by pixel.

With ``M = |Ψ|² = Σ_m|Ψ_m|²`` and ``I = A²``: Gaussian noise of amplitudes costs ``(√M − A)²``, Poisson noise of counts
``M − I ln M``; their derivatives by M are ``1 − A/√M`` and ``1 − I/M``, their second derivatives ``A / (2 M^{3/2})`` and ``I / M²``.
"""

from __future__ import annotations

from typing import Any, Literal

import numba as nb
import numpy as np

from .waves import namespace, on_cpu

Array = Any
Noise = Literal["gaussian", "poisson"]

_FASTMATH = {"nnan", "ninf", "nsz", "contract", "reassoc", "arcp"}
_FAINT = 1e-12
"""Of a photon: below this a pixel is taken as this bright."""


def cost(noise: Noise, waves: Array, amplitudes: Array, valid: Array) -> float:
    """The cost of detector waves (position, mode, v, u), see the module's text."""
    model = (waves.real**2 + waves.imag**2).sum(axis=1, dtype="float64")
    counts = amplitudes.astype("float64") ** 2
    if noise == "gaussian":
        return float((((model**0.5 - amplitudes) ** 2) * valid).sum())
    logarithm = namespace(model).log(model.clip(1e-30))
    return float(((model - counts * logarithm) * valid).sum())


def weigh(noise: Noise, waves: Array, amplitudes: Array, valid: Array) -> float:
    """Multiply detector waves by the derivative of the cost by M: that makes them its derivative by conj(Ψ), in place.

    Args:
        noise: Which statistics.
        waves: Detector waves, shape (position, mode, v, u), complex; changed.
        amplitudes: Measured, shape (position, v, u), float.
        valid: Shape (v, u), bool: derivative and error are zero elsewhere.

    Returns:
        ``Σ(|Ψ| − A)²`` over valid pixels.
    """
    counted = noise == "poisson"
    if on_cpu(waves):
        return float(_weigh(waves, amplitudes, valid, counted))
    model = (waves.real**2 + waves.imag**2).sum(axis=1)
    modulus = model**0.5
    error = float((((modulus - amplitudes) * valid).astype("float64") ** 2).sum())
    ratio = amplitudes / modulus.clip(_FAINT**0.5)
    waves *= ((1 - (ratio * ratio if counted else ratio)) * valid)[:, None]
    return error


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _weigh(waves: Array, amplitudes: Array, valid: Array, counted: bool) -> float:  # pragma: no cover - compiled
    positions, modes, rows, cols = waves.shape
    total = np.empty(cols, amplitudes.dtype)
    faint = total[:1].sum() * 0 + _FAINT**0.5
    error = 0.0
    for b in range(positions):
        for r in range(rows):
            total[:] = 0
            for m in range(modes):
                line = waves[b, m, r]
                for c in range(cols):
                    total[c] += line[c].real * line[c].real + line[c].imag * line[c].imag
            measured, mask = amplitudes[b, r], valid[r]
            short = total[0] * 0
            for c in range(cols):
                modulus = np.sqrt(total[c])
                difference = modulus - measured[c] if mask[c] else total[c] * 0
                short += difference * difference
                ratio = measured[c] / max(modulus, faint)
                total[c] = 1 - (ratio * ratio if counted else ratio) if mask[c] else total[c] * 0
            error += short
            for m in range(modes):
                line = waves[b, m, r]
                for c in range(cols):
                    line[c] = complex(line[c].real * total[c], line[c].imag * total[c])
    return error


def curvature(noise: Noise, here: Array, along: Array, amplitudes: Array, valid: Array) -> tuple[float, float, float]:
    """First and second derivative of the cost along a direction, and a second derivative that bounds it from above.

    Args:
        noise: Which statistics.
        here: Detector waves, shape (position, mode, v, u), complex.
        along: How they change along the direction, to first order, likewise.
        amplitudes: Measured, shape (position, v, u), float.
        valid: Shape (v, u), bool.
    """
    counted = noise == "poisson"
    if on_cpu(here):
        return _curvature(here, along, amplitudes, valid, counted)
    counts = amplitudes.astype("float64") ** 2
    model = (here.real**2 + here.imag**2).sum(axis=1, dtype="float64").clip(_FAINT)
    first = 2 * (here.real * along.real + here.imag * along.imag).sum(axis=1, dtype="float64")
    second = 2 * (along.real**2 + along.imag**2).sum(axis=1, dtype="float64")
    ratio = counts / model if counted else (counts / model) ** 0.5
    bends = ratio / model if counted else ratio / (2 * model)
    slope = ((1 - ratio) * first * valid).sum()
    bend = (((1 - ratio) * second + bends * first * first) * valid).sum()
    bound = ((second + bends * first * first) * valid).sum()
    return float(slope), float(bend), float(bound)


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _curvature(
    here: Array, along: Array, amplitudes: Array, valid: Array, counted: bool
) -> tuple[float, float, float]:  # pragma: no cover - compiled
    positions, modes, rows, cols = here.shape
    model, first, second = np.empty(cols), np.empty(cols), np.empty(cols)
    slope, bend, bound = 0.0, 0.0, 0.0
    for b in range(positions):
        for r in range(rows):
            model[:], first[:], second[:] = 0, 0, 0
            for m in range(modes):
                p, q = here[b, m, r], along[b, m, r]
                for c in range(cols):
                    model[c] += p[c].real * p[c].real + p[c].imag * p[c].imag
                    first[c] += 2 * (p[c].real * q[c].real + p[c].imag * q[c].imag)
                    second[c] += 2 * (q[c].real * q[c].real + q[c].imag * q[c].imag)
            measured, mask = amplitudes[b, r], valid[r]
            for c in range(cols):
                if mask[c]:
                    bright = max(model[c], _FAINT)
                    amplitude = float(measured[c])
                    if counted:
                        ratio = amplitude * amplitude / bright
                        bends = ratio / bright
                    else:
                        ratio = amplitude / np.sqrt(bright)
                        bends = ratio / (2 * bright)
                    slope += (1 - ratio) * first[c]
                    bend += (1 - ratio) * second[c] + bends * first[c] * first[c]
                    bound += second[c] + bends * first[c] * first[c]
    return slope, bend, bound

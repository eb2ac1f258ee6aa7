"""What the statistics of the counts say about detector waves: cost, derivative and curvature, pixel by pixel.

With ``M = |Ψ|² = Σ_m|Ψ_m|² + B`` (B: background) and ``I = A²``: Gaussian noise of amplitudes costs ``(√M − A)²``, Poisson noise of counts
``M − (I + b) ln(M + b)``; their derivatives by M are ``1 − A/√M`` and ``(M − I) / (M + b)``, their second derivatives
``A / (2 M^{3/2})`` and ``(I + b) / (M + b)²``. The floor b, a part of a photon on model and counts alike, does not move the minimum. Without
it a pixel that the model leaves dark would ask for more than all others together (I / M), and rounding errors would lead the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numba as nb
import numpy as np

from .waves import AMPLITUDES, FLOOR, LIKELIHOOD, known_background, namespace, on_cpu, scaled

Array = Any
Noise = Literal["gaussian", "poisson"]

_FASTMATH = {"nnan", "ninf", "nsz", "contract", "reassoc", "arcp"}
_FAINT = 1e-12
"""Of a photon: below this a pixel is taken as this bright."""


def cost(noise: Noise, waves: Array, amplitudes: Array, valid: Array, background: Array | None = None) -> float:
    """The cost of detector waves (position, mode, v, u), see the module's text."""
    model = (waves.real**2 + waves.imag**2).sum(axis=1, dtype="float64") + (0 if background is None else background)
    counts = amplitudes.astype("float64") ** 2
    if noise == "gaussian":
        return float((((model**0.5 - amplitudes) ** 2) * valid).sum())
    logarithm = namespace(model).log(model + FLOOR)
    return float(((model - (counts + FLOOR) * logarithm) * valid).sum())


def weigh(noise: Noise, waves: Array, amplitudes: Array, valid: Array, background: Array | None = None) -> float:
    """Multiply detector waves by the derivative of the cost by M: that makes them its derivative by conj(Ψ), in place.

    Args:
        noise: Which statistics.
        waves: Detector waves, shape (position, mode, v, u), complex; changed.
        amplitudes: Measured, shape (position, v, u), float.
        valid: Shape (v, u), bool: derivative and error are zero elsewhere.
        background: Photons of each frame that are not of the waves, shape (v, u); None: zero.

    Returns:
        ``Σ(|Ψ| − A)²`` over valid pixels.
    """
    law = LIKELIHOOD if noise == "poisson" else AMPLITUDES
    return float(scaled(waves, amplitudes, valid, background, law, -1.0).sum())


def slopes(
    noise: Noise,
    here: Array,
    along: Array,
    amplitudes: Array,
    valid: Array,
    lengths: Array,
    background: Array | None = None,
) -> Array:
    """First and second derivative of the cost along a direction, at some lengths.

    Args:
        noise: Which statistics.
        here: Detector waves, shape (position, mode, v, u), complex.
        along: How they change along the direction, to first order, likewise.
        amplitudes: Measured, shape (position, v, u), float.
        valid: Shape (v, u), bool.
        lengths: Where, shape (length,), float64 on the host; waves are ``here + length · along``.
        background: Photons of each frame that are not of the waves, shape (v, u); None: zero.

    Returns:
        Shape (length, 2), float64 on the host.
    """
    if on_cpu(here):
        found = np.zeros((len(lengths), 2), np.float64)
        _SLOPES[noise](here, along, amplitudes, valid, known_background(background, amplitudes), lengths, found)
        return found
    dark = 0 if background is None else background
    counted = noise == "poisson"
    return np.array([_slope(here, along, amplitudes, valid, counted, dark, float(length)) for length in lengths])


def _slope(
    here: Array, along: Array, amplitudes: Array, valid: Array, counted: bool, dark: Array, length: float
) -> tuple[float, float]:
    start = (here.real**2 + here.imag**2).sum(axis=1, dtype="float64") + dark
    rise = 2 * (here.real * along.real + here.imag * along.imag).sum(axis=1, dtype="float64")
    second = 2 * (along.real**2 + along.imag**2).sum(axis=1, dtype="float64")
    model, first = (start + length * (rise + length / 2 * second)).clip(_FAINT), rise + length * second
    counts = amplitudes.astype("float64") ** 2
    if counted:
        factor, bends = (model - counts) / (model + FLOOR), (counts + FLOOR) / (model + FLOOR) ** 2
    else:
        ratio = (counts / model) ** 0.5
        factor, bends = 1 - ratio, ratio / (2 * model)
    return float((factor * first * valid).sum()), float(((factor * second + bends * first * first) * valid).sum())


def _slopes(counted: bool) -> Callable[..., None]:
    """A loop for one kind of noise: with the kind among its arguments nothing would be done side by side."""

    @nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
    def add(
        here: Array, along: Array, amplitudes: Array, valid: Array, background: Array, lengths: Array, found: Array
    ) -> None:  # pragma: no cover - compiled
        # sums of a row are kept in the precision of the waves, their sums in double; numba makes 2 · x and x + 0.01 double
        positions, modes, rows, cols = here.shape
        room = np.empty((3, cols), amplitudes.dtype)
        start, rise, second = room[0], room[1], room[2]
        kind = amplitudes.dtype.type
        floor, faint, zero, half, one, two = kind(FLOOR), kind(_FAINT), kind(0), kind(0.5), kind(1), kind(2)
        for b in range(positions):
            for r in range(rows):
                start[:], rise[:], second[:] = background[r], 0, 0
                for m in range(modes):
                    p, q = here[b, m, r], along[b, m, r]
                    for c in range(cols):
                        start[c] += p[c].real * p[c].real + p[c].imag * p[c].imag
                        rise[c] += two * (p[c].real * q[c].real + p[c].imag * q[c].imag)
                        second[c] += two * (q[c].real * q[c].real + q[c].imag * q[c].imag)
                measured, mask = amplitudes[b, r], valid[r]
                for k in range(len(lengths)):
                    length, slope, bend = kind(lengths[k]), zero, zero
                    for c in range(cols):
                        model = max(start[c] + length * (rise[c] + length * half * second[c]), faint)
                        first, amplitude = rise[c] + length * second[c], measured[c]
                        if counted:
                            part = one / (model + floor)
                            factor = (model - amplitude * amplitude) * part
                            bends = (amplitude * amplitude + floor) * part * part
                        else:
                            ratio = amplitude / np.sqrt(model)
                            factor, bends = one - ratio, ratio / (two * model)
                        slope += factor * first if mask[c] else zero
                        bend += factor * second[c] + bends * first * first if mask[c] else zero
                    found[k, 0] += slope
                    found[k, 1] += bend

    return add


_SLOPES: dict[Noise, Callable[..., None]] = {"poisson": _slopes(True), "gaussian": _slopes(False)}

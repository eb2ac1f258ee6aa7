"""The elementwise part of the difference map: waves reflected, brought to what was measured, and put together again."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from .waves import known_background, modulus, on_cpu

Array = Any

_FASTMATH = {"nnan", "ninf", "nsz", "contract", "reassoc", "arcp"}


def reflected(allowed: Array, waves: Array, out: Array) -> Array:
    """``2 P_O ψ − ψ``.

    Args:
        allowed: P_O ψ: what object and probe give, shape (position, mode, v, u), complex.
        waves: ψ, likewise.
        out: Where the result goes, likewise.

    Returns:
        `out`.
    """
    if on_cpu(out):
        _reflected(allowed.reshape(-1), waves.reshape(-1), out.reshape(-1))
    else:
        out[...] = 2 * allowed - waves
    return out


def measured(waves: Array, amplitudes: Array, valid: Array, noise: float, background: Array | None = None) -> None:
    """Bring detector waves to the measured amplitudes, or no nearer than noise leaves them, in place.

    A frame whose misfit ``Σ(√(Σ|Ψ_m|² + B) − A)²`` is no more than `noise` for each pixel with light stays as it is; one that fits worse is
    moved to that distance (Giewekemeyer et al., PNAS 107, 529 (2010)).

    Args:
        waves: Detector waves, shape (position, mode, v, u), complex; the modes add up incoherently.
        amplitudes: Measured, shape (position, v, u), float.
        valid: Shape (v, u), bool: what is not valid keeps its wave.
        noise: Variance of an amplitude that is believed to be noise; 0: none.
        background: B, photons of each frame that are not of the waves, shape (v, u); None: zero.
    """
    if on_cpu(waves):
        _measured(waves, amplitudes, valid, known_background(background, amplitudes), noise)
        return
    root = modulus(waves, background)
    misfit = (((root - amplitudes) * valid).astype("float64") ** 2).sum(axis=(1, 2))
    lit = ((amplitudes > 0) * valid).sum(axis=(1, 2), dtype="float64")
    kept = ((noise * lit / misfit.clip(1e-300)) ** 0.5).clip(None, 1).astype(root.dtype)[:, None, None]
    ratio = amplitudes / root.clip(np.finfo(root.dtype).tiny ** 0.5)
    waves *= (1 + (1 - kept) * (ratio - 1) * valid)[:, None]


def put_together(waves: Array, projected: Array, allowed: Array, relaxation: float) -> None:
    """``ψ ← β (ψ + P_M t − P_O ψ) + (1 − β) P_O ψ``, in place.

    Args:
        waves: ψ, shape (position, mode, v, u), complex; changed.
        projected: P_M t, likewise.
        allowed: P_O ψ, likewise.
        relaxation: β.
    """
    if on_cpu(waves):
        _put_together(waves.reshape(-1), projected.reshape(-1), allowed.reshape(-1), relaxation)
        return
    waves += projected
    waves *= relaxation
    waves += (1 - 2 * relaxation) * allowed


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _reflected(allowed: Array, waves: Array, out: Array) -> None:  # pragma: no cover - compiled
    for i in range(len(out)):
        a, w = allowed[i], waves[i]
        out[i] = complex(a.real + a.real - w.real, a.imag + a.imag - w.imag)


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _put_together(
    waves: Array, projected: Array, allowed: Array, relaxation: float
) -> None:  # pragma: no cover - compiled
    kind = waves.real.dtype.type
    own, other = kind(relaxation), kind(1 - 2 * relaxation)
    for i in range(len(waves)):
        w, p, a = waves[i], projected[i], allowed[i]
        waves[i] = complex(
            own * (w.real + p.real) + other * a.real,
            own * (w.imag + p.imag) + other * a.imag,
        )


@nb.njit(nogil=True, cache=True, fastmath=_FASTMATH)
def _measured(
    waves: Array, amplitudes: Array, valid: Array, background: Array, noise: float
) -> None:  # pragma: no cover - compiled
    positions, modes, rows, cols = waves.shape
    roots = np.empty((rows, cols), amplitudes.dtype)
    kind = amplitudes.dtype.type  # numba makes 1 - x double
    tiny, zero, one = kind(np.sqrt(np.finfo(amplitudes.dtype).tiny)), kind(0), kind(1)
    for b in range(positions):
        misfit, lit = 0.0, 0
        for r in range(rows):
            total, asked, mask = roots[r], amplitudes[b, r], valid[r]
            total[:] = background[r]
            for m in range(modes):
                line = waves[b, m, r]
                for c in range(cols):
                    total[c] += line[c].real * line[c].real + line[c].imag * line[c].imag
            short = zero
            for c in range(cols):
                total[c] = np.sqrt(total[c])
                difference = total[c] - asked[c] if mask[c] else zero
                short += difference * difference
                lit += 1 if mask[c] and asked[c] > zero else 0
            misfit += short
        if misfit <= noise * lit:
            continue
        kept = kind(np.sqrt(noise * lit / misfit))
        for r in range(rows):
            total, asked, mask = roots[r], amplitudes[b, r], valid[r]
            for c in range(cols):
                factor = kept + (one - kept) * asked[c] / max(total[c], tiny)
                total[c] = factor if mask[c] else one
            for m in range(modes):
                line = waves[b, m, r]
                for c in range(cols):
                    line[c] = complex(line[c].real * total[c], line[c].imag * total[c])

"""How good a reconstruction is: the R-factor of the amplitudes, and how far two half sets of the frames agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .frames import Frames
from .propagate import Propagator
from .waves import modulus, namespace

Array = Any


def r_factor(waves: Array, amplitudes: Array, valid: Array, background: Array | None = None) -> float:
    """``Σ ||Ψ| − A| / ΣA`` over valid pixels, as in crystallography.

    Args:
        waves: Detector waves, shape (position, mode, v, u), complex; the modes add up incoherently.
        amplitudes: Measured, shape (position, v, u).
        valid: Shape (v, u), bool.
        background: Photons of each frame that are not of the waves, shape (v, u); None: zero.
    """
    above = (abs(modulus(waves, background) - amplitudes) * valid).sum(dtype="float64")
    return float(above) / max(float((amplitudes * valid).sum(dtype="float64")), 1e-30)


def some_of(count: int, most: int = 64) -> Array:
    """Evenly spread places, as many as speak for all: the same for the same count."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def halves(frames: Frames) -> tuple[Frames, Frames]:
    """Every other frame, and the rest: both go over the whole scan."""
    first, second = (np.arange(start, len(frames), 2) for start in (0, 1))
    return _chosen(frames, first), _chosen(frames, second)


def _chosen(frames: Frames, places: Array) -> Frames:
    return replace(
        frames,
        amplitudes=_Some(frames.amplitudes, places),
        corners=frames.corners[places],
        shifts=None if frames.shifts is None else frames.shifts[places],
        weights=None if frames.weights is None else frames.weights[places],
    )


class _Some:
    """Some of the amplitudes, none of them copied."""

    def __init__(self, amplitudes: Any, places: Array) -> None:
        self._amplitudes, self._places = amplitudes, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, part: Any) -> Array:
        return self._amplitudes[self._places[part]]


def power_spectrum(probe: Array, propagator: Propagator) -> Array:
    """What the probe alone puts on the detector, photons of a frame: shape (v, u), zero frequency where the propagator has it."""
    waves = propagator.forward(probe[None].copy())
    return (waves.real**2 + waves.imag**2).sum(axis=(0, 1))


def without_ramp(image: Array, other: Array, seen: Array) -> Array:
    """`image` times the constant and the ramp of phase that bring it closest to another where both are seen.

    Two objects that were found apart may differ so: a ramp of the object is a shift of the pattern.
    """
    xp = namespace(image)
    ratio = other * image.conj() * seen
    down = float(xp.angle((ratio[1:] * ratio[:-1].conj()).sum()))
    right = float(xp.angle((ratio[:, 1:] * ratio[:, :-1].conj()).sum()))
    rows, cols = (xp.arange(n) for n in image.shape)
    turned = image * xp.exp(1j * (down * rows[:, None] + right * cols[None, :]))
    return turned * xp.exp(1j * xp.angle((other * turned.conj() * seen).sum()))

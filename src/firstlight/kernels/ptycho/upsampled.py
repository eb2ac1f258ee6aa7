"""A detector whose pixels are too coarse for the probe: the wave is told on finer pixels than those that measure.

Batey et al., Phys. Rev. A 89, 043812 (2014). A measuring pixel sums the intensities of s × s fine ones, just as it sums those
of incoherent modes: so the fine pixels of one measuring pixel are handed on as modes, and every engine works as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .propagate import Propagator
from .waves import namespace

Array = Any


@dataclass(frozen=True, slots=True)
class Upsampled:
    """A propagator whose detector waves have ``factor²`` as many modes and 1/``factor`` as many rows and columns."""

    inner: Propagator
    """To the fine detector."""
    factor: int
    """Fine pixels along each side of one that measures."""

    def forward(self, waves: Array) -> Array:
        """To the detector: (position, mode, s·v, s·u) to (position, mode·s², v, u)."""
        fine, s = self.inner.forward(waves), self.factor
        xp = namespace(fine)
        positions, modes, rows, cols = fine.shape
        fine = xp.roll(fine, (s // 2, s // 2), axis=(-2, -1))
        parts = fine.reshape(positions, modes, rows // s, s, cols // s, s).transpose(0, 1, 3, 5, 2, 4)
        return xp.ascontiguousarray(parts).reshape(positions, modes * s * s, rows // s, cols // s)

    def backward(self, waves: Array) -> Array:
        """Back to the sample."""
        s, xp = self.factor, namespace(waves)
        positions, parts, rows, cols = waves.shape
        modes = parts // (s * s)
        fine = waves.reshape(positions, modes, s, s, rows, cols).transpose(0, 1, 4, 2, 5, 3)
        fine = xp.ascontiguousarray(fine).reshape(positions, modes, rows * s, cols * s)
        return self.inner.backward(xp.roll(fine, (-(s // 2), -(s // 2)), axis=(-2, -1)))


def spread_out(amplitudes: Array, factor: int) -> Array:
    """Amplitudes of fine pixels, each measured intensity shared evenly among them; zero frequency at the corner.

    Args:
        amplitudes: Shape (v, u).
        factor: Fine pixels along each side of one that measures.
    """
    fine = np.repeat(np.repeat(amplitudes, factor, axis=-2), factor, axis=-1) / factor
    return np.roll(fine, (-(factor // 2), -(factor // 2)), axis=(-2, -1))


def binned(counts: Array, factor: int) -> Array:
    """What a detector with coarser pixels would have counted: the opposite of `spread_out`, for counts.

    Args:
        counts: Shape (…, s·v, s·u), zero frequency at the corner.
        factor: Fine pixels along each side of one that measures.
    """
    fine = np.roll(counts, (factor // 2, factor // 2), axis=(-2, -1))
    *rest, rows, cols = fine.shape
    return fine.reshape(*rest, rows // factor, factor, cols // factor, factor).sum(axis=(-3, -1))

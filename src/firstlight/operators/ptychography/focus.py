"""How far the probe is from its focus, found by trying: the data say which curvature they fit best."""

from __future__ import annotations

import numpy as np

from firstlight.core.arrays import Array
from firstlight.kernels.ptycho.frames import Estimate, Frames
from firstlight.kernels.ptycho.least_squares import LeastSquares
from firstlight.kernels.ptycho.pie import Pie
from firstlight.kernels.ptycho.propagate import Propagator
from firstlight.kernels.ptycho.samples import Sample, Thin

LADDER = (0.0, *(sign * 10.0 * 2 ** (step / 2) for step in range(11) for sign in (1, -1)))
"""Curvatures that are tried, in radian at the middle of the detector's edge: none, and from 10 to 320 both ways."""


def curved(probe: Array, curvature: float) -> Array:
    """The probe with a quadratic phase in the far field, as defocus gives it.

    Args:
        probe: Shape (mode, v, u), complex.
        curvature: Phase in radian at the middle of the detector's edge.
    """
    if not curvature:
        return probe
    v, u = (2 * np.fft.fftfreq(n) for n in probe.shape[-2:])
    phase = np.exp(1j * curvature * (v[:, None] ** 2 + u[None, :] ** 2))
    return np.fft.ifft2(np.fft.fft2(probe) * phase).astype(probe.dtype)


def misfit(
    probe: Array, frames: Frames, size: tuple[int, ...], propagator: Propagator, rounds: int, sample: Sample
) -> float:
    """The error ``Σ(|Ψ| − A)²`` that a few passes from an empty object come down to.

    They are ePIE's; where there are several layers LSQ-ML's, which parts them sooner.

    Args:
        probe: The probe to start from, shape (mode, v, u).
        frames: A few frames, in the order of their ids.
        size: Rows and columns of the object; layers before them, if there are several.
        propagator: To the detector.
        rounds: Passes.
        sample: How light goes through the object.
    """
    estimate = Estimate(np.ones(size, probe.dtype), probe.copy(), sample)
    engine = Pie(batch=16) if isinstance(sample, Thin) else LeastSquares(batch=8)
    random, error = np.random.default_rng(0), 0.0
    for number in range(rounds):
        order = random.permutation(len(frames))
        error = engine.sweep(estimate, frames, order, propagator, map, update_probe=number > 1)
    return error


def first_of(frames: Frames, count: int) -> Frames:
    """Some frames, the first by their ids: neighbours overlap."""
    return Frames(frames.amplitudes[:count], frames.corners[:count], frames.valid)

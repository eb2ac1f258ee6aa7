"""How far the probe is from its focus, found by trying: the data say which curvature they fit best."""

from __future__ import annotations

import numpy as np

from firstlight.core.arrays import Array
from firstlight.kernels.ptycho.frames import Estimate, Frames, Spread
from firstlight.kernels.ptycho.pie import Pie
from firstlight.kernels.ptycho.propagate import FarField

FRAMES = 150
"""As many frames are tried, the first by their ids: neighbours overlap."""
ROUNDS = 7
"""Passes after which two curvatures are told apart."""
LADDER = tuple(sign * 10.0 * 2 ** (step / 2) for step in range(11) for sign in (1, -1))
"""Curvatures that are tried, in radian at the middle of the detector's edge: from 10 to 320 both ways, and none."""


def curved(probe: Array, curvature: float) -> Array:
    """The probe with a quadratic phase in the far field, as defocus gives it.

    Args:
        probe: Shape (mode, v, u), complex.
        curvature: Phase in radian at the middle of the detector's edge.
    """
    v, u = (2 * np.fft.fftfreq(n) for n in probe.shape[-2:])
    phase = np.exp(1j * curvature * (v[:, None] ** 2 + u[None, :] ** 2))
    return np.fft.ifft2(np.fft.fft2(probe) * phase).astype(probe.dtype)


def find_curvature(probe: Array, frames: Frames, size: tuple[int, int], spread: Spread, workers: int) -> float:
    """The curvature with which a few passes of ePIE come closest to the data.

    Args:
        probe: The probe in its focus, shape (mode, v, u).
        frames: Far-field frames, in the order of their ids.
        size: Rows and columns of the object.
        spread: Calls functions on threads.
        workers: How many threads.

    Returns:
        Phase in radian at the middle of the detector's edge, to about a fifth of itself.
    """
    few = Frames(frames.amplitudes[:FRAMES], frames.corners[:FRAMES], frames.valid)

    def misfit(curvature: float) -> float:
        estimate = Estimate(np.ones(size, probe.dtype), curved(probe, curvature))
        random, error = np.random.default_rng(0), 0.0
        for number in range(ROUNDS):
            order = random.permutation(len(few))
            error = Pie(batch=16).sweep(
                estimate, few, order, FarField(), spread, workers=workers, update_probe=number > 1
            )
        return error

    return min((0.0, *LADDER), key=misfit)

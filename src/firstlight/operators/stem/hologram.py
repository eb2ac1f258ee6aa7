"""Off-axis electron holography."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import fft

from firstlight.core.arrays import Array
from firstlight.core.operator import operator

Periods = Annotated[float, Field(ge=-1e5, le=1e5)]


@operator(
    "row col -> phase: row col, amplitude: row col",
    sentence="Phase and amplitude were taken from the side band at {fringes} periods, cut at {cut} periods.",
)
def hologram(
    frames: Array, *, fringes: tuple[Periods, Periods], cut: Annotated[float, Field(gt=0, le=1e5)]
) -> tuple[Array, Array]:
    """Recover the wave of an off-axis hologram from its side band: I = |1 + a exp(i (phase + 2π fringes·r))|².

    Args:
        frames: shape (frame, row, col), integers or floats.
        fringes: Periods of the fringes over the frame along rows and columns; the sign chooses the side band.
        cut: Radius of the aperture around the side band, in periods over the frame; at most a third of the fringes'.

    Returns:
        Phase in radian from -π to π, and amplitude a (times the reference's, if that is not 1), float32
        of the same shape.
    """
    rows, cols = frames.shape[1:]
    down = np.exp(-2j * np.pi * fringes[0] * np.arange(rows) / rows)[:, None]
    right = np.exp(-2j * np.pi * fringes[1] * np.arange(cols) / cols)[None, :]
    distance = np.hypot(fft.fftfreq(rows, 1 / rows)[:, None], fft.fftfreq(cols, 1 / cols)[None, :])
    # the edge falls off over a fifth of the radius, so that it does not ring
    aperture = np.clip((1.1 - distance / cut) / 0.2, 0, 1)
    aperture = aperture**2 * (3 - 2 * aperture)
    wave = fft.ifft2(fft.fft2(frames.astype(np.float64) * down * right) * aperture)
    return np.angle(wave).astype(np.float32), np.abs(wave).astype(np.float32)

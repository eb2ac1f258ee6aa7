"""Samples that hardly absorb: what the steps that retrieve a phase give of it."""

from __future__ import annotations

from math import pi
from typing import Literal

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.operator import Operator
from firstlight.kernels.phase import wavelength

from .optics import MICROMETRE_IN_CM

PhaseOutput = Literal["phase", "projected_delta"]


def phase_as(phase: Array, output: PhaseOutput, energy: float) -> Array:
    """A phase in radian, as the user wants it; `energy` in keV."""
    if output == "phase":
        return phase
    return phase * np.float32(-wavelength(energy) / (2 * pi) * MICROMETRE_IN_CM)


def unit_of(step: Operator) -> str:
    """Unit of the chosen output."""
    return "rad" if step.parameters()["output"] == "phase" else "cm"

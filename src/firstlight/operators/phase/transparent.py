"""Samples that hardly absorb: what the steps that retrieve a phase give of it."""

from __future__ import annotations

from math import pi
from typing import Literal

from firstlight.core.errors import FirstlightError
from firstlight.core.operator import Operator
from firstlight.kernels.frame_filter import FrameFilter
from firstlight.kernels.phase import ramped, wavelength
from firstlight.kernels.ramp import Window

from .optics import MICROMETRE_IN_CM

PhaseOutput = Literal["phase", "projected_delta"]


def with_ramp(chosen: FrameFilter, ramp: Window | None) -> FrameFilter:
    """A filter, and the ramp filter in the same transform where the user wants it.

    Raises:
        FirstlightError: the padding is too narrow for the ramp.
    """
    if ramp is None:
        return chosen
    try:
        return ramped(chosen, ramp)
    except ValueError as error:
        raise FirstlightError(
            f"The ramp filter would wrap: {error}",
            field="gap",
            expected="nothing, or a gap as wide as the frames",
            next_move="Leave 'gap' out, or filter in the back-projection.",
        ) from error


def factor_of(output: PhaseOutput, energy: float) -> float:
    """What a phase in radian is multiplied by, to be what the user wants; `energy` in keV."""
    return 1.0 if output == "phase" else -wavelength(energy) / (2 * pi) * MICROMETRE_IN_CM


def unit_of(step: Operator) -> str:
    """Unit of the chosen output."""
    given = step.parameters()
    return ("rad" if given["output"] == "phase" else "cm") + ("/px" if given["ramp"] else "")

"""Samples of one material: delta over beta, and what follows from the filtered transmission."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Literal

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import Operator
from firstlight.kernels.flat_field import minus_log
from firstlight.kernels.frame_filter import FrameFilter
from firstlight.kernels.phase import paganin_reach, wavelength

from .optics import MICROMETRE_IN_CM, MICROMETRE_IN_MM, finite

Output = Literal["attenuation", "phase", "thickness"]


@dataclass(frozen=True, slots=True)
class Sample:
    """The refractive index 1 - delta + i beta of the one material, as far as it is known."""

    delta_beta: float
    beta: float | None

    @classmethod
    def of(
        cls, step: str, delta_beta: float | None, delta: float | None, beta: float | None, output: str = "attenuation"
    ) -> Sample:
        """What the parameters of a step say.

        Raises:
            FirstlightError: the ratio does not follow from them, they contradict each other, or the thickness is asked
                for and beta does not follow.
        """
        ratio = delta / beta if delta is not None and beta is not None else delta_beta
        if ratio is None:
            raise FirstlightError(
                f"'{step}' needs the ratio of delta and beta of the sample.",
                field="delta_beta",
                expected="delta_beta, or delta and beta",
                next_move="Look the material up at this energy; 100 to 1000 is common for soft matter.",
            )
        if delta_beta is not None and abs(ratio / delta_beta - 1) > 1e-3:
            raise FirstlightError(
                "delta, beta and delta_beta contradict each other.",
                field="delta_beta",
                value=delta_beta,
                expected=f"{ratio:g}, which is delta / beta; or leave one of the three out",
            )
        known_beta = beta if beta is not None or delta is None else delta / ratio
        if output == "thickness" and known_beta is None:
            raise FirstlightError(
                "The thickness needs beta itself, not only a ratio.",
                field="beta",
                expected="beta, or delta beside delta_beta",
                next_move="Give it, or take 'output: attenuation'.",
            )
        return cls(ratio, known_beta)


def retrieved(frames: Array, chosen: FrameFilter, floor: float, output: Output, sample: Sample, energy: float) -> Array:
    """What a step gives of the transmission that its filter brings back to the sample, on the host or on a device.

    Args:
        frames: shape (frame, row, col): transmission at the detector.
        chosen: the filter.
        floor: smallest filtered transmission told apart.
        output: what is wanted.
        sample: the material.
        energy: in keV.
    """
    factor = _factor(output, sample, energy)
    if not isinstance(frames, np.ndarray):
        from firstlight.kernels.cuda.frame_filter import filter_frames

        return filter_frames(frames, chosen, log_floor=floor, factor=factor)
    attenuation = minus_log(chosen(finite(frames)), floor=floor)
    return attenuation if factor == 1.0 else attenuation * np.float32(factor)


def _factor(output: Output, sample: Sample, energy: float) -> float:
    """What the attenuation is multiplied by."""
    if output == "attenuation":
        return 1.0
    if output == "phase" or sample.beta is None:
        return -sample.delta_beta / 2  # B = mu t / 2, phi = -B delta / beta
    return MICROMETRE_IN_CM / (4 * pi * sample.beta / wavelength(energy))  # over mu, per micrometre


def unit_of(step: Operator) -> str | None:
    """Unit of the chosen output."""
    return {"attenuation": None, "phase": "rad", "thickness": "cm"}[step.parameters()["output"]]


def reach_of(step: Operator) -> int | None:
    """Pixels that the filter of a step reaches; None while its parameters are not all known."""
    values = step.parameters()
    known = {name: values[name] for name in ("pixel", "energy", "distance")}
    ratio = values["delta_beta"] or (values["delta"] / values["beta"] if values["delta"] and values["beta"] else None)
    if ratio is None or None in known.values():
        return None
    return paganin_reach(**{**known, "distance": known["distance"] / MICROMETRE_IN_MM}, delta_beta=ratio)

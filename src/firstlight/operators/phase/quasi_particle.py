"""Quasi-particle phase retrieval."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels import phase
from firstlight.kernels.ramp import Window

from .optics import MICROMETRE_IN_MM, Distance, Energy, Gap, PixelSize, Ratio, add_optics, filtered, known
from .transparent import PhaseOutput, factor_of, unit_of, with_ramp


@operator(
    "row col -> row col",
    cites=["10.1364/OE.19.012066"],
    sentence="The phase was retrieved from one propagation distance ({distance}) at {energy} in the quasi-particle approach.",
)
def quasi_particle(
    frames: Array,
    *,
    energy: Energy | None = None,
    distance: Distance | None = None,
    pixel: PixelSize | None = None,
    delta_beta: Ratio = 10_000.0,
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.1,
    fill: bool = False,
    output: PhaseOutput = "phase",
    gap: Gap | None = None,
    ramp: Window | None = None,
) -> Array:
    """Retrieve a phase that is not weak from one distance, leaving out the zeros of the contrast (Moosmann et al. 2011).

    Args:
        frames: shape (frame, row, col): transmission (after the flat field), not its logarithm. NaN counts as 1.
        energy: Photon energy. Default: that of the scan.
        distance: From sample to detector. Default: that of the scan.
        pixel: Pixel size at the sample. Default: that of the scan.
        delta_beta: Decrement of the refractive index over its imaginary part: how far the lowest frequencies are trusted.
        threshold: Contrast about the zeros, beyond the first maximum, below which a frequency is not trusted.
        fill: Weight those frequencies as at the threshold instead of leaving them out.
        output: `phase` in radian, negative in matter, or `projected_delta`, the integral of delta along the beam in cm
            (fbp then gives delta).
        gap: Pixels of padding. Default: the longer side of the frame.
        ramp: Apply the ramp filter of the back-projection too, with this window, in the same transform. For a step behind it
            that adds projections up as they come: `general_backproject` with `filter: applied`, or `backproject` with
            `filter: none`; never `fbp`, which would filter again.

    Returns:
        float32 of the same shape.

    Raises:
        FirstlightError: energy, distance or pixel size are not known.
    """
    kev, millimetre, micrometre = known("quasi_particle", energy=energy, distance=distance, pixel=pixel)
    chosen = phase.quasi_particle_filter(
        frames.shape[1:],
        pixel=micrometre,
        energy=kev,
        distance=millimetre / MICROMETRE_IN_MM,
        threshold=threshold,
        fill=fill,
        delta_beta=delta_beta,
        gap=gap,
    )
    return filtered(frames, with_ramp(chosen, ramp), 1.0, factor_of(output, kev))


add_optics(quasi_particle, "energy", "distance", "pixel")


@quasi_particle.hook("unit")
def _unit(step: Operator, scan: Scan) -> str:
    return unit_of(step)

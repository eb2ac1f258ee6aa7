"""Phase retrieval by the contrast transfer function, one distance."""

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
    cites=["10.1364/OPEX.12.002960"],
    sentence="The phase was retrieved from one propagation distance ({distance}) at {energy} by the contrast transfer function with {delta_beta:δ/β}.",
)
def ctf(
    frames: Array,
    *,
    energy: Energy | None = None,
    distance: Distance | None = None,
    pixel: PixelSize | None = None,
    delta_beta: Ratio = 1000.0,
    regularisation: Annotated[float, Field(gt=0, le=10)] = 1e-3,
    output: PhaseOutput = "phase",
    gap: Gap | None = None,
    ramp: Window | None = None,
) -> Array:
    """Retrieve the phase of a weak object of one material from one distance, near or far (Turner et al. 2004).

    Inverts the contrast transfer function sin(chi) + cos(chi) beta / delta with chi = pi wavelength distance f^2, which
    holds at any distance where absorption is weak and the phase varies slowly. At its zeros there is no contrast: take
    several distances there (`ctf_multidistance`).

    Args:
        frames: shape (frame, row, col): transmission (after the flat field), not its logarithm. NaN counts as 1.
        energy: Photon energy. Default: that of the scan.
        distance: From sample to detector. Default: that of the scan.
        pixel: Pixel size at the sample. Default: that of the scan.
        delta_beta: Decrement of the refractive index over its imaginary part.
        regularisation: Added to the square of the contrast beyond its first maximum: larger values suppress noise near
            its zeros.
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
    kev, millimetre, micrometre = known("ctf", energy=energy, distance=distance, pixel=pixel)
    (chosen,) = phase.ctf_filters(
        frames.shape[1:],
        pixel=micrometre,
        energy=kev,
        distances=(millimetre / MICROMETRE_IN_MM,),
        delta_beta=delta_beta,
        regularisation=regularisation,
        gap=gap,
    )
    return filtered(frames, with_ramp(chosen, ramp), 1.0, factor_of(output, kev))


add_optics(ctf, "energy", "distance", "pixel")


@ctf.hook("unit")
def _unit(step: Operator, scan: Scan) -> str:
    return unit_of(step)

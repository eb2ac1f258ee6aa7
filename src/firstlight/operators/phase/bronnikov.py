"""Bronnikov's phase tomography, as a filter of the frames before the filtered back-projection."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels import phase
from firstlight.kernels.ramp import Window

from .optics import MICROMETRE_IN_CM, MICROMETRE_IN_MM, Distance, Gap, PixelSize, add_optics, filtered, known
from .transparent import with_ramp


@operator(
    "row col -> row col",
    cites=["10.1364/JOSAA.19.000472", "10.1364/OE.14.008103"],
    sentence="The refractive decrement was retrieved from one propagation distance ({distance}).",
)
def bronnikov(
    frames: Array,
    *,
    distance: Distance | None = None,
    pixel: PixelSize | None = None,
    alpha: Annotated[float, Field(gt=0, le=1e3)] = 1e-5,
    gap: Gap | None = None,
    ramp: Window | None = None,
) -> Array:
    """Retrieve the integral of delta along the beam from one distance, whatever the energy (Bronnikov 2002).

    fbp (ram-lak) then gives delta. Valid in the near field, for a sample whose absorption is weak; `alpha` corrects for
    what absorption there is (Groso et al. 2006). No minus_log before or after it.

    Args:
        frames: shape (frame, row, col): transmission (after the flat field), not its logarithm. NaN counts as 1.
        distance: From sample to detector. Default: that of the scan.
        pixel: Pixel size at the sample. Default: that of the scan.
        alpha: Added to the square of the frequency, in 1/um^2; beta / (delta x pi x wavelength x distance) where delta /
            beta is the same everywhere. Larger values suppress clouds, and slow variations with them.
        gap: Pixels of padding. Default: the longer side of the frame.
        ramp: Apply the ramp filter of the back-projection too, with this window, in the same transform. For a step behind it
            that adds projections up as they come: `general_backproject` with `filter: applied`, or `backproject` with
            `filter: none`; never `fbp`, which would filter again.

    Returns:
        float32 of the same shape, in cm.

    Raises:
        FirstlightError: distance or pixel size are not known.
    """
    millimetre, micrometre = known("bronnikov", distance=distance, pixel=pixel)
    chosen = phase.bronnikov_filter(
        frames.shape[1:], pixel=micrometre, distance=millimetre / MICROMETRE_IN_MM, alpha=alpha, gap=gap
    )
    return filtered(frames, with_ramp(chosen, ramp), 1.0, MICROMETRE_IN_CM)


add_optics(bronnikov, "distance", "pixel")


@bronnikov.hook("unit")
def _unit(step: Operator, scan: Scan) -> str:
    return "cm/px" if step.parameters()["ramp"] else "cm"

"""The transport-of-intensity equation for a transparent sample."""

from __future__ import annotations

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels import phase
from firstlight.kernels.ramp import Window

from .optics import MICROMETRE_IN_MM, Distance, Energy, Gap, PixelSize, Ratio, add_optics, filtered, known
from .transparent import PhaseOutput, factor_of, unit_of, with_ramp


@operator(
    "row col -> row col",
    cites=["10.1364/JOSA.73.001434"],
    sentence="The phase was retrieved from the transport of intensity over {distance} at {energy}.",
)
def tie(
    frames: Array,
    *,
    energy: Energy | None = None,
    distance: Distance | None = None,
    pixel: PixelSize | None = None,
    delta_beta: Ratio = 10_000.0,
    output: PhaseOutput = "phase",
    gap: Gap | None = None,
    ramp: Window | None = None,
) -> Array:
    """Retrieve the phase of a transparent sample from one distance, by the transport of intensity (Teague 1983).

    Valid in the near field (pixel^2 much larger than wavelength x distance) and without absorption. The lowest
    frequencies have no contrast: the phase is true up to a slow variation.

    Args:
        frames: shape (frame, row, col): transmission (after the flat field), not its logarithm. NaN counts as 1.
        energy: Photon energy. Default: that of the scan.
        distance: From sample to detector. Default: that of the scan.
        pixel: Pixel size at the sample. Default: that of the scan.
        delta_beta: How far the lowest frequencies are trusted: delta over beta of the sample where it absorbs a little.
            Smaller values suppress clouds, and slow variations of the phase with them.
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
    kev, millimetre, micrometre = known("tie", energy=energy, distance=distance, pixel=pixel)
    chosen = phase.tie_filter(
        frames.shape[1:],
        pixel=micrometre,
        energy=kev,
        distance=millimetre / MICROMETRE_IN_MM,
        delta_beta=delta_beta,
        gap=gap,
    )
    return filtered(frames, with_ramp(chosen, ramp), 1.0, factor_of(output, kev))


add_optics(tie, "energy", "distance", "pixel")


@tie.hook("unit")
def _unit(step: Operator, scan: Scan) -> str:
    return unit_of(step)

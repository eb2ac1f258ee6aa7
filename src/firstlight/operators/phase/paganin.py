"""Paganin's phase retrieval from one propagation distance."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels import phase

from .homogeneous import Output, Sample, reach_of, retrieved, unit_of
from .optics import MICROMETRE_IN_MM, Distance, Energy, Gap, PixelSize, Ratio, add_optics, known


@operator(
    "row col -> row col",
    cites=["10.1046/j.1365-2818.2002.01010.x"],
    sentence="The phase was retrieved from one propagation distance ({distance}) at {energy}.",
)
def paganin(
    frames: Array,
    *,
    energy: Energy | None = None,
    distance: Distance | None = None,
    pixel: PixelSize | None = None,
    delta_beta: Ratio | None = None,
    delta: Ratio | None = None,
    beta: Ratio | None = None,
    output: Output = "attenuation",
    floor: Annotated[float, Field(gt=1e-30, le=1.0)] = 1e-6,
    gap: Gap | None = None,
) -> Array:
    """Retrieve the projected thickness of a sample of one material from one propagation distance (Paganin et al. 2002).

    Takes the logarithm itself: no minus_log before or after it. Two of delta_beta, delta and beta give the third; the
    ratio is enough, except for the thickness. Valid in the near field (pixel^2 much larger than wavelength x distance)
    for a sample of one delta / beta in a beam without curvature; elsewhere it smooths too much or too little.

    Args:
        frames: shape (frame, row, col): transmission (after the flat field), not yet its logarithm. NaN counts as 1.
        energy: Photon energy. Default: that of the scan.
        distance: From sample to detector. Default: that of the scan.
        pixel: Pixel size at the sample. Default: that of the scan.
        delta_beta: Decrement of the refractive index over its imaginary part.
        delta: Decrement of the refractive index.
        beta: Imaginary part of the refractive index.
        output: `attenuation` (the integral of the attenuation along the beam: fbp then gives it per length), `phase` (in
            radian, negative in matter), or `thickness` (in cm: fbp then gives 1 inside the sample).
        floor: Smallest filtered transmission told apart, before the logarithm.
        gap: Pixels of padding. Default: as far as the filter reaches.

    Returns:
        float32 of the same shape.

    Raises:
        FirstlightError: energy, distance, pixel size or delta / beta are not known.
    """
    sample = Sample.of("paganin", delta_beta, delta, beta, output)
    kev, millimetre, micrometre = known("paganin", energy=energy, distance=distance, pixel=pixel)
    chosen = phase.paganin_filter(
        frames.shape[1:],
        pixel=micrometre,
        energy=kev,
        distance=millimetre / MICROMETRE_IN_MM,
        delta_beta=sample.delta_beta,
        gap=gap,
    )
    return retrieved(frames, chosen, floor, output, sample, kev)


add_optics(paganin, "energy", "distance", "pixel", reach=reach_of)


@paganin.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return unit_of(step)

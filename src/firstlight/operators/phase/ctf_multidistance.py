"""Phase retrieval by the contrast transfer function from several distances (holotomography)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import Operator, operator
from firstlight.kernels import phase
from firstlight.kernels.frame_filter import FrameFilter
from firstlight.kernels.ramp import Window

from .optics import MICROMETRE_IN_MM, Distance, Energy, Gap, PixelSize, Ratio, add_optics, filtered, known
from .transparent import PhaseOutput, factor_of, unit_of, with_ramp


@operator(
    "distance row col -> row col",
    cites=["10.1063/1.125225", "10.1364/OPEX.12.002960"],
    sentence="The phase was retrieved from {distances:distances} at {energy} by the contrast transfer function.",
)
def ctf_multidistance(
    frames: Array,
    *,
    distances: Annotated[tuple[Distance, ...], Field(min_length=2, max_length=64)],
    energy: Energy | None = None,
    pixel: PixelSize | None = None,
    delta_beta: Ratio | None = None,
    regularisation: Annotated[float, Field(gt=0, le=10)] | None = None,
    output: PhaseOutput = "phase",
    gap: Gap | None = None,
    ramp: Window | None = None,
) -> Array:
    """Retrieve the phase of a weak object from several distances, whose contrasts fill each other's zeros.

    Without delta_beta, absorption and phase are both unknown at every point (Cloetens et al. 1999), which leaves the lowest
    frequencies weak; with it the sample is of one material (Turner et al. 2004). The images must be registered, on
    one pixel size.

    Args:
        frames: shape (frame, distance, row, col): transmission (after the flat field), not its logarithm. NaN counts as 1.
        distances: From sample to detector, in the order of the axis `distance`.
        energy: Photon energy. Default: that of the scan.
        pixel: Pixel size at the sample. Default: that of the scan.
        delta_beta: Decrement of the refractive index over its imaginary part, where it is the same everywhere.
        regularisation: Added to the square of the contrast (beyond its first maximum, with delta_beta): larger values
            suppress noise where the contrast is low. Default: 1e-3 with delta_beta, 1e-6 without.
        output: `phase` in radian, negative in matter, or `projected_delta`, the integral of delta along the beam in cm
            (fbp then gives delta).
        gap: Pixels of padding. Default: the longer side of the frame.
        ramp: Apply the ramp filter of the back-projection too, with this window, in the same transform. For a step behind it
            that adds projections up as they come: `general_backproject` with `filter: applied`, or `backproject` with
            `filter: none`; never `fbp`, which would filter again.

    Returns:
        float32 of shape (frame, row, col).

    Raises:
        FirstlightError: energy or pixel size are not known, or there is not one distance for each image.
    """
    kev, micrometre = known("ctf_multidistance", energy=energy, pixel=pixel)
    _one_each(distances, frames.shape[1])
    filters = phase.ctf_filters(
        frames.shape[2:],
        pixel=micrometre,
        energy=kev,
        distances=tuple(each / MICROMETRE_IN_MM for each in distances),
        delta_beta=delta_beta,
        regularisation=regularisation or (1e-6 if delta_beta is None else 1e-3),
        gap=gap,
    )
    factor = factor_of(output, kev)
    filters = tuple(with_ramp(chosen, ramp) for chosen in filters)
    if not isinstance(frames, np.ndarray):
        return _on_device(frames, filters, factor)
    total = np.zeros((frames.shape[0], *frames.shape[2:]), np.float32)
    for place, chosen in enumerate(filters):
        total += filtered(frames[:, place], chosen, 1.0, factor)
    return total


def _on_device(frames: Any, filters: Sequence[FrameFilter], factor: float) -> Any:
    """The filters add to one array."""
    from firstlight.kernels.cuda.arrays import zeros
    from firstlight.kernels.cuda.frame_filter import filter_frames

    total = zeros((frames.shape[0], *frames.shape[2:]))
    for place, chosen in enumerate(filters):
        filter_frames(frames[:, place], chosen, offset=1.0, factor=factor, out=total)
    return total


def _one_each(distances: tuple[float, ...], images: int) -> None:
    if len(distances) != images:
        raise FirstlightError(
            "There is not one distance for each image.",
            field="distances",
            value=f"{len(distances)} numbers",
            expected=f"{images}, the length of the axis 'distance'",
        )


add_optics(ctf_multidistance, "energy", "pixel")


@ctf_multidistance.hook("unit")
def _unit(step: Operator, scan: Scan) -> str:
    return unit_of(step)

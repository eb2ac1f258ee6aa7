"""Reconstruct a volume in any geometry by the simultaneous iterative technique (SIRT)."""

from __future__ import annotations

from functools import partial

from firstlight.core.arrays import Array
from firstlight.core.operator import Coordinate, operator
from firstlight.kernels import iterate

from . import arrangement as at
from .arrangement import given_to
from .known_images import Initial, Mask
from .slices import Iterations, Nonnegative, Relaxation, Stop
from .volumes import OUTPUTS, register_hooks, solve_volume


@operator(
    OUTPUTS,
    cites=["10.1016/0022-5193(72)90180-4", "10.1109/TMI.1982.4307572"],
    sentence="Volumes were reconstructed in the geometry of the scan ({source_distance:source distance}, {tilt:axis tilt}) with {iterations} iterations of SIRT.",
)
def sirt_volume(
    projections: Array,
    *,
    iterations: Iterations = 50,
    relaxation: Relaxation = 1.0,
    nonnegative: Nonnegative = False,
    center: at.AxisColumn = None,
    center_row: at.AxisRow = None,
    source_distance: at.SourceDistance = None,
    source_x: at.SourceX = 0.0,
    source_z: at.SourceZ = 0.0,
    tilt: at.Tilt = 0.0,
    roll: at.Roll = 0.0,
    detector_roll: at.DetectorRoll = 0.0,
    detector_pitch: at.DetectorPitch = 0.0,
    detector_yaw: at.DetectorYaw = 0.0,
    region_z: at.RegionZ = None,
    region_y: at.RegionY = None,
    region_x: at.RegionX = None,
    height: at.Height = None,
    size: at.Width = None,
    mask: Mask = None,
    initial: Initial = None,
    stop: Stop = 0.0,
    pixel: at.Voxel = None,
    angle: Coordinate = None,
) -> tuple[Array, Array]:
    """Reconstruct a volume in any geometry by the simultaneous iterative technique (SIRT).

    For few, uneven or limited views in cone beam and laminography, where filtered back-projection leaves streaks.

    Args:
        projections: shape (block, angle, row, col): minus the logarithm of the transmission; NaN and infinity count as 0.
        angle: shape (angle,): projection angles in degree, in any order and spacing.

    Returns:
        `volume`, float32 (block, z, y, x), attenuation per cm (per pixel without pixel size); `residual`, float32
        (block, iteration): |A x - b| / |b| after each iteration, NaN once it has stopped.

    Raises:
        FirstlightError: angles are missing, in radian, or do not fit; numbers that make no geometry; a mask or a
            first estimate does not fit.
    """
    limits = iterate.Limits(iterations, stop, nonnegative)
    method = partial(iterate.sirt, relaxation=relaxation)
    return solve_volume(
        projections, "sirt_volume", given_to(locals()), limits, method, angle, mask=mask, initial=initial
    )


register_hooks(sirt_volume)

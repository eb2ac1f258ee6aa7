"""Reconstruct a volume in any geometry by conjugate gradients for least squares (CGLS)."""

from __future__ import annotations

from functools import partial

from firstlight.core.arrays import Array
from firstlight.core.operator import Coordinate, operator
from firstlight.kernels import iterate

from .arrangement import Each, EachDistance, EachTurn, Extent, Span, given_to
from .slices import Damping, Iterations, Pixel, Stop
from .volumes import OUTPUTS, register_hooks, solve_volume


@operator(
    OUTPUTS,
    cites=["10.1137/1.9781611971484", "10.1109/TMI.1982.4307572"],
    sentence="Volumes were reconstructed in the geometry of the scan ({source_distance:source distance}, {tilt:axis tilt}) with {iterations} iterations of conjugate gradients for least squares.",
)
def cgls_volume(
    projections: Array,
    *,
    iterations: Iterations = 15,
    damping: Damping = 0.0,
    center: Each | None = None,
    center_row: Each | None = None,
    source_distance: EachDistance | None = None,
    source_x: Each = 0.0,
    source_z: Each = 0.0,
    tilt: EachTurn = 0.0,
    roll: EachTurn = 0.0,
    detector_roll: EachTurn = 0.0,
    detector_pitch: EachTurn = 0.0,
    detector_yaw: EachTurn = 0.0,
    region_z: Span | None = None,
    region_y: Span | None = None,
    region_x: Span | None = None,
    height: Extent = None,
    size: Extent = None,
    stop: Stop = 0.0,
    pixel: Pixel = None,
    angle: Coordinate = None,
) -> tuple[Array, Array]:
    """Reconstruct a volume in any geometry by conjugate gradients for least squares (CGLS).

    The fastest way to small residuals; noise grows with the iterations, so stop early, or give some damping.

    Args:
        projections: shape (block, angle, row, col): minus the logarithm of the transmission; NaN and infinity count as 0.
        iterations: How many times the estimate is improved at most.
        damping: Weight of the size of the volume, in pixel: minimises |A x - b|² + |damping x|² (Tikhonov).
        center: Column onto which the middle of the rotation axis projects, from 0. Default: the middle of the detector.
        center_row: Row onto which the middle of the volume projects, from 0. Default: the middle of the detector.
        source_distance: From the source to the rotation axis. Default: parallel beam.
        source_x: How far the source stands to the right of the normal of the detector through the axis, in voxels.
        source_z: How far the source stands above that normal, in voxels.
        tilt: Angle by which the top of the rotation axis leans towards the detector; 0 for tomography.
        roll: Angle by which the top of the rotation axis leans to the right, seen along the beam.
        detector_roll: Angle by which the top of the detector leans to the right, seen along the beam.
        detector_pitch: Angle by which the top of the detector leans away from the source.
        detector_yaw: Angle by which the detector turns about the vertical, its right side towards the source.
        region_z: Voxels to compute along z: first, end (left out), step; they must hold the whole sample. Default: all.
        region_y: Voxels to compute along y: first, end (left out), step. Default: all.
        region_x: Voxels to compute along x: first, end (left out), step. Default: all.
        height: Height of the whole volume in voxels. Default: the rows of the detector.
        size: Width and depth of the whole volume in voxels. Default: the columns of the detector.
        stop: Stop when |A x - b| / |b| falls below this; 0 never stops early.
        pixel: Pixel size at the rotation axis, which is that of a voxel. Default: that of the scan, where it is known.
        angle: shape (angle,): projection angles in degree, in any order and spacing.

    Returns:
        `volume`, float32 (block, z, y, x), attenuation per cm (per pixel without pixel size); `residual`, float32
        (block, iteration): |A x - b| / |b| after each iteration, NaN once it has stopped.

    Raises:
        FirstlightError: angles are missing, in radian, or do not fit; numbers that make no geometry.
    """
    limits = iterate.Limits(iterations, stop)
    method = partial(iterate.cgls, damping=damping)
    return solve_volume(projections, "cgls_volume", given_to(locals()), limits, method, angle)


register_hooks(cgls_volume)

"""Reconstruct a volume in any geometry from a complete scan by filtered back-projection."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.operator import Coordinate, operator
from firstlight.kernels.ramp import Padding

from ..tomography.angles import projection_angles
from ..tomography.finite import finite
from ..tomography.per_length import per_length
from . import arrangement as at
from .arrangement import Filter, given_to, motion_of, parts_of, rays_for, region_of, share_of
from .filtered import add_filtered, ramp_of
from .volumes import register_hooks


@operator(
    "angle row col -> z y x",
    cites=["10.1364/JOSAA.1.000612", "10.1137/1.9780898719277", "10.1118/1.595078"],
    sentence="Volumes were reconstructed by filtered back-projection in the geometry of the scan ({source_distance:source distance}, {tilt:axis tilt}, filter {filter}).",
)
def backproject_volume(
    projections: Array,
    *,
    filter: Filter = "ram-lak",  # the word of the field
    cutoff: Annotated[float, Field(gt=0, le=1)] = 1.0,
    padding: Padding = "zero",
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
    pixel: at.Voxel = None,
    angle: Coordinate = None,
) -> Array:
    """Reconstruct a volume in any geometry from a complete scan by filtered back-projection.

    The same as `general_backproject`, but of all projections at once, so that its geometry may be what other steps find. A
    cone-beam scan that is no whole turn gets Parker weights: half a turn and the opening of the fan is enough.

    Args:
        projections: shape (block, angle, row, col): minus the logarithm of the transmission; NaN and infinity count as 0.
        filter: Window of the ramp filter; `none` adds the projections up as they are; `applied`: a step before has filtered
            them (`ramp` of `ctf`, `tie` …), which parallel beam allows.
        cutoff: Where the window ends, as a fraction of the highest frequency.
        padding: What lies outside the detector: `zero`, or `edge` for a sample wider than the detector.
        region_z: Voxels to compute along z: first, end (left out), step. Default: all.
        angle: shape (angle,): projection angles in degree, in any order and spacing.

    Returns:
        float32 (block, z, y, x), attenuation per cm (per pixel without pixel size).

    Raises:
        FirstlightError: angles are missing, in radian, or do not fit; numbers that make no geometry.
    """
    count, angles, rows, columns = projections.shape
    theta = projection_angles(angle, "backproject_volume", angles)
    given = given_to(locals())
    motion = motion_of(given, rows, columns, "backproject_volume")
    region = region_of((region_z, region_y, region_x), height, size, rows, columns)
    rays = rays_for(theta, motion, np.arange(angles), "backproject_volume")
    ramp = ramp_of(filter, cutoff, padding, motion, region, columns, "backproject_volume")
    weighed = None if filter == "none" else parts_of(theta, motion, columns)
    parts, weights = (None, share_of(theta, tilt)) if weighed is None else weighed
    if filter != "none":  # with a tilted axis, the ramp is as steep as the axis is upright
        weights = weights * np.cos(np.deg2rad(motion.of(np.arange(angles), angles)["tilt"]))
    volumes = np.zeros((count, *region.shape), np.float32)
    for volume, scan in zip(volumes, finite(projections), strict=True):
        add_filtered(scan, rays, ramp, region, weights, volume, parts)
    if pixel is not None:
        volumes *= np.float32(per_length(pixel))
    return volumes


register_hooks(backproject_volume)

"""The parameters that say how source, axis, detector and volume stand, shared by the steps for any geometry."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.core.units import Degree, Micrometre, Millimetre
from firstlight.kernels.angles import angular_weights
from firstlight.kernels.geometry import Motion, Rays, Region, rays_of
from firstlight.kernels.ramp import Window
from firstlight.kernels.redundancy import measured_parts

Number = Annotated[float, Field(ge=-1e6, le=1e6)]
Each = Number | tuple[Number, ...]
"""One number for all projections, or one for each, in the order of their ids."""
Turn = Annotated[Degree, Field(ge=-360, le=360)]
EachTurn = Turn | tuple[Turn, ...]
Distance = Annotated[Millimetre, Field(gt=0)]
Span = tuple[Number, Number, Annotated[float, Field(gt=0, le=1e6)]]
"""First voxel, end (left out) and step along one axis."""

Filter = Window | Literal["none", "applied"]
"""Window of the ramp filter; or nothing to be filtered; or filtered by a step before."""

# Parameters that several steps take, each with what it means.
AxisColumn = Annotated[
    Each | None,
    Field(
        description="Column onto which the middle of the rotation axis projects, from 0. Default: the middle of the detector.",
    ),
]
AxisRow = Annotated[
    Each | None,
    Field(
        description="Row onto which the middle of the volume projects, from 0. Default: the middle of the detector.",
    ),
]
SourceDistance = Annotated[
    Distance | tuple[Distance, ...] | None,
    Field(
        description="From the source to the rotation axis. Default: parallel beam.",
    ),
]
SourceX = Annotated[
    Each,
    Field(
        description="How far the source stands to the right of the normal of the detector through the axis, in voxels.",
    ),
]
SourceZ = Annotated[Each, Field(description="How far the source stands above that normal, in voxels.")]
Tilt = Annotated[
    EachTurn,
    Field(
        description="Angle by which the top of the rotation axis leans towards the detector; 0 for tomography.",
    ),
]
Roll = Annotated[
    EachTurn,
    Field(
        description="Angle by which the top of the rotation axis leans to the right, seen along the beam.",
    ),
]
DetectorRoll = Annotated[
    EachTurn,
    Field(
        description="Angle by which the top of the detector leans to the right, seen along the beam.",
    ),
]
DetectorPitch = Annotated[
    EachTurn,
    Field(
        description="Angle by which the top of the detector leans away from the source.",
    ),
]
DetectorYaw = Annotated[
    EachTurn,
    Field(
        description="Angle by which the detector turns about the vertical, its right side towards the source.",
    ),
]
RegionZ = Annotated[
    Span | None,
    Field(
        description="Voxels to compute along z: first, end (left out), step; they must hold the whole sample. Default: all.",
    ),
]
RegionY = Annotated[
    Span | None,
    Field(
        description="Voxels to compute along y: first, end (left out), step. Default: all.",
    ),
]
RegionX = Annotated[
    Span | None,
    Field(
        description="Voxels to compute along x: first, end (left out), step. Default: all.",
    ),
]
Height = Annotated[
    Annotated[int, Field(ge=1)] | None,
    Field(
        description="Height of the whole volume in voxels. Default: the rows of the detector.",
    ),
]
Width = Annotated[
    Annotated[int, Field(ge=1)] | None,
    Field(
        description="Width and depth of the whole volume in voxels. Default: the columns of the detector.",
    ),
]
Voxel = Annotated[
    Annotated[Micrometre, Field(gt=0)] | None,
    Field(
        description="Pixel size at the rotation axis, which is that of a voxel. Default: that of the scan, where it is known.",
    ),
]

MOTION = ("tilt", "roll", "detector_roll", "detector_pitch", "detector_yaw", "source_x", "source_z")
MICROMETRE_IN_MILLIMETRE = 1e-3


PLACED = (
    *MOTION,
    "center",
    "center_row",
    "source_distance",
    "region_z",
    "region_y",
    "region_x",
    "height",
    "size",
    "pixel",
)


def given_to(parameters: dict[str, Any]) -> dict[str, Any]:
    """Those of a step's parameters that say how things stand."""
    return {name: parameters[name] for name in PLACED}


def demand_one_each(given: dict[str, Any], projections: int | None) -> None:
    """Refuse lists that have fewer numbers than a scan has projections, before its first frame.

    Raises:
        FirstlightError: there is one.
    """
    for name in ("center", "center_row", "source_distance", *MOTION):
        value = given[name]
        if isinstance(value, tuple) and projections is not None and len(value) < projections:
            raise FirstlightError(
                f"There are fewer numbers than projections: {len(value)} of {projections}.",
                field=name,
                expected="one number for all projections, or one for each in the order of their ids",
            )


def motion_of(given: dict[str, Any], rows: int, columns: int, step: str) -> Motion:
    """How the parts stand, in voxels.

    Args:
        given: the step's parameters: `center`, `center_row`, `source_distance`, `pixel`, and those in `MOTION`.
        rows: of the detector.
        columns: of the detector.
        step: which step asks, for the message.

    Raises:
        FirstlightError: a source at a distance, and no pixel size to tell how many voxels that is.
    """
    distance: Any = np.inf
    if given["source_distance"] is not None:
        if given["pixel"] is None:
            raise FirstlightError(
                f"'{step}' needs the size of a voxel to place the source.",
                field="pixel",
                expected="the pixel size at the rotation axis, such as '5 um'",
                next_move="Give 'pixel': that of the detector divided by the magnification.",
            )
        distance = np.asarray(given["source_distance"], np.float64) / (given["pixel"] * MICROMETRE_IN_MILLIMETRE)
    middle = {"center": (columns - 1) / 2, "center_row": (rows - 1) / 2}
    origin = {name: middle[name] if _unknown(given[name]) else given[name] for name in middle}
    return Motion(source_distance=distance, **origin, **{name: given[name] for name in MOTION})


def _unknown(value: Any) -> bool:
    """True for None, and for a center that is not found yet."""
    return value is None or bool(np.any(np.isnan(np.asarray(value, np.float64))))


def rays_for(angles: Array, motion: Motion, place: Array, step: str) -> Rays:
    """Rays of some projections.

    Args:
        angles: shape (angle,), degree.
        motion: how the parts stand.
        place: position of each projection in the scan, from 0.
        step: which step asks, for the message.

    Raises:
        FirstlightError: fewer numbers than projections, or numbers that make no geometry.
    """
    try:
        return rays_of(angles, motion, place)
    except (ValueError, np.linalg.LinAlgError) as error:
        raise FirstlightError(
            f"The geometry of '{step}' does not hold: {error}",
            field=str(error).partition(" ")[0],
            expected="one finite number for all projections, or one for each",
        ) from error


def share_of(angles: Array, tilt: Any) -> Array:
    """What part of a half turn each projection stands for, in radian.

    Opposite projections share theirs. With a tilted axis they do not show the same, and a whole turn counts as half of one.
    """
    return angular_weights(angles / 2 if np.any(np.asarray(tilt)) else angles)


def parts_of(angles: Array, motion: Motion, columns: int) -> tuple[Array, Array] | None:
    """How much each ray of a cone beam counts where the scan is no whole turn (Parker weights), and the width of each angle.

    Args:
        angles: of the whole scan, shape (angle,), degree.
        motion: how the parts stand; where there is one number for each projection, its median counts.
        columns: of the detector.

    Returns:
        float32 (angle, col) and (angle,) in radian; None where rays count by their angle alone: parallel beam, whole turns,
        and a tilted axis, about which no ray is seen from its other end.
    """
    try:
        at = motion.of(np.arange(angles.size), angles.size)
    except ValueError:  # fewer numbers than projections, which `rays_for` names
        return None
    if np.isinf(at["source_distance"]).any() or np.any(at["tilt"]):
        return None
    middle = {name: float(np.median(at[name])) for name in ("center", "source_distance", "source_x")}
    return measured_parts(
        angles,
        columns,
        center=middle["center"],
        distance=middle["source_distance"],
        source_x=middle["source_x"],
    )


def region_of(
    spans: tuple[Span | None, Span | None, Span | None], height: int | None, size: int | None, rows: int, columns: int
) -> Region:
    """The voxels that are computed.

    Args:
        spans: of z, y and x; None means the whole axis.
        height: of the whole volume, `rows` by default.
        size: width and depth of the whole volume, `columns` by default.
        rows: of the detector.
        columns: of the detector.

    Raises:
        FirstlightError: an axis without a voxel.
    """
    high, wide = height or rows, size or columns
    found: list[tuple[float, float, int]] = []
    for name, span, full in zip("zyx", spans, (high, wide, wide), strict=True):
        first, stop, step = span or (0.0, float(full), 1.0)
        count = int(np.ceil((stop - first) / step - 1e-9))
        if count < 1:
            raise FirstlightError(
                f"The region holds no voxel along {name}.",
                field=f"region_{name}",
                value=span,
                expected="[first, end, step], the end behind the first",
            )
        found.append((first, step, count))
    z, y, x = found
    return Region((z[0], y[0], x[0]), (z[1], y[1], x[1]), (z[2], y[2], x[2]), wide, high)

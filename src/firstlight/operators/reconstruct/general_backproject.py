"""Filtered back-projection in any geometry, projection by projection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.core.units import Micrometre
from firstlight.kernels.geometry import Motion, Region
from firstlight.kernels.ramp import Padding, RampFilter

from ..tomography.angles import projection_angles
from ..tomography.finite import finite
from ..tomography.per_length import per_length
from .arrangement import (
    AxisColumn,
    AxisRow,
    DetectorPitch,
    DetectorRoll,
    DetectorYaw,
    Filter,
    RegionX,
    RegionY,
    Roll,
    SourceDistance,
    SourceX,
    SourceZ,
    Span,
    Tilt,
    demand_one_each,
    motion_of,
    parts_of,
    rays_for,
    region_of,
    share_of,
)
from .filtered import add_filtered, ramp_of


@dataclass(slots=True)
class Slab:
    """The voxels, and the projections added to them so far."""

    volume: Array
    motion: Motion
    region: Region
    ramp: RampFilter | None
    known: Array | None
    """Angles of the whole scan in degree, where they are known beforehand."""
    share: Array | None
    """What part of a half turn each of them stands for, in radian."""
    parts: Array | None
    """(angle, col): how much each ray counts, where a cone beam is no whole turn."""
    first: int
    """Id of the first projection."""
    expected: int | None
    count: int = 0


class GeneralBackproject(Fold[Slab]):
    """Reconstruct a volume, or any region of it, in parallel or cone beam, tomography or laminography.

    Each projection is filtered and added to the voxels as it comes. With a source at a distance this is the method of
    Feldkamp, Davis and Kress; with a tilted axis the filter is scaled for laminography. Every number of the geometry may
    differ from projection to projection. A cone-beam scan that is no whole turn gets Parker weights, where its angles are known
    beforehand. Directions and signs: see the page on conventions.
    """

    use: ClassVar[str] = "general_backproject"
    signature: ClassVar[Any] = "[angle] row col -> z y x"
    cites: ClassVar[tuple[str, ...]] = ("10.1364/JOSAA.1.000612", "10.1137/1.9780898719277", "10.1118/1.595078")
    sentence: ClassVar[str] = (
        "Volumes were reconstructed by filtered back-projection in the geometry of the scan "
        "({source_distance:source distance}, {tilt:axis tilt}, filter {filter})."
    )
    tolerance: ClassVar[float] = 2e-5

    center: AxisColumn = None
    center_row: AxisRow = None
    source_distance: SourceDistance = None
    source_x: SourceX = 0.0
    source_z: SourceZ = 0.0
    tilt: Tilt = 0.0
    roll: Roll = 0.0
    detector_roll: DetectorRoll = 0.0
    detector_pitch: DetectorPitch = 0.0
    detector_yaw: DetectorYaw = 0.0
    filter: Filter = "ram-lak"
    """Window of the ramp filter; `none` adds the projections up as they are; `applied`: a step before has filtered them
    (`ramp` of `ctf`, `tie` …), which parallel beam allows."""
    cutoff: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Where the window ends, as a fraction of the highest frequency."""
    padding: Padding = "zero"
    """What lies outside the detector: `zero`, or `edge` for a sample wider than the detector."""
    region_z: Span | None = None
    """Voxels to compute along z: first, end (left out), step. Default: all."""
    region_y: RegionY = None
    region_x: RegionX = None
    height: Annotated[int, Field(ge=1)] | None = None
    """Height of the whole volume in voxels. Default: the rows of the detector."""
    size: Annotated[int, Field(ge=1)] | None = None
    """Width and depth of the whole volume in voxels. Default: the columns of the detector."""
    pixel: Annotated[Micrometre, Field(gt=0)] | None = None
    """Pixel size at the rotation axis, which is that of a voxel. Default: that of the scan, where it is known."""

    def _region(self, rows: int, columns: int) -> Region:
        spans = (self.region_z, self.region_y, self.region_x)
        return region_of(spans, self.height, self.size, rows, columns)

    def _motion(self, rows: int, columns: int) -> Motion:
        return motion_of({name: getattr(self, name) for name in type(self).model_fields}, rows, columns, self.use)

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> Mapping[str, int | None]:
        """Those of the region."""
        rows, columns = known.get("row"), known.get("col")
        if rows is None or columns is None:
            return {"z": None, "y": None, "x": None}
        return dict(zip("zyx", self._region(rows, columns).shape, strict=True))

    def unit(self, scan: Scan) -> str | None:
        """Attenuation per length."""
        return "1/cm" if self.pixel is not None or scan.pixel("um") is not None else "1/px"

    def calibrated(self, scan: Scan) -> Self:
        """With the pixel size of the scan, where the user gave none.

        Raises:
            FirstlightError: a list has fewer numbers than the scan has projections.
        """
        demand_one_each({name: getattr(self, name) for name in type(self).model_fields}, scan.main.frames)
        found = scan.pixel("um")
        return self if self.pixel is not None or found is None else self.model_copy(update={"pixel": found})

    def workspace(self, scan: Scan, frames: int) -> int:
        """The voxels."""
        return 4 * int(np.prod(self._region(scan.main.size("row"), scan.main.size("col")).shape))

    def empty(self, scan: Scan) -> Slab:
        """No projection added."""
        rows, columns = scan.main.size("row"), scan.main.size("col")
        region, motion = self._region(rows, columns), self._motion(rows, columns)
        known = scan.coords.get("angle")
        angles = None if known is None or not len(known) else projection_angles(known, self.use)
        share, parts = None if angles is None else share_of(angles, self.tilt), None
        weighed = None if angles is None or self.filter == "none" else parts_of(angles, motion, columns)
        if weighed is not None:
            parts, share = weighed
        ramp = ramp_of(self.filter, self.cutoff, self.padding, motion, region, columns, self.use)
        volume = np.zeros(region.shape, np.float32)
        return Slab(volume, motion, region, ramp, angles, share, parts, scan.main.first, scan.main.frames)

    def add(self, state: Slab, chunk: Chunk, *held: Held) -> None:
        """Weigh projections by the obliquity of their rays, filter them and add them to the voxels."""
        if len(chunk) == 0:
            return
        angles = projection_angles(chunk.coords.get("angle"), self.use, len(chunk))
        rays = rays_for(angles, state.motion, chunk.ids - state.first, self.use)
        weights, parts = np.ones(len(chunk)), None
        if state.known is not None and state.share is not None:
            nearest = np.abs(state.known[:, None] - angles).argmin(axis=0)
            weights = state.share[nearest]
            parts = None if state.parts is None else state.parts[nearest]
        if self.filter != "none":  # with a tilted axis, the ramp is as steep as the axis is upright
            weights = weights * np.cos(np.deg2rad(state.motion.of(chunk.ids - state.first, len(chunk))["tilt"]))
        add_filtered(finite(chunk.data), rays, state.ramp, state.region, weights, state.volume, parts)
        state.count += len(chunk)

    def ready(self, state: Slab) -> bool:
        """True once a projection has come."""
        return state.count > 0

    def coverage(self, state: Slab) -> float | None:
        """Share of the projections that are in."""
        return None if not state.expected else state.count / state.expected

    def result(self, state: Slab) -> dict[str, Array]:
        """The volume, float32 (z, y, x).

        Where the angles of the scan were not known beforehand, the projections count as spread evenly.
        """
        scale = 1.0 if state.share is not None else np.pi / max(state.count, 1)
        if self.pixel is not None:
            scale *= per_length(self.pixel)
        return {"data": state.volume * np.float32(scale)}

    def merge(self, state: Slab, other: Slab) -> Slab:
        """Add the volumes."""
        state.volume += other.volume
        state.count += other.count
        return state

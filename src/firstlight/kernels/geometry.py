"""Where the source, the detector and the volume are, for each projection: parallel and cone beam, tomography and laminography.

Lengths are in voxels. The detector is thought of as standing at the rotation axis, so that its pixels are as wide as the
voxels there; a detector at any distance behind it, with pixels wider by the magnification, sees the same.

Laboratory: x to the right of the detector, y along the beam, z up; the origin lies on the rotation axis and projects to the
pixel (`center`, `center_row`). Sample: x, y, z turn with it, z along the rotation axis. A point P of the sample is found at

    Ry(roll) Rx(tilt) Rz(-angle) P,   where   Rz(-a): x' = x cos a + y sin a,  y' = y cos a - x sin a
                                              Rx(t):  y' = y cos t + z sin t,  z' = z cos t - y sin t
                                              Ry(r):  x' = x cos r + z sin r,  z' = z cos r - x sin r

so that the top of the axis leans towards the detector for a positive tilt, to the right for a positive roll. The detector
turns about the point where the origin projects, in the same sense: by `detector_roll` about the beam, `detector_pitch`
about x, `detector_yaw` about z (x' = x cos a + y sin a). The source stands at (`source_x`, -`source_distance`, `source_z`).

Voxel (iz, iy, ix) of the whole volume lies at x = ix - (size - 1)/2, y = (size - 1)/2 - iy, z = (height - 1)/2 - iz.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]
_X, _Y, _Z = 0, 1, 2
_CORNERS = 32
"""Of the polygon around a circle."""


@dataclass(frozen=True)
class Motion:
    """How the parts stand, one number for all projections or one for each; angles in degree, lengths in voxels."""

    center: ArrayLike
    """Column onto which the origin projects."""
    center_row: ArrayLike
    """Row onto which the origin projects."""
    tilt: ArrayLike = 0.0
    roll: ArrayLike = 0.0
    detector_roll: ArrayLike = 0.0
    detector_pitch: ArrayLike = 0.0
    detector_yaw: ArrayLike = 0.0
    source_distance: ArrayLike = np.inf
    """From the source to the origin; infinite for parallel beam."""
    source_x: ArrayLike = 0.0
    source_z: ArrayLike = 0.0

    def of(self, place: Any, count: int) -> dict[str, F64]:
        """Each number for the projections in hand.

        Args:
            place: which projections, where there is one number for each.
            count: how many those are.

        Raises:
            ValueError: too few numbers for the projections.
        """
        found: dict[str, F64] = {}
        for field in fields(self):
            values = np.asarray(getattr(self, field.name), np.float64)
            if values.ndim and (np.max(place, initial=-1) >= values.size or np.min(place, initial=0) < 0):
                raise ValueError(
                    f"{field.name} has {values.size} numbers, one for each projection; "
                    f"there are projections {np.min(place)} to {np.max(place)}."
                )
            found[field.name] = np.broadcast_to(values[place] if values.ndim else values, (count,))
        return found


@dataclass(frozen=True)
class Rays:
    """Source and detector seen from the sample, for each projection."""

    source: F64
    """(angle, 3): where the source is; for parallel beam the direction of the beam, of length 1."""
    corner: F64
    """(angle, 3): middle of the detector's pixel (0, 0)."""
    across: F64
    """(angle, 3): from one column to the next."""
    down: F64
    """(angle, 3): from one row to the next."""
    parallel: bool

    def __len__(self) -> int:
        """Number of projections."""
        return len(self.corner)

    def take(self, chosen: Any) -> Rays:
        """Some of the projections."""
        return Rays(self.source[chosen], self.corner[chosen], self.across[chosen], self.down[chosen], self.parallel)

    def counted_from(self, column: int) -> Rays:
        """The same rays, for a detector whose column 0 is another one of this, or one beside it."""
        return Rays(self.source, self.corner + column * self.across, self.across, self.down, self.parallel)

    def matrices(self) -> F64:
        """From a point (x, y, z, 1) to (w column, w row, w), shape (angle, 3, 4).

        The number w is the distance from the source in units of that of the detector; 1 for parallel beam.
        """
        third = self.source if self.parallel else self.corner - self.source
        start = self.corner if self.parallel else self.source
        inverse = np.linalg.inv(np.stack([self.across, self.down, third], axis=-1))
        matrices = np.concatenate([inverse, -(inverse @ start[..., None])], axis=-1).astype(np.float64)
        if self.parallel:
            matrices[:, 2] = (0.0, 0.0, 0.0, 1.0)
        return matrices

    def obliquity(self, rows: int, columns: int) -> NDArray[np.float32]:
        """Cosine of the angle between each ray and the detector's normal, float32 (angle, row, col).

        That is the weight of Feldkamp, Davis and Kress; 1 for parallel beam on an upright detector.
        """
        normal = np.cross(self.across, self.down)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        if self.parallel:
            flat = np.abs((normal * self.source).sum(axis=1)).astype(np.float32)
            return np.broadcast_to(flat[:, None, None], (len(self), rows, columns))
        out = np.empty((len(self), rows, columns), np.float32)
        for a in range(len(self)):
            row, col = np.arange(rows)[:, None, None] * self.down[a], np.arange(columns)[:, None] * self.across[a]
            ray = self.corner[a] - self.source[a] + row + col
            out[a] = np.abs(ray @ normal[a]) / np.linalg.norm(ray, axis=-1)
        return out


@dataclass(frozen=True)
class Region:
    """Which voxels of the whole volume are computed: the first of each axis and the step to the next, in order z, y, x."""

    first: tuple[float, float, float]
    step: tuple[float, float, float]
    shape: tuple[int, int, int]
    size: int
    """Width and depth of the whole volume."""
    height: int
    """Height of the whole volume."""

    @classmethod
    def whole(cls, height: int, size: int) -> Region:
        """Every voxel."""
        return cls((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (height, size, size), size, height)

    def frame(self) -> F64:
        """(4, 4) from (ix, iy, iz, 1) of the region to (x, y, z, 1) of the sample."""
        middle, top = (self.size - 1) / 2, (self.height - 1) / 2
        matrix = np.diag([self.step[2], -self.step[1], -self.step[0], 1.0])
        matrix[:3, 3] = self.first[2] - middle, middle - self.first[1], top - self.first[0]
        return matrix

    def rim(self) -> F64:
        """Points (x, y, z, 1) around the region however far it turns about the axis, (4, point)."""
        z, y, x = self.axes()
        turn = 2 * np.pi * np.arange(_CORNERS) / _CORNERS
        radius = np.hypot(np.abs(x).max(), np.abs(y).max()) / np.cos(np.pi / _CORNERS)
        circle = np.stack([radius * np.cos(turn), radius * np.sin(turn)])
        return np.concatenate([np.stack([*circle, height + 0 * turn, 1 + 0 * turn]) for height in z[[0, -1]]], axis=1)

    def axes(self) -> tuple[F64, F64, F64]:
        """Coordinates z, y, x of the voxels in the sample."""
        frame = self.frame()
        z, y, x = (frame[k, k] * np.arange(n) + frame[k, 3] for k, n in zip((2, 1, 0), self.shape, strict=True))
        return z, y, x


def rays_of(angles_degrees: ArrayLike, motion: Motion, place: Any = None) -> Rays:
    """Source and detector for projections at some angles.

    Args:
        angles_degrees: shape (angle,).
        motion: how the parts stand.
        place: which numbers of `motion` belong to them, where it has one for each projection; all by default.

    Raises:
        ValueError: numbers that do not fit or are not finite; a source that is partly infinite.
    """
    angles = np.atleast_1d(np.asarray(angles_degrees, np.float64))
    at = motion.of(np.arange(angles.size) if place is None else place, angles.size)
    parallel = bool(np.all(np.isinf(at["source_distance"])))
    lengths = [values for name, values in at.items() if not (parallel and name == "source_distance")]
    if not all(np.all(np.isfinite(values)) for values in (angles, *lengths)):
        raise ValueError("The geometry has numbers that are not finite, in some projections only.")
    if not parallel and np.any(at["source_distance"] <= 0):
        raise ValueError(f"source_distance is {at['source_distance'].min()}, expected more than 0.")
    count = angles.size
    sample = _turn(_X, _Z, at["roll"]) @ _turn(_Y, _Z, at["tilt"]) @ _turn(_X, _Y, angles)
    detector = _turn(_X, _Z, at["detector_roll"]) @ _turn(_Y, _Z, at["detector_pitch"])
    detector = detector @ _turn(_X, _Y, at["detector_yaw"])
    across, down = detector[..., 0], -detector[..., 2]
    corner = -at["center"][:, None] * across - at["center_row"][:, None] * down
    if parallel:
        source = np.tile([0.0, 1.0, 0.0], (count, 1))
    else:
        source = np.stack([at["source_x"], -at["source_distance"], at["source_z"]], axis=-1)
    seen = [_seen(sample, vectors) for vectors in (source, corner, across, down)]
    return Rays(seen[0], seen[1], seen[2], seen[3], parallel)


def _seen(sample: F64, vectors: F64) -> F64:
    """Vectors of the laboratory in coordinates of the sample."""
    return np.einsum("aji,aj->ai", sample, vectors)


def _turn(first: int, second: int, degrees: F64) -> F64:
    """Rotation (n, 3, 3) in the plane of two axes: first' = first cos + second sin, second' = second cos - first sin."""
    a = np.deg2rad(degrees)
    matrix = np.zeros((a.size, 3, 3))
    matrix[:, range(3), range(3)] = 1.0
    matrix[:, first, first] = matrix[:, second, second] = np.cos(a)
    matrix[:, first, second], matrix[:, second, first] = np.sin(a), -np.sin(a)
    return matrix

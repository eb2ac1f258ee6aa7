"""How source, detector and volume stand, in the fields of TIGRE's geometry.

TIGRE's frame: x towards the source at angle 0, y along the detector's rows, z along its columns, towards higher rows. Its
images rise with x, y and z; ours falls with y, so that images are turned over in y. Any arrangement of a point and a plane
is expressed by where the detector's normal points (Euler angles Rz(α) Ry(θ)), how far the detector is turned about it
(`rotDetector`), and how far the volume (`offOrigin`) and the middle of the detector (`offDetector`) stand from the normal
through the source. The third Euler angle stays 0: TIGRE's back-projectors take α alone for the direction of the source
when they weigh a voxel by its distance.

Lengths are in voxels. Fields that hold an offset are in TIGRE's order since version 2: (z, y, x) and (row, col).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstlight.core.errors import FirstlightError
from firstlight.kernels.geometry import Rays, Region

F64 = NDArray[np.float64]
_ROUNDING = 1e-6


def fields_of(rays: Rays, region: Region, rows: int, columns: int) -> dict[str, Any]:
    """The attributes of TIGRE's geometry, by their names, and its `angles`, shape (angle, 3) in radian.

    Args:
        rays: source and detector for each projection.
        region: the voxels that are computed.
        rows: of the detector.
        columns: of the detector.

    Raises:
        FirstlightError: parallel beam on a tilted axis or detector, which TIGRE's kernels do not know; a source within
            the volume.
    """
    down_is_up = np.array([1.0, 1.0, -1.0])
    along, below = rays.across * down_is_up, rays.down * down_is_up
    turned = _turned(np.cross(along, below))
    towards, right, lower = turned[..., 0], turned[..., 1], turned[..., 2]
    frame = region.frame() @ [*((n - 1) / 2 for n in reversed(region.shape)), 1.0]
    volume, size = frame[:3] * down_is_up, np.array(region.step) * region.shape
    reach = float(np.linalg.norm(size) / 2 + np.linalg.norm(volume))
    middle = rays.corner * down_is_up + along * (columns - 1) / 2 + below * (rows - 1) / 2
    if rays.parallel:
        _check_upright(rays.source * down_is_up, towards, below)
        distance, magnification = np.full(len(rays), 2 * reach), 1.0
        # TIGRE's projector for parallel beam slants its rays where the detector stands off: the volume does instead
        origin, offset = middle - _dot(middle, towards) * towards, np.zeros((len(rays), 2))
    else:
        source = rays.source * down_is_up
        distance = _dot(source, towards)[:, 0]
        _check_outside(float(distance.min()), reach)
        magnification = 1 + 2 * reach / float(distance.min())  # any detector behind the volume sees the same
        origin = source - distance[:, None] * towards
        offset = magnification * np.hstack([_dot(middle - source, lower), _dot(middle - source, right)])
    detector = np.array([rows, columns])
    return {
        "mode": "parallel" if rays.parallel else "cone",
        "nVoxel": np.array(region.shape),
        "dVoxel": np.array(region.step, np.float64),
        "sVoxel": size,
        "nDetector": detector,
        "dDetector": np.full(2, magnification),
        "sDetector": magnification * detector,
        "DSO": _one_or_each(distance),
        "DSD": _one_or_each(2 * distance if rays.parallel else magnification * distance),
        "offOrigin": _one_or_each((volume - origin)[:, ::-1]),
        "offDetector": _one_or_each(offset),
        "rotDetector": _one_or_each(np.outer(np.arctan2(_dot(along, lower), _dot(along, right)), [1.0, 0.0, 0.0])),
        "accuracy": 0.5,
        "angles": _euler(towards).astype(np.float32),
    }


def _check_outside(nearest: float, reach: float) -> None:
    if nearest > reach:
        return
    raise FirstlightError(
        "The source stands within the volume, where TIGRE can not project.",
        field="source_distance",
        value=f"{nearest:.6g} voxels",
        expected=f"more than {reach:.6g} voxels, which the volume reaches",
        next_move="Give a smaller 'size' or 'height', or take 'sirt_volume'.",
    )


def _check_upright(beam: F64, towards: F64, below: F64) -> None:
    """TIGRE's parallel beam has one angle, about an axis along the detector's columns."""
    if np.abs(beam + towards).max() < _ROUNDING and np.abs(below - [0.0, 0.0, 1.0]).max() < _ROUNDING:
        return
    raise FirstlightError(
        "In parallel beam, TIGRE knows no tilt or roll of the axis, and no rotation of the detector.",
        field="source_distance",
        value=None,
        expected="a source at a distance, or an axis along the detector's columns",
        next_move="Take 'sirt_volume', 'cgls_volume', 'fista_tv_volume' or 'backproject_volume', which know them.",
    )


def _dot(one: F64, other: F64) -> F64:
    """Scalar products of rows, (n, 1)."""
    return np.einsum("ni,ni->n", one, other)[:, None]


def _one_or_each(values: F64) -> Any:
    """One number (or row of them) where all projections share it: older algorithms of TIGRE know no other."""
    if np.ptp(values, axis=0).max() > _ROUNDING:
        return np.ascontiguousarray(values)
    return float(values[0]) if values.ndim == 1 else values[0].copy()


def _euler(towards: F64) -> F64:
    """α, θ, 0 for which Rz(α) Ry(θ) turns x into unit vectors (n, 3)."""
    alpha, theta = np.arctan2(towards[:, 1], towards[:, 0]), -np.arcsin(np.clip(towards[:, 2], -1, 1))
    return np.stack([alpha, theta, np.zeros_like(alpha)], axis=1)


def _turned(towards: F64) -> F64:
    """Rz(α) Ry(θ), (n, 3, 3): columns towards the source, to the right of an upright detector, and down it."""
    alpha, theta, flat = _euler(towards).T
    right = np.stack([-np.sin(alpha), np.cos(alpha), flat], axis=1)
    lower = np.stack([np.cos(alpha) * np.sin(theta), np.sin(alpha) * np.sin(theta), np.cos(theta)], axis=1)
    return np.stack([np.cross(right, lower), right, lower], axis=-1)

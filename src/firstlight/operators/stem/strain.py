"""Strain from the places of diffraction disks."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.operator import Operator, operator

Length = Annotated[float, Field(ge=-1e5, le=1e5)]
Vector = tuple[Length, Length]


@operator(
    "disk place -> yy: , xx: , xy: , turn: ",
    sentence="Strain was measured by a fit of a lattice to the disks, against {first:vectors} and {second}.",
)
def strain(places: Array, *, first: Vector, second: Vector, center: tuple[float, float]) -> dict[str, Array]:
    """Measure the strain of the lattice at each scan point, from the disks that `find_disks` gives.

    Each disk takes the nearest indices of the unstrained lattice; the two vectors and the origin that fit best follow by
    least squares. Diffraction vectors shrink where the lattice expands: strain is that of the crystal.

    Args:
        places: shape (frame, disk, 2): row and column of each disk, NaN where there is none.
        first: One vector of the unstrained diffraction lattice: rows and columns, in pixel.
        second: The other one.
        center: Row and column of the undiffracted disk.

    Returns:
        Strain along rows (yy) and columns (xx), shear (xy), and rotation (turn, radian, from columns towards rows), float64
        of shape (frame,); NaN with fewer than three disks that span a lattice.
    """
    base = np.array([first, second], np.float64)
    found = np.full((4, len(places)), np.nan)
    for number, disks in enumerate(places):
        away = disks[np.isfinite(disks).all(axis=1)] - np.asarray(center)
        index = np.rint(away @ np.linalg.inv(base))
        table = np.column_stack([np.ones(len(index)), index])
        if len(index) < 3 or np.linalg.matrix_rank(table) < 3:
            continue
        lattice = np.linalg.lstsq(table, away, rcond=None)[0][1:]
        # rows of `base` go to rows of `lattice` by the transposed inverse of the crystal's deformation
        deformation = np.linalg.inv(np.linalg.solve(base, lattice)) - np.eye(2)
        found[:, number] = (
            deformation[0, 0],
            deformation[1, 1],
            (deformation[0, 1] + deformation[1, 0]) / 2,
            (deformation[0, 1] - deformation[1, 0]) / 2,
        )
    return dict(zip(("yy", "xx", "xy", "turn"), found, strict=True))


@strain.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return "float64"

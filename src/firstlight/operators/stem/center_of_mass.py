"""Centre of mass of diffraction patterns."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.one_pass import Sums, Wanted
from firstlight.core.operator import Operator, operator
from firstlight.core.units import Degree, Pixels
from firstlight.kernels.fields import in_scan
from firstlight.kernels.mask_products import Masks, frame_sums
from firstlight.kernels.masks import disk

Center = tuple[float, float] | None


@operator(
    "row col -> row_shift: , col_shift: ",
    cites=["10.1016/j.ultramic.2015.10.011"],
    sentence="The centre of mass of each diffraction pattern was taken.",
)
def center_of_mass(
    frames: Array,
    *,
    center: tuple[float, float] | None = None,
    radius: Annotated[Pixels, Field(gt=0)] | None = None,
    rotation: Annotated[Degree, Field(ge=-360, le=360)] = 0.0,
    flip: bool = False,
) -> tuple[Array, Array]:
    """Find how far the centre of mass of each pattern lies from the optical axis: the first moment, for field maps.

    Args:
        frames: shape (frame, row, col), integers or floats.
        center: Row and column of the optical axis in pixel from 0. Default: the middle of the frame.
        radius: Pixels further than this from `center` are left out. Default: none are.
        rotation: Angle by which the detector is turned against the scan; `dpc` finds it.
        flip: The detector's rows run against the scan's lines: the shift along rows changes its sign before it is turned.

    Returns:
        Shift along rows and along columns in pixel, float64 of shape (frame,) each, along scan_y and scan_x once `rotation`
        and `flip` are given; 0 where the pattern is empty.
    """
    size = (frames.shape[1], frames.shape[2])
    moments = frame_sums(frames, moments=prepared(size, center, radius)).moments
    row, col = shifts(moments, size, center)
    return in_scan(row, col, rotation, flip=flip)


def inside(size: tuple[int, int], center: Center, radius: float | None) -> Array:
    """Which pixels count, (row, col)."""
    return np.ones(size, bool) if radius is None else disk(size, middle_of(size, center), radius)


@lru_cache(maxsize=16)
def prepared(size: tuple[int, int], center: Center, radius: float | None) -> Masks:
    """Which pixels count, ready for many chunks."""
    return Masks(inside(size, center, radius)[None])


def middle_of(size: tuple[int, int], center: Center) -> tuple[float, float]:
    """The optical axis: as given, or the middle of the frame."""
    return ((size[0] - 1) / 2, (size[1] - 1) / 2) if center is None else center


def shifts(moments: Array | None, size: tuple[int, int], center: Center) -> tuple[Array, Array]:
    """Centres of mass in pixel from the optical axis; 0 where a pattern is empty.

    Args:
        moments: Sum, sum times row, sum times column of each frame, (frame, 3).
        size: Rows and columns of a frame.
        center: Row and column of the optical axis.
    """
    found = np.zeros((0, 3)) if moments is None else moments.astype(np.float64)
    mass = np.where(found[:, 0] > 0, found[:, 0], 1.0)
    row, col = (
        np.where(found[:, 0] > 0, found[:, n + 1] / mass - middle, 0.0)
        for n, middle in enumerate(middle_of(size, center))
    )
    return row, col


@center_of_mass.hook("wanted")
def _wanted(step: Operator, size: tuple[int, int]) -> Wanted:
    given = step.parameters()
    return Wanted(moments=inside(size, given["center"], given["radius"]))


@center_of_mass.hook("finish")
def _finish(step: Operator, sums: Sums, size: tuple[int, int]) -> tuple[Array, Array]:
    given = step.parameters()
    row, col = shifts(sums.moments, size, given["center"])
    return in_scan(row, col, given["rotation"], flip=given["flip"])


@center_of_mass.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return "float64"


@center_of_mass.hook("unit")
def _unit(step: Operator, scan: Scan) -> str:
    return "px"

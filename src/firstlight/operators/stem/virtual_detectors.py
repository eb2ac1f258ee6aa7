"""A stack of virtual detectors: rings, divided into sectors."""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.one_pass import Sums, Wanted
from firstlight.core.operator import Operator, operator
from firstlight.core.units import Degree
from firstlight.kernels.mask_products import sum_dtype
from firstlight.kernels.masks import sum_under_masks

from .polar import Center, Radius, polar


@operator("row col -> detector", sentence="Each pattern was summed under a segmented virtual detector ({edges:edges}).")
def virtual_detectors(
    frames: Array,
    *,
    edges: Annotated[tuple[Radius, ...], Field(min_length=2)],
    sectors: Annotated[int, Field(ge=1, le=360)] = 1,
    start: Annotated[Degree, Field(ge=-360, le=360)] = 0.0,
    center: tuple[float, float] | None = None,
) -> Array:
    """Sum each diffraction pattern under several detectors at once: rings, each divided into equal sectors.

    Args:
        frames: shape (frame, row, col), integers or floats.
        edges: Radii between the rings in pixel, rising; a ring has its inner edge, not its outer one.
        sectors: Parts of a ring, such as 4 for a segmented DPC detector.
        start: Where the first sector begins, in degree from the direction of columns towards that of rows.
        center: Row and column of the optical axis in pixel from 0. Default: the middle of the frame.

    Returns:
        Shape (frame, detector), sectors of the innermost ring first: 64-bit integers for integers, otherwise float64.

    Raises:
        FirstlightError: The edges do not rise.
    """
    return sum_under_masks(frames, _masks((frames.shape[1], frames.shape[2]), edges, sectors, start, center))


@lru_cache(maxsize=16)
def _masks(size: tuple[int, int], edges: tuple[float, ...], sectors: int, start: float, center: Center) -> Array:
    if any(after <= before for before, after in itertools.pairwise(edges)):
        raise FirstlightError(
            "The edges do not rise.", field="edges", value=edges, expected="each larger than the last"
        )
    radius, angle = polar(size, center)
    part = np.floor((angle - np.deg2rad(start)) % (2 * np.pi) * (sectors / (2 * np.pi))).astype(int) % sectors
    return np.stack(
        [
            (radius >= low) & (radius < high) & (part == sector)
            for low, high in itertools.pairwise(edges)
            for sector in range(sectors)
        ]
    )


@virtual_detectors.hook("wanted")
def _wanted(step: Operator, size: tuple[int, int]) -> Wanted:
    return Wanted(masks=_masks(size, *step.parameters().values()))


@virtual_detectors.hook("finish")
def _finish(step: Operator, sums: Sums, size: tuple[int, int]) -> Array:
    return np.zeros((0, 0)) if sums.masks is None else sums.masks


@virtual_detectors.hook("sizes")
def _sizes(step: Operator, known: dict[str, int | None]) -> dict[str, int | None]:
    given = step.parameters()
    return {"detector": (len(given["edges"]) - 1) * given["sectors"]}


@virtual_detectors.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return sum_dtype(given).name


@virtual_detectors.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

"""Rings and sectors about the optical axis, which several steps share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import Operator
from firstlight.core.units import Pixels

Center = tuple[float, float] | None
Radius = Annotated[Pixels, Field(ge=0, le=1e6)]
Sizes = Callable[[Operator, Mapping[str, int | None]], Mapping[str, int | None]]


def polar(size: tuple[int, int], center: Center) -> tuple[Array, Array]:
    """Distance from the optical axis in pixel, and angle in radian (-π…π, 0 along columns, rising along rows)."""
    middle = ((size[0] - 1) / 2, (size[1] - 1) / 2) if center is None else center
    rows, cols = np.arange(size[0])[:, None] - middle[0], np.arange(size[1])[None, :] - middle[1]
    return np.hypot(rows, cols), np.arctan2(rows, cols)


@lru_cache(maxsize=16)
def ring_numbers(size: tuple[int, int], center: Center, inner: float, outer: float, count: int) -> Array:
    """Which of `count` equally wide rings between two radii each pixel lies in; -1 outside. Inner edges belong to a ring.

    Raises:
        FirstlightError: The radii are no annulus.
    """
    if inner >= outer:
        raise FirstlightError(
            "The inner radius is not smaller than the outer one.",
            field="inner",
            value=inner,
            expected=f"less than {outer} pixel",
        )
    radius, _ = polar(size, center)
    number = np.floor((radius - inner) * (count / (outer - inner))).astype(np.int64)
    return np.where((radius >= inner) & (number < count), number, -1)


def reach(size: tuple[int, int], outer: float | None) -> float:
    """The outer radius: as given, or half of the smaller side."""
    return min(size) / 2 if outer is None else outer


def size_of(known: Mapping[str, int | None]) -> tuple[int, int] | None:
    """Rows and columns, if both are known."""
    rows, cols = known.get("row"), known.get("col")
    return None if rows is None or cols is None else (rows, cols)


def stacked(numbers: Array, count: int, dtype: Any = bool) -> Array:
    """A mask for each number, (count, row, col)."""
    return (numbers[None] == np.arange(count)[:, None, None]).astype(dtype)

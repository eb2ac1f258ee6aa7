"""Angles as files give them, made into degree."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError, UnitError
from firstlight.core.units import convert

from .files import attribute

AngleUnit = Literal["deg", "rad"]

_TURN = 2 * math.pi * 1.01
"""A full turn in radian, and a little."""


def degrees(
    found: Any, frames: int, *, unit: AngleUnit | None, field: str, trust: bool = False, needed: Array | None = None
) -> Array:
    """Read the angle of each frame, in degree.

    Args:
        found: The dataset.
        frames: How many angles there must be.
        unit: What the user says; None: what the file says, or degree.
        field: The parameter that the user could set, for the error.
        needed: True for the frames that are there; the angles of others need not be finite.
        trust: Believe a unit that the file states, even if the numbers look like radians.

    Returns:
        (frame,) float64.

    Raises:
        SourceError: Not one number per frame, an unknown unit, or numbers that look like radians but are not said to be.
    """
    values = np.asarray(found[()], dtype=np.float64).ravel()
    where = f"'{found.name}' in {found.file.filename}"
    if len(values) != frames:
        raise SourceError(
            f"There are {len(values)} angles in {where} for {frames} frames.",
            field=field,
            value=len(values),
            expected=f"{frames} angles, one per frame",
            next_move="Name the dataset that holds the angle of every frame.",
        )
    good = np.isfinite(values) if needed is None else np.isfinite(values) | ~needed
    if not good.all():
        raise SourceError(
            f"Some angles in {where} are not finite.",
            field=field,
            value=int(np.flatnonzero(~good)[0]),
            expected="finite numbers",
        )
    stated = attribute(found, "units")
    if unit is None and not (trust and stated):
        _refuse_radians(values, where, stated)
    return _convert(values, unit or stated or "deg", where)


def _convert(values: Array, unit: str, where: str) -> Array:
    try:
        return values * convert(1.0, unit, "deg") if unit not in ("deg", "degree", "degrees") else values
    except UnitError as error:
        raise SourceError(
            f"The angles in {where} have the unit '{unit}'.",
            field="angle_unit",
            value=unit,
            expected="deg or rad",
            next_move="Set angle_unit yourself.",
        ) from error


def _refuse_radians(values: Array, where: str, stated: str | None) -> None:
    finite = values[np.isfinite(values)]
    span = float(np.ptp(finite)) if len(finite) else 0.0
    if len(values) <= 30 or not 0.5 < span <= _TURN or (stated or "").startswith("rad"):
        return
    raise SourceError(
        f"The {len(values)} angles in {where} span only {span:.4g}, as if they were radians"
        + (f", although the file says '{stated}'." if stated else "."),
        field="angle_unit",
        value=None,
        expected="angles in degree",
        next_move="Set angle_unit to 'rad' if they are radians, or to 'deg' if the scan was really that short.",
    )


def per_id(values: Array, shape: tuple[int, ...], axis: int) -> Array:
    """One value along one arrival axis, repeated so that the flattened arrival indexes it."""
    spread = values.reshape([-1 if number == axis else 1 for number in range(len(shape))])
    return np.ascontiguousarray(np.broadcast_to(spread, shape)).ravel()

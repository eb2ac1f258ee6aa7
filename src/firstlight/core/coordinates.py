"""Coordinates of the axes of a result, with units, as the calibration of its scan gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .arrays import Array
from .chunk import Scan
from .units import Quantity

DETECTOR = frozenset({"row", "col"})
SPACE = frozenset({"row", "col", "x", "y", "z", "v", "u"})
"""Axes that the pixel at the sample measures, where it measures all of a result; ``v u`` are those of a probe."""
COUNTED = frozenset({"mode"})
"""Axes that only count, beside which others may be measured."""


@dataclass(frozen=True, slots=True)
class Coordinate:
    """Where the positions along an axis lie."""

    values: Array
    unit: str | None = None


def coordinates_of(scan: Scan, lengths: Mapping[str, int]) -> dict[str, Coordinate]:
    """Coordinates of those axes of a result that its scan can tell.

    Scan axes count from their first point in steps (``scan_y`` by ``step_y``); rows and columns of a detector behind a
    sample are angles from the middle of the frame; pixels at the sample count from the first one; coordinates that the
    scan itself carries, such as ``angle`` in degree, and swept parameters are those values.

    Args:
        scan: As it is behind the step: its main stream is the result.
        lengths: Of the axes of the result.
    """
    found: dict[str, Coordinate] = {}
    for axis, length in lengths.items():
        coordinate = _carried(scan, axis, length) or _measured(scan, axis, length, frozenset(lengths))
        if coordinate is not None:
            found[axis] = coordinate
    return found


def _carried(scan: Scan, axis: str, length: int) -> Coordinate | None:
    marks = scan.main.marks.get(axis)
    if marks is not None and len(marks) == length:
        return Coordinate(np.asarray(marks))
    known = scan.coords.get(axis)
    if known is None or known.shape != (length,):
        return None
    return Coordinate(np.array(known), "deg" if axis == "angle" else None)


def _measured(scan: Scan, axis: str, length: int, axes: frozenset[str]) -> Coordinate | None:
    steps, angles = np.arange(length), axis in DETECTOR and "detector_angle" in scan.calibration
    return _times(steps - (length - 1) / 2 if angles else steps, spacing(scan, axis, axes))


def spacing(scan: Scan, axis: str, axes: frozenset[str]) -> Quantity | None:
    """From one position along an axis to the next, where the calibration of the scan tells it.

    Args:
        scan: As it is behind the step: its main stream is the result.
        axis: The axis.
        axes: All axes of the result.
    """
    if axis.startswith("scan_"):
        return scan.calibration.get("step_" + axis.removeprefix("scan_"))
    if axis in DETECTOR and "detector_angle" in scan.calibration:
        return scan.calibration["detector_angle"]
    return scan.calibration.get("pixel") if axis in SPACE and axes - COUNTED <= SPACE else None


def _times(steps: Array, size: Quantity | None) -> Coordinate | None:
    return None if size is None else Coordinate(steps * size.value, size.unit)

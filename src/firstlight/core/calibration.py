"""What a user knows of a scan and its source does not tell: lengths, angles and energies, as a part of the job."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .errors import UnitError
from .units import Quantity, parse_quantity

UNITS: Mapping[str, str] = {
    "energy": "keV",
    "pixel": "um",
    "distance": "m",
    "source_distance": "m",
    "step_y": "nm",
    "step_x": "nm",
    "detector_angle": "mrad",
    "aperture": "mrad",
}
"""Quantities of a scan, with the unit of a bare number: ``pixel`` at the sample, steps from scan point to scan point,
``detector_angle`` of one pixel of the detector, ``aperture`` as half angle of a convergent beam."""


def parse_calibration(given: Any, problems: list[str]) -> dict[str, Quantity]:
    """Quantities by name, such as ``{step_x: 0.5 nm, detector_angle: 0.3 mrad}``.

    Args:
        given: The part of a job; None for nothing.
        problems: Where mistakes are added.
    """
    if given is not None and not isinstance(given, Mapping):
        problems.append(f"calibration = {given!r}. Expected a mapping, such as 'calibration: {{step_x: 0.5 nm}}'.")
        return {}
    found: dict[str, Quantity] = {}
    for name, value in (given or {}).items():  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        quantity = _quantity(str(name), value, problems)  # pyright: ignore[reportUnknownArgumentType]
        if quantity is not None:
            found[str(name)] = quantity  # pyright: ignore[reportUnknownArgumentType]
    return found


def _quantity(name: str, value: Any, problems: list[str]) -> Quantity | None:
    unit = UNITS.get(name)
    if unit is None:
        problems.append(f"calibration: there is no '{name}'. Expected one of: {', '.join(UNITS)}.")
        return None
    try:
        number = parse_quantity(value, unit) if isinstance(value, str) else float(value)
    except (UnitError, TypeError, ValueError) as error:
        problems.append(f"calibration: {name} = {value!r}: {error}")
        return None
    if isinstance(value, bool) or not (math.isfinite(number) and number > 0):
        problems.append(f"calibration: {name} = {value!r}. Expected more than zero, such as '0.5 {unit}'.")
        return None
    return Quantity(number, unit)

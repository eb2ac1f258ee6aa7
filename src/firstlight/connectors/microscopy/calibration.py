"""What a file of a microscope says of steps, angles and energy, in our units."""

from __future__ import annotations

from math import isfinite
from typing import Any

from firstlight.core.units import Quantity
from firstlight.kernels.electron_optics import wavelength

_LENGTHS = {"pm": 1e-3, "Å": 0.1, "\u212b": 0.1, "A": 0.1, "angstrom": 0.1, "nm": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3}
_LENGTHS |= {"mm": 1e6, "cm": 1e7, "m": 1e9}
"""Nanometres in a unit of length, as files spell it."""
_ANGLES = {"mrad": 1.0, "rad": 1e3, "urad": 1e-3, "µrad": 1e-3, "deg": 17.453292519943297}
"""Milliradians in a unit of angle."""
_FREQUENCIES = {
    "1/nm": 1.0,
    "nm^-1": 1.0,
    "nm-1": 1.0,
    "1/Å": 10.0,
    "1/A": 10.0,
    "A^-1": 10.0,
    "Å^-1": 10.0,
    "1/m": 1e-9,
}
"""Reciprocal nanometres in a unit of spatial frequency."""
DETECTOR_UNITS = frozenset({*_ANGLES, *_FREQUENCIES})
"""Units that only the axes of a detector behind a sample have."""


def calibration_of(signal: dict[str, Any]) -> dict[str, Quantity | None]:
    """Steps of the scan (nm), angle of a detector pixel (mrad) and energy (keV), as far as the file has them.

    A spatial frequency q becomes the angle λq. What makes no sense is passed over.
    """
    axes = [axis for axis in signal.get("axes", []) if isinstance(axis, dict)]
    found: dict[str, Quantity | None] = {}
    energy = _number(_deep(signal.get("metadata"), "Acquisition_instrument", "TEM", "beam_energy"))
    if energy is not None:
        found["energy"] = Quantity(energy, "keV")
    scanned = [axis for axis in axes if axis.get("navigate")][-2:]
    names = ("step_y", "step_x")[-len(scanned) :] if scanned else ()
    for name, axis in zip(names, scanned, strict=True):
        step = _scaled(axis, _LENGTHS)
        if step is not None:
            found[name] = Quantity(step, "nm")
    framed = [axis for axis in axes if not axis.get("navigate")]
    angles = [_angle(axis, energy) for axis in framed[-2:]]
    if angles and angles[0] is not None:
        found["detector_angle"] = Quantity(angles[0], "mrad")
    return found


def words_of(signal: dict[str, Any]) -> dict[str, str]:
    """Title and what else the file tells about the microscope, as words."""
    metadata = signal.get("metadata")
    found: dict[str, str] = {}
    title = _deep(metadata, "General", "title")
    if title:
        found["title"] = str(title)
    instrument = _deep(metadata, "Acquisition_instrument", "TEM")
    for name, value in instrument.items() if isinstance(instrument, dict) else ():
        if isinstance(value, str | int | float):
            found[str(name)] = str(value)
    return found


def _angle(axis: dict[str, Any], energy: float | None) -> float | None:
    """Angle of a pixel in mrad."""
    angle = _scaled(axis, _ANGLES)
    if angle is not None or energy is None:
        return angle
    frequency = _scaled(axis, _FREQUENCIES)
    return None if frequency is None else wavelength(energy) * 1e9 * frequency * 1e3


def _scaled(axis: dict[str, Any], units: dict[str, float]) -> float | None:
    unit, scale = str(axis.get("units") or "").strip().replace("$", ""), _number(axis.get("scale"))
    return scale * units[unit] if unit in units and scale is not None else None


def _number(value: Any) -> float | None:
    """A positive number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) and number > 0 else None


def _deep(values: Any, *names: str) -> Any:
    for name in names:
        values = values.get(name) if isinstance(values, dict) else None
    return values

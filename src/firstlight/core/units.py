"""Units in the type: numbers in the named unit, or strings such as ``"25 keV"``.

``KeV`` and its siblings annotate a ``float`` field. Python calls pass numbers in the named unit; YAML, CLI and REST may
pass a string with any unit of the same dimension. A table of some forty units serves here instead of a units library,
because it is imported by every command and needs no algebra of units.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from .errors import UnitError

_PREFIX = {"p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_BYTES = {
    "B": 1.0,
    "kB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "TB": 1e12,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
    "TiB": 2.0**40,
}


def _table() -> dict[str, tuple[str, float]]:
    """Symbol to (dimension, factor to the unit of that dimension: m, eV, s, rad, Hz, byte, px)."""
    table: dict[str, tuple[str, float]] = {}
    for prefix, factor in _PREFIX.items():
        for symbol, dimension in (
            ("m", "length"),
            ("eV", "energy"),
            ("s", "time"),
            ("rad", "angle"),
            ("Hz", "frequency"),
        ):
            table[prefix + symbol] = (dimension, factor)
    table |= {"cm": ("length", 1e-2), "Å": ("length", 1e-10), "angstrom": ("length", 1e-10), "micron": ("length", 1e-6)}
    table |= {"min": ("time", 60.0), "h": ("time", 3600.0), "J": ("energy", 1 / 1.602176634e-19)}
    table |= dict.fromkeys(("deg", "degree", "degrees", "°"), ("angle", math.pi / 180))
    table |= dict.fromkeys(("px", "pixel", "pixels"), ("pixels", 1.0))
    return table | {symbol: ("size", factor) for symbol, factor in _BYTES.items()}


_UNITS = _table()
_QUANTITY = re.compile(r"^\s*(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?P<unit>[^\s\d].*?)?\s*$")


def factor(unit: str) -> tuple[str, float]:
    """Dimension of a unit and its size in the reference unit of that dimension.

    Raises:
        UnitError: The unit is not known.
    """
    try:
        return _UNITS[unit]
    except KeyError:
        raise UnitError(
            "Unknown unit.", field="unit", value=unit, expected="one of " + " ".join(sorted(_UNITS))
        ) from None


def convert(value: float, unit: str, to: str) -> float:
    """A number given in `unit`, expressed in `to`.

    Raises:
        UnitError: A unit is unknown, or the two measure different things.
    """
    dimension, size = factor(unit)
    wanted, target = factor(to)
    if dimension != wanted:
        raise UnitError(
            f"{value:g} {unit} is a {dimension}, not a {wanted}.",
            field="unit",
            value=unit,
            expected=f"a unit of {wanted} such as {to}",
        )
    return value if unit == to else value * size / target


def parse_quantity(text: str, unit: str) -> float:
    """Read ``"0.65 um"`` (or a bare number, taken in `unit`) and express it in `unit`.

    Raises:
        UnitError: Not a number, an unknown unit, or one of the wrong dimension.
    """
    match = _QUANTITY.match(text)
    if match is None:
        raise UnitError(
            "Not a quantity.", field="value", value=text, expected=f"a number and a unit, such as '1 {unit}'"
        )
    number = float(match["number"])
    return convert(number, match["unit"], unit) if match["unit"] else number


@dataclass(frozen=True, slots=True)
class Unit:
    """Annotation of a float field: the unit in which plain numbers are read."""

    symbol: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept a number, or a string with a unit of the same dimension."""
        return core_schema.no_info_before_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Show the unit beside the field."""
        return {**handler(schema), "unit": self.symbol}

    def _read(self, value: Any) -> Any:
        return parse_quantity(value, self.symbol) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Quantity:
    """A measured number and its unit, as found in a file or a stream."""

    value: float
    unit: str

    def to(self, unit: str) -> float:
        """The number expressed in another unit of the same dimension."""
        return convert(self.value, self.unit, unit)


KeV = Annotated[float, Unit("keV")]
Kilometre = Annotated[float, Unit("km")]
Metre = Annotated[float, Unit("m")]
Millimetre = Annotated[float, Unit("mm")]
Micrometre = Annotated[float, Unit("um")]
Nanometre = Annotated[float, Unit("nm")]
Degree = Annotated[float, Unit("deg")]
Milliradian = Annotated[float, Unit("mrad")]
Second = Annotated[float, Unit("s")]
Millisecond = Annotated[float, Unit("ms")]
Hertz = Annotated[float, Unit("Hz")]
Pixels = Annotated[float, Unit("px")]
Bytes = Annotated[float, Unit("B")]

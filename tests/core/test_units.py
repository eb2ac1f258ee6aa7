"""Quantities: numbers in the named unit, strings in any unit of the same dimension."""

import math
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from firstlight.core.errors import UnitError
from firstlight.core.step import Configured
from firstlight.core.units import Bytes, Degree, KeV, Micrometre, Quantity, Second, convert, factor, parse_quantity


class Beam(Configured):
    """Some quantities."""

    use = "beam"  # type: ignore[misc]
    energy: KeV = 25.0
    """Photon energy."""
    pixel: Annotated[Micrometre, Field(gt=0, le=100)] | None = None
    """Pixel size."""
    time: Annotated[Second, Field(ge=0)] = 0.1
    """Exposure."""
    memory: Bytes = 1.0
    """Memory."""
    start: Degree = 0.0
    """Angle."""
    limits: tuple[Annotated[Micrometre, Field(gt=0)], float] = (1.0, 2.0)
    """Two numbers."""


@pytest.mark.parametrize(
    ("field", "given_", "wanted"),
    [
        ("energy", "25 keV", 25.0),
        ("energy", "25000eV", 25.0),
        ("energy", 25, 25.0),
        ("energy", "3.2e-15 J", 19.97),
        ("pixel", "0.65 um", 0.65),
        ("pixel", "0.65 µm", 0.65),
        ("pixel", "650 nm", 0.65),
        ("pixel", "6500 Å", 0.65),
        ("pixel", "0.65", 0.65),
        ("time", "2 min", 120.0),
        ("memory", "2 GiB", 2.0**31),
        ("memory", "2 GB", 2e9),
        ("start", "3.14159265 rad", 180.0),
        ("start", "-.5e1 °", -5.0),
    ],
)
def test_quantities_are_read(field: str, given_: object, wanted: float) -> None:
    assert getattr(Beam(**{field: given_}), field) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("energy", "25 um", ["25 um is a length, not a energy", "keV"]),
        ("pixel", "0.65 keV", ["length"]),
        ("pixel", "0.65 parsec", ["parsec", "Unknown unit"]),
        ("pixel", "wide", ["Not a quantity", "'1 um'"]),
        ("pixel", "0 um", ["greater than 0"]),
        ("pixel", "1 mm", ["less than or equal to 100"]),
    ],
)
def test_the_wrong_dimension_is_refused(field: str, text: str, words: list[str]) -> None:
    with pytest.raises((UnitError, ValidationError)) as caught:
        Beam(**{field: text})
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_schema_has_unit_and_limits() -> None:
    fields = Beam.model_json_schema()["properties"]
    assert fields["energy"]["unit"] == "keV"
    assert fields["time"]["minimum"] == 0
    pixel = fields["pixel"]["anyOf"][0]
    assert (pixel["unit"], pixel["exclusiveMinimum"], pixel["maximum"]) == ("um", 0, 100)
    assert fields["limits"]["prefixItems"][0]["exclusiveMinimum"] == 0


@given(st.floats(-1e6, 1e6, allow_nan=False), st.sampled_from(["m", "um", "nm", "cm", "Å", "km"]))
def test_there_and_back(value: float, unit: str) -> None:
    assert convert(convert(value, "um", unit), unit, "um") == pytest.approx(value)
    assert parse_quantity(f"{value!r} um", "um") == value
    assert Quantity(value, "um").to("um") == value


def test_a_turn() -> None:
    assert factor("deg") == ("angle", math.pi / 180)
    assert convert(1, "rad", "mrad") == pytest.approx(1000)

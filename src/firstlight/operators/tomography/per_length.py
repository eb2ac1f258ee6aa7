"""Attenuation per length: what makes a reconstruction quantitative."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator
from firstlight.core.units import Micrometre

Pixel = Annotated[
    Annotated[Micrometre, Field(gt=0)] | None,
    Field(
        description="Pixel size at the sample. Default: that of the scan, where it is known.",
    ),
]

MICROMETRE_IN_CM = 1e-4


def per_length(pixel: float | None) -> float:
    """What attenuation per pixel is multiplied by to be per cm; 1 where the pixel size (um) is not known."""
    return 1.0 if pixel is None else 1.0 / (pixel * MICROMETRE_IN_CM)


def with_pixel(step: Operator, scan: Scan) -> Operator:
    """The step with the pixel size of the scan, where the user gave none."""
    found = scan.pixel("um")
    if step.parameters()["pixel"] is not None or found is None:
        return step
    return step.model_copy(update={"pixel": found})


def unit_of(step: Operator, scan: Scan) -> str:
    """Attenuation per length."""
    known = step.parameters()["pixel"] is not None or scan.pixel("um") is not None
    return "1/cm" if known else "1/px"

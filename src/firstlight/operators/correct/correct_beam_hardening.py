"""Beam hardening, undone by a polynomial."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.polynomial import polynomial

Coefficients = Annotated[tuple[float, ...], Field(min_length=1, max_length=8)]


@operator(
    "->",
    cites=["10.1088/0031-9155/24/1/008"],
    sentence="Beam hardening was corrected by a polynomial of the attenuation ({coefficients:coefficients}).",
)
def correct_beam_hardening(values: Array, *, coefficients: Coefficients) -> Array:
    """Turn the attenuation of a polychromatic beam into that of one energy: a1 p + a2 p^2 + a3 p^3 ... (Herman 1979).

    For samples of one material. A hard spectrum attenuates less the thicker the sample; the polynomial, fitted to a wedge
    or to steps of known thickness, makes attenuation proportional to thickness again.

    Args:
        values: any shape: attenuation, after the logarithm.
        coefficients: a1, a2, ...: there is no constant, since nothing attenuates nothing.

    Returns:
        float32 of the same shape and unit. NaN stays NaN.
    """
    return polynomial(values, (0.0, *coefficients))


@correct_beam_hardening.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


@correct_beam_hardening.device("cuda")
def _on_cuda(values: Any, *, coefficients: Coefficients) -> Any:
    from firstlight.kernels.cuda.frames import polynomial as on_device

    return on_device(values, (0.0, *coefficients))

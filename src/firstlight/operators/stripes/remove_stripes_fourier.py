"""Stripes in the Fourier transform of the sinogram."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.operator import operator
from firstlight.kernels import stripe_filters

from .sinogram import each_sinogram, keep_unit, work_on_cuda


@operator(
    "angle col -> angle col",
    cites=["10.1063/1.1149043"],
    sentence="Stripes were removed in the Fourier transform of the sinogram ({cutoff:cut-off}, {order:order}).",
)
def remove_stripes_fourier(
    sinograms: Array,
    *,
    cutoff: Annotated[float, Field(gt=0, le=1e5)] = 20.0,
    order: Annotated[int, Field(ge=1, le=32)] = 8,
    rows: Annotated[int, Field(ge=0, le=100)] = 1,
) -> Array:
    """Remove high frequencies across the columns from the lowest ones along the angles (Raven 1998).

    Args:
        sinograms: shape (row, angle, col).
        cutoff: Frequency across the columns, in periods over all of them, from which on stripes are removed.
        order: Of Butterworth's window at the cut-off; larger is steeper.
        rows: Frequencies along the angles, on each side of 0, that belong to stripes.

    Returns:
        float32 of the same shape and unit; NaN stays NaN.
    """
    return each_sinogram(sinograms, lambda sinogram, _: stripe_filters.remove_by_fourier(sinogram, cutoff, order, rows))


keep_unit(remove_stripes_fourier, 6)


def _on_cuda(sinograms: Any, *, cutoff: float, order: int, rows: int) -> Any:
    from firstlight.kernels.cuda.stripe_filters import remove_by_fourier

    return remove_by_fourier(sinograms, cutoff, order, rows)


work_on_cuda(remove_stripes_fourier, 3, _on_cuda)

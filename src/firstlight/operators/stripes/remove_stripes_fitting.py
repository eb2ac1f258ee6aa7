"""Stripes as the difference between the polynomials of neighbouring columns."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.operator import operator
from firstlight.kernels import stripe_filters

from .sinogram import VO, each_sinogram, keep_unit, work_on_cuda


@operator(
    "angle col -> angle col",
    cites=[VO],
    sentence="Stripes were removed by fitting polynomials of {order:order} along the angles, smoothed over {sigma} columns.",
)
def remove_stripes_fitting(
    sinograms: Array,
    *,
    order: Annotated[int, Field(ge=0, le=10)] = 2,
    sigma: Annotated[float, Field(gt=0, le=1000)] = 3.0,
) -> Array:
    """Even out the response of the columns by polynomials along the angles (Vo et al. 2018, algorithm 1).

    For transmission, where a response is a factor, and low-pass stripes that change slowly with the angle.

    Args:
        sinograms: shape (row, angle, col).
        order: Of the polynomials.
        sigma: Standard deviation of the Gaussian average across the columns, in columns; smaller removes less of the
            sample.

    Returns:
        float32 of the same shape and unit; NaN stays NaN.
    """
    return each_sinogram(sinograms, lambda sinogram, _: stripe_filters.remove_by_fitting(sinogram, order, sigma))


keep_unit(remove_stripes_fitting, 6)


def _on_cuda(sinograms: Any, *, order: int, sigma: float) -> Any:
    from firstlight.kernels.cuda.stripe_filters import remove_by_fitting

    return remove_by_fitting(sinograms, order, sigma)


work_on_cuda(remove_stripes_fitting, 2, _on_cuda)

"""Stripes in the slow part of each column."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.operator import operator
from firstlight.kernels import stripes

from .sinogram import VO, Columns, each_sinogram, keep_unit, work_on_cuda


@operator(
    "angle col -> angle col",
    cites=[VO],
    sentence="Stripes were removed from the low frequencies along the angles (below {sigma}) by a median over {size} columns.",
)
def remove_stripes_filtering(
    sinograms: Array, *, sigma: Annotated[float, Field(gt=0, le=1000)] = 3.0, size: Columns = 21
) -> Array:
    """Remove stripes from what changes slowly with the angle alone (Vo et al. 2018, algorithm 2).

    Fine features of the sample, which pass a column fast, are left as they are; so are stripes that come and go.

    Args:
        sinograms: shape (row, angle, col).
        sigma: Standard deviation of the Gaussian low-pass, in periods over all angles.
        size: Columns of the median across the sorted columns, odd.

    Returns:
        float32 of the same shape and unit; NaN stays NaN.
    """
    return each_sinogram(sinograms, lambda sinogram, _: stripes.remove_by_filtering(sinogram, sigma, size))


keep_unit(remove_stripes_filtering, 7)


def _on_cuda(sinograms: Any, *, sigma: float, size: int) -> Any:
    from firstlight.kernels.cuda.stripes import remove_by_filtering

    return remove_by_filtering(sinograms, sigma, size)


work_on_cuda(remove_stripes_filtering, 12, _on_cuda)

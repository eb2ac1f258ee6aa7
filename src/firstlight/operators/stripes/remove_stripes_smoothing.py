"""Stripes as the difference between the mean profile and its average."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.operator import operator
from firstlight.kernels import stripe_filters

from .sinogram import Blocks, each_sinogram, keep_unit, work_on_cuda


@operator(
    "angle col -> angle col",
    cites=["10.1364/OE.14.012071"],
    sentence="Stripes were removed by smoothing the mean profile (Gaussian of {sigma} columns).",
)
def remove_stripes_smoothing(
    sinograms: Array, *, sigma: Annotated[float, Field(gt=0, le=1000)] = 15.0, blocks: Blocks = 1
) -> Array:
    """Add to each column what its mean over the angles lacks to the average of its neighbours (Boin and Haibel 2006).

    The fastest method, for faint full stripes on attenuation (after the logarithm). It takes rings of the sample around
    the axis for stripes.

    Args:
        sinograms: shape (row, angle, col).
        sigma: Standard deviation of the Gaussian average, in columns; smaller removes less of the sample.
        blocks: Parts of the angles, each with numbers of its own, for stripes that change during the scan.

    Returns:
        float32 of the same shape and unit; NaN stays NaN.
    """
    return each_sinogram(
        sinograms, lambda sinogram, out: stripe_filters.remove_by_smoothing(sinogram, sigma, blocks, out)
    )


keep_unit(remove_stripes_smoothing, 1)


def _on_cuda(sinograms: Any, *, sigma: float, blocks: int) -> Any:
    from firstlight.kernels.cuda.stripe_filters import remove_by_smoothing

    return remove_by_smoothing(sinograms, sigma, blocks)


work_on_cuda(remove_stripes_smoothing, 2, _on_cuda)

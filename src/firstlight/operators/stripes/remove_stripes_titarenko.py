"""Stripes as the least correction that makes the mean profile smooth."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.operator import operator
from firstlight.kernels import stripe_filters

from .sinogram import Blocks, each_sinogram, keep_unit, work_on_cuda


@operator(
    "angle col -> angle col",
    cites=["10.1016/j.aml.2010.08.022"],
    sentence="Stripes were removed by a regularised smoothing of the mean profile ({alpha:alpha}).",
)
def remove_stripes_titarenko(
    sinograms: Array,
    *,
    alpha: Annotated[float, Field(gt=0, le=1e6)] = 0.01,
    blocks: Blocks = 1,
    order: Literal[1, 2] = 1,
) -> Array:
    """Add to each column the number that makes the profile over all angles smooth (Titarenko et al. 2010).

    The numbers q minimise |D (p + q)|^2 + alpha |q|^2, with the profile p and its differences D. For attenuation (after
    the logarithm), where a wrong response adds the same number at every angle.

    Args:
        sinograms: shape (row, angle, col).
        alpha: Weight of small corrections; smaller removes more, and more of the sample: it reaches about 1/sqrt(alpha) columns.
        blocks: Parts of the angles, each with numbers of its own, for stripes that change during the scan.
        order: Of the differences: 1 favours a flat profile, 2 a straight one.

    Returns:
        float32 of the same shape and unit; NaN stays NaN.
    """
    return each_sinogram(
        sinograms, lambda sinogram, out: stripe_filters.remove_by_smoothness(sinogram, alpha, blocks, order, out)
    )


keep_unit(remove_stripes_titarenko, 1)


def _on_cuda(sinograms: Any, *, alpha: float, blocks: int, order: int) -> Any:
    from firstlight.kernels.cuda.stripe_filters import remove_by_smoothness

    return remove_by_smoothness(sinograms, alpha, blocks, order)


work_on_cuda(remove_stripes_titarenko, 2, _on_cuda)

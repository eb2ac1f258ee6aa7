"""Large stripes: columns of another response."""

from __future__ import annotations

from typing import Any

from firstlight.core.arrays import Array
from firstlight.core.operator import operator
from firstlight.kernels import stripes

from .sinogram import VO, Columns, Ratio, Share, each_sinogram, keep_unit, work_on_cuda


@operator(
    "angle col -> angle col",
    cites=[VO],
    sentence="Large stripes ({ratio} times beyond the noise) were replaced by a median over {size} sorted columns.",
)
def remove_large_stripes(
    sinograms: Array, *, size: Columns = 51, ratio: Ratio = 3.0, drop: Share = 0.1, normalize: bool = True
) -> Array:
    """Find columns whose response is another than their neighbours', and mend them (Vo et al. 2018, algorithm 5).

    Made for transmission, where a response is a factor; after the logarithm set `normalize` to false.

    Args:
        sinograms: shape (row, angle, col).
        size: Columns of the median, odd; about twice the width of the widest stripe.
        ratio: How many times beyond the noise a stripe must be; larger finds less.
        drop: Share of the smallest and largest values of each column that does not count.
        normalize: Divide every column by its response, also where no stripe was found.

    Returns:
        float32 of the same shape and unit; NaN stays NaN.
    """
    return each_sinogram(sinograms, lambda sinogram, _: stripes.remove_large(sinogram, size, ratio, drop, normalize))


keep_unit(remove_large_stripes, 6)


def _on_cuda(sinograms: Any, *, size: int, ratio: float, drop: float, normalize: bool) -> Any:
    from firstlight.kernels.cuda.stripes import remove_large

    return remove_large(sinograms, size, ratio, drop, normalize)


work_on_cuda(remove_large_stripes, 10, _on_cuda)

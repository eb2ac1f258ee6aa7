"""Small and partial stripes, by sorting."""

from __future__ import annotations

from typing import Any

from firstlight.core.arrays import Array
from firstlight.core.operator import operator
from firstlight.kernels import stripes

from .sinogram import VO, Columns, each_sinogram, keep_unit, work_on_cuda


@operator(
    "angle col -> angle col",
    cites=[VO],
    sentence="Small stripes were removed by a median filter over {size} sorted columns.",
)
def remove_small_stripes(sinograms: Array, *, size: Columns = 21) -> Array:
    """Remove small and partial stripes: a median across the columns, each sorted by value (Vo et al. 2018, algorithm 3).

    Works on transmission and on attenuation. Stripes wider than half of `size` stay; features of the sample that stand
    still in the sinogram for most of the turn (near the axis) get weaker, the more the larger `size` is.

    Args:
        sinograms: shape (row, angle, col).
        size: Columns of the median, odd; about a hundredth of all, and at least 5.

    Returns:
        float32 of the same shape and unit; NaN stays NaN.
    """
    return each_sinogram(sinograms, lambda sinogram, _: stripes.remove_by_sorting(sinogram, size))


keep_unit(remove_small_stripes, 6)


def _on_cuda(sinograms: Any, *, size: int) -> Any:
    from firstlight.kernels.cuda.stripes import remove_by_sorting

    return remove_by_sorting(sinograms, size)


work_on_cuda(remove_small_stripes, 10, _on_cuda)

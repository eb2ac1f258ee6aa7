"""Stripes of another response, interpolated across."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstlight.core.arrays import Array
from firstlight.core.operator import operator
from firstlight.kernels import stripes

from .sinogram import VO, Columns, Ratio, Share, each_sinogram, keep_unit, work_on_cuda


@operator(
    "angle col -> angle col",
    cites=[VO],
    sentence="Stripes ({ratio} times beyond the noise) were found and replaced by interpolation.",
)
def remove_stripes_interpolation(
    sinograms: Array, *, size: Columns = 51, ratio: Ratio = 3.0, drop: Share = 0.1, normalize: bool = True
) -> Array:
    """Find columns of another response and interpolate across them (Vo et al. 2018, algorithms 4 to 6 combined).

    Args:
        sinograms: shape (row, angle, col): transmission.
        size: Columns of the median that responses are compared with, odd.
        ratio: How many times beyond the noise a stripe must be; larger finds less.
        drop: Share of the smallest and largest values of each column that does not count.
        normalize: Divide every column by its response, also where no stripe was found.

    Returns:
        float32 of the same shape and unit; NaN stays NaN.
    """

    def method(sinogram: NDArray[np.float32], _: NDArray[np.float32]) -> NDArray[np.float32]:
        return stripes.remove_by_interpolation(sinogram, size, ratio, drop, normalize)

    return each_sinogram(sinograms, method)


keep_unit(remove_stripes_interpolation, 5)


def _on_cuda(sinograms: Any, *, size: int, ratio: float, drop: float, normalize: bool) -> Any:
    from firstlight.kernels.cuda.stripes import remove_by_interpolation

    return remove_by_interpolation(sinograms, size, ratio, drop, normalize)


work_on_cuda(remove_stripes_interpolation, 9, _on_cuda)

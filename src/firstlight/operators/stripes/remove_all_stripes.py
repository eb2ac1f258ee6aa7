"""All kinds of stripes, one after the other."""

from __future__ import annotations

from typing import Any

from firstlight.core.arrays import Array
from firstlight.core.operator import operator

from .remove_dead_stripes import remove_dead_stripes
from .remove_large_stripes import remove_large_stripes
from .remove_small_stripes import remove_small_stripes
from .sinogram import VO, Columns, Ratio, Share, keep_on_device, keep_unit


@operator(
    "angle col -> angle col",
    cites=[VO],
    sentence="Unresponsive, large and small stripes were removed (median over {large} and {small} columns, {ratio:ratio}).",
)
def remove_all_stripes(
    sinograms: Array, *, small: Columns = 21, large: Columns = 51, ratio: Ratio = 3.0, drop: Share = 0.1
) -> Array:
    """Remove dead, large and small stripes, in this order (Vo et al. 2018, algorithms 6, 5, 4 and 3).

    Made for transmission (before the logarithm).

    Args:
        sinograms: shape (row, angle, col).
        small: Columns of the median for small stripes, odd.
        large: Columns of the median for large and dead stripes, odd.
        ratio: How many times beyond the noise a stripe must be; larger finds less.
        drop: Share of the smallest and largest values of each column that does not count when large stripes are found.

    Returns:
        float32 of the same shape and unit; single NaN stay NaN.
    """
    alive = remove_dead_stripes(sinograms, size=large, ratio=ratio, residual=False)
    return remove_small_stripes(remove_large_stripes(alive, size=large, ratio=ratio, drop=drop), size=small)


keep_unit(remove_all_stripes, 7, whole=2)


@remove_all_stripes.device("cuda")
def _on_cuda(sinograms: Any, *, small: int, large: int, ratio: float, drop: float) -> Any:
    bodies = [each.step.bodies["cuda"] for each in (remove_dead_stripes, remove_large_stripes, remove_small_stripes)]
    alive = bodies[0](sinograms, size=large, ratio=ratio, smooth=10, residual=False)
    return bodies[2](bodies[1](alive, size=large, ratio=ratio, drop=drop, normalize=True), size=small)


keep_on_device(remove_all_stripes, 10, whole=2)

"""Stripes of pixels that do not respond, or fluctuate."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.operator import operator
from firstlight.kernels import stripes
from firstlight.kernels.columns import fill_gaps

from .sinogram import VO, Columns, Ratio, by_rows_on_cuda, keep_on_device, keep_unit

Angles = Annotated[int, Field(ge=2, le=1000)]


@operator(
    "angle col -> angle col",
    cites=[VO],
    sentence="Columns of unresponsive or fluctuating pixels were found and replaced by interpolation.",
)
def remove_dead_stripes(
    sinograms: Array, *, size: Columns = 51, ratio: Ratio = 3.0, smooth: Angles = 10, residual: bool = True
) -> Array:
    """Find columns that do not follow the sample or jump, and interpolate across them (Vo et al. 2018, algorithm 6).

    Made for transmission (before the logarithm). Columns without any finite value are dead without being searched for; a
    `ratio` of 1000 without `residual` mends those alone. Where a third of all columns would be dead, nothing is done: then
    the search went wrong.

    Args:
        sinograms: shape (row, angle, col).
        size: Columns of the median that a column's fluctuation is compared with, odd.
        ratio: How many times beyond the noise a stripe must be; larger finds less.
        smooth: Angles of the running mean against which fluctuation is measured.
        residual: Look for large stripes afterwards (as `remove_large_stripes` does, with the same `size` and `ratio`).

    Returns:
        float32 of the same shape and unit; single NaN stay NaN.
    """
    out = np.empty(sinograms.shape, np.float32)
    for place, sinogram in enumerate(sinograms):
        filled, gaps = fill_gaps(np.ascontiguousarray(sinogram, np.float32))
        lost = np.zeros(filled.shape[1], np.bool_) if gaps is None else np.all(gaps, axis=0)
        mended = stripes.remove_dead(filled, size, ratio, smooth, lost)
        out[place] = stripes.remove_large(mended, size, ratio, 0.1) if residual else mended
        if gaps is not None and not lost.all():
            out[place][gaps & ~lost] = np.nan
    return out


keep_unit(remove_dead_stripes, 7)


_PLANES = 10
"""Memory on a device for each sinogram, in sinograms."""


@remove_dead_stripes.device("cuda")
def _on_cuda(sinograms: Any, **given: Any) -> Any:
    return by_rows_on_cuda(sinograms, lambda rows: _mended_on_cuda(rows, **given), _PLANES)


keep_on_device(remove_dead_stripes, _PLANES)


def _mended_on_cuda(sinograms: Any, *, size: int, ratio: float, smooth: int, residual: bool) -> Any:
    from firstlight.kernels.cuda import stripes as on_device
    from firstlight.kernels.cuda.arrays import to_host
    from firstlight.kernels.cuda.columns import fill_gaps, restore_gaps

    filled, alive = fill_gaps(sinograms)
    out = on_device.remove_dead(filled, size, ratio, smooth, to_host(alive) == 0)
    if residual:
        out = on_device.remove_large(out, size, ratio, 0.1)
    restore_gaps(sinograms, out, alive)
    return out

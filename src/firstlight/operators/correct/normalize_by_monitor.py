"""A beam that changes, by what a monitor counted."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import Coordinate, Operator, operator
from firstlight.kernels.elementwise import fuse
from firstlight.kernels.levels import SCALE_AND_SHIFT


@operator("row col -> row col", sentence="Each frame was divided by its monitor value over {reference}.")
def normalize_by_monitor(
    frames: Array,
    *,
    reference: Annotated[float, Field(gt=0)],
    offset: Annotated[float, Field(ge=-1e12, le=1e12)] = 0.0,
    monitor: Coordinate = None,
) -> Array:
    """Divide each frame by the beam's intensity in it, as a monitor (ion chamber, ring current) measured it.

    Args:
        frames: shape (frame, row, col).
        reference: Monitor value at which a frame stays as it is, such as that of the flat images.
        offset: What the monitor shows without beam.
        monitor: shape (frame,): one value for each frame, the scan's coordinate `monitor`.

    Returns:
        float32 of the same shape; NaN where the monitor saw no beam, since nothing is known of such a frame.

    Raises:
        FirstlightError: the scan has no monitor values, or `reference` is not above `offset`.
    """
    return fuse([SCALE_AND_SHIFT])(frames, [], [_factors(monitor, reference, offset), 0.0])


normalize_by_monitor.pixelwise(SCALE_AND_SHIFT)


@normalize_by_monitor.hook("numbers")
def _numbers(step: Operator, shape: tuple[int, int], look: Any, *, monitor: Array) -> list[Any]:
    chosen = step.parameters()
    return [_factors(monitor, chosen["reference"], chosen["offset"]), 0.0]


@normalize_by_monitor.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


def _factors(monitor: Array | None, reference: float, offset: float) -> Array:
    if monitor is None:
        raise FirstlightError(
            "'normalize_by_monitor' needs the monitor value of each frame.",
            field="monitor",
            expected="the coordinate 'monitor'",
            next_move="Tell the source where the values are, or pass monitor=... when you call the function.",
        )
    if not reference > offset:
        raise FirstlightError(
            "The reference is no beam.", field="reference", value=reference, expected=f"more than the offset, {offset}"
        )
    values = np.asarray(monitor, np.float64).reshape(-1) - offset
    factors = np.divide(reference - offset, values, out=np.full(values.shape, np.nan), where=values > 0)
    return factors.astype(np.float32)


@normalize_by_monitor.device("cuda")
def _on_cuda(frames: Any, *, reference: float, offset: float = 0.0, monitor: Array | None = None) -> Any:
    from firstlight.kernels.cuda.frames import scale_frames

    factors = _factors(monitor, reference, offset)
    return scale_frames(frames, factors, np.zeros_like(factors))

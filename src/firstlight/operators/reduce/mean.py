"""Mean of all frames."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan

from .sum import Summing, Total


class Mean(Summing):
    """Average all frames: how dark and flat images are made.

    Integers are summed in 64 bit, other values in double precision, so that order and split do not show.
    """

    use: ClassVar[str] = "mean"

    def unit(self, scan: Scan) -> str | None:
        """That of the frames."""
        return scan.main.unit

    def ready(self, state: Total) -> bool:
        """True once a frame has come."""
        return state.frames > 0

    def result(self, state: Total) -> dict[str, Array]:
        """The mean, float32 of shape (row, col); NaN before the first frame."""
        if state.frames == 0:
            return {"data": np.full(state.sum.shape, np.nan, np.float32)}
        return {"data": (state.sum / state.frames).astype(np.float32)}

"""Sum of the logarithms of all frames."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from firstlight.core.arrays import Array, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.one_pass import Wanted

from .sum import FRAME, SUMMED, Summing, Total


class LogSum(Summing):
    """Add up the logarithms of all frames, so that weak spots show beside strong ones: ln(frame - its minimum + 1)."""

    use: ClassVar[str] = "log_sum"

    def dtype(self, given: str) -> str:
        """Double precision."""
        return "float64"

    def empty(self, scan: Scan) -> Total:
        """The state before the first frame."""
        return Total(np.zeros((scan.main.size("row"), scan.main.size("col"))))

    def wanted(self, size: tuple[int, int]) -> Wanted | None:
        """Nothing that others need too."""
        return None

    def digest(self, chunk: Chunk) -> Chunk:
        """The sum of the logarithms of one chunk."""
        if chunk.axes == SUMMED:
            return chunk
        frames, _ = bring_last(chunk.data, chunk.axes, FRAME)
        values = frames.astype(np.float64)
        values -= values.min(axis=(1, 2), keepdims=True, initial=np.inf)
        return self._summed(chunk, np.log1p(values).sum(axis=0), len(frames) // max(len(chunk), 1))

    def result(self, state: Total) -> dict[str, Array]:
        """The sum, shape (row, col)."""
        return {"data": state.sum.copy()}

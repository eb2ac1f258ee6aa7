"""Sum of all frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.core.one_pass import Sums, Wanted
from firstlight.kernels.mask_products import frame_sums, sum_dtype

FRAME = ("row", "col")
SUMMED = ("part", "row_sum", "col_sum")
"""Axes of a chunk whose frames are summed: one image, which stands for each of them."""


@dataclass(slots=True)
class Total:
    """The sum so far; integers in 64 bit, anything else in double precision."""

    sum: Array
    frames: int = 0


class Summing(Fold[Total]):
    """What `sum` and `mean` share: a running total."""

    signature: ClassVar[Any] = "[*] row col -> row col"

    def empty(self, scan: Scan) -> Total:
        """The state before the first frame."""
        stream = scan.main
        return Total(np.zeros((stream.size("row"), stream.size("col")), sum_dtype(stream.dtype)))

    def digest(self, chunk: Chunk) -> Chunk:
        """The sum of the frames of one chunk."""
        if chunk.axes == SUMMED:
            return chunk
        frames, _ = bring_last(chunk.data, chunk.axes, FRAME)
        return self._summed(chunk, frame_sums(frames, image=True).image, len(frames) // max(len(chunk), 1))

    def wanted(self, size: tuple[int, int]) -> Wanted | None:
        """The sum image."""
        return Wanted(image=True)

    def digest_sums(self, chunk: Chunk, sums: Sums) -> Chunk:
        """The sum of the frames of one chunk, which is known."""
        return self._summed(chunk, sums.image, 1)

    def _summed(self, chunk: Chunk, image: Any, repeats: int) -> Chunk:
        # one image in memory, that stands for all frames of the chunk
        return chunk.with_data(np.broadcast_to(image, (len(chunk), repeats, *image.shape)), SUMMED)

    def add(self, state: Total, chunk: Chunk, *held: Held) -> None:
        """Add the sum of one chunk."""
        summed = self.digest(chunk).data
        if len(summed):
            state.sum += summed[0, 0]
        state.frames += summed.shape[0] * summed.shape[1]

    def merge(self, state: Total, other: Total) -> Total:
        """Combine the totals of disjoint frames."""
        return Total(state.sum + other.sum, state.frames + other.frames)

    def save(self, state: Total) -> dict[str, Any]:
        """The state as arrays and plain values."""
        return {"sum": state.sum.copy(), "frames": state.frames}

    def load(self, saved: dict[str, Any], scan: Scan) -> Total:
        """The state that `save` wrote."""
        return Total(np.array(saved["sum"]), int(saved["frames"]))


class Sum(Summing):
    """Add all frames up.

    Integers are summed in 64 bit, so that no detector overflows it; other values in double precision.
    """

    use: ClassVar[str] = "sum"

    def dtype(self, given: str) -> str:
        """64-bit, of the kind that comes in."""
        return sum_dtype(given).name

    def unit(self, scan: Scan) -> str | None:
        """That of the frames."""
        return scan.main.unit

    def result(self, state: Total) -> dict[str, Array]:
        """The sum, shape (row, col)."""
        return {"data": state.sum.copy()}

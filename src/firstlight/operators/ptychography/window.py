"""The part of the frames that is used: given, or found from the first of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk
from firstlight.core.errors import StepFailed
from firstlight.kernels.ptycho.middle import pattern_middle

FRAMES = 64
"""Frames whose mean tells where the middle is; until they have come, whole frames wait."""


@dataclass(slots=True)
class Window:
    """Cuts frames to a size around the middle of the pattern."""

    size: tuple[int, int]
    """Rows and columns that are used."""
    middle: tuple[int, int] | None
    """Row and column of a frame that become those of half the size; None until it is found."""
    _waiting: list[Chunk] = field(default_factory=list[Chunk])

    def take(self, chunk: Chunk) -> list[Chunk]:
        """What can be used now: nothing, this chunk, or all that has waited.

        Raises:
            StepFailed: The window does not fit into the frames.
        """
        if self.middle is not None:
            return [self._cut(chunk)]
        self._waiting.append(chunk)
        return self.flush() if sum(len(one) for one in self._waiting) >= FRAMES else []

    def flush(self) -> list[Chunk]:
        """All that has waited, however few."""
        if self.middle is None and self._waiting:
            self.middle = self._found()
        waiting, self._waiting = self._waiting, []
        return [self._cut(chunk) for chunk in waiting]

    def _found(self) -> tuple[int, int]:
        rows, cols = self._waiting[0].data.shape[-2:]
        total = np.zeros((rows, cols), np.float64)
        # by id, so that the middle does not show which frame came first
        frames = {
            int(number): frame for chunk in self._waiting for number, frame in zip(chunk.ids, chunk.data, strict=True)
        }
        for number in sorted(frames)[:FRAMES]:
            total += _counts(frames[number])
        found = pattern_middle(total) or (rows // 2, cols // 2)
        # as near as the window can be to it without leaving the frame
        half = [n // 2 for n in self.size]
        return tuple(  # type: ignore[return-value]
            int(np.clip(at, low, full - (n - low)))
            for at, low, n, full in zip(found, half, self.size, (rows, cols), strict=True)
        )

    def _cut(self, chunk: Chunk) -> Chunk:
        if self.middle is None:  # pragma: no cover - both callers have set it
            raise RuntimeError("no middle")
        starts = [at - n // 2 for at, n in zip(self.middle, self.size, strict=True)]
        shape = chunk.data.shape[-2:]
        if any(a < 0 or a + n > full for a, n, full in zip(starts, self.size, shape, strict=True)):
            raise StepFailed(
                "The window leaves the frame.",
                field="crop_middle",
                value=str(self.middle),
                expected=f"a middle with {self.size[0]} × {self.size[1]} pixels around it, in frames of {shape[0]} × {shape[1]}",
                next_move="Give another crop_middle, or a smaller crop.",
            )
        cut = (..., slice(starts[0], starts[0] + self.size[0]), slice(starts[1], starts[1] + self.size[1]))
        return replace(chunk, data=chunk.data[cut])


def _counts(frame: Array) -> Array:
    """Counts of a frame as it is kept; zero where a pixel is dead."""
    if frame.dtype.kind == "u":
        dead = np.iinfo(frame.dtype).max if frame.dtype.itemsize > 1 else -1
        return np.where(frame == dead, 0, frame).astype(np.float64)
    return np.nan_to_num(frame).astype(np.float64) ** 2

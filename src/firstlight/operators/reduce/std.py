"""Standard deviation of all frames, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.kernels.averages import frame_moments

from .sum import FRAME


@dataclass(slots=True)
class Moments:
    """Mean and sum of squared distances from it, pixel by pixel."""

    mean: Array
    squares: Array
    frames: int = 0

    def join(self, mean: Array, squares: Array, frames: int) -> None:
        """Add other frames (Chan, Golub and LeVeque 1983): no large numbers are subtracted from each other."""
        if frames == 0:
            return
        total = self.frames + frames
        away = mean - self.mean
        self.squares += squares + away**2 * (self.frames * frames / total)
        self.mean += away * (frames / total)
        self.frames = total


class Std(Fold[Moments]):
    """Measure mean, standard deviation and variance of each pixel over all frames.

    The variance is that of these frames (divided by their number).
    """

    use: ClassVar[str] = "std"
    signature: ClassVar[Any] = "[*] row col -> std: row col, mean: row col, variance: row col"
    cites: ClassVar[tuple[str, ...]] = ("10.1080/00031305.1983.10483115",)

    def dtype(self, given: str) -> str:
        """Double precision."""
        return "float64"

    def empty(self, scan: Scan) -> Moments:
        """The state before the first frame."""
        size = (scan.main.size("row"), scan.main.size("col"))
        return Moments(np.zeros(size), np.zeros(size))

    def add(self, state: Moments, chunk: Chunk, *held: Held) -> None:
        """Take the frames of one chunk."""
        frames, _ = bring_last(chunk.data, chunk.axes, FRAME)
        state.join(*frame_moments(frames), len(frames))

    def ready(self, state: Moments) -> bool:
        """True once a frame has come."""
        return state.frames > 0

    def result(self, state: Moments) -> dict[str, Array]:
        """Three images (row, col), float64."""
        variance = state.squares / max(state.frames, 1)
        return {"std": np.sqrt(variance), "mean": state.mean.copy(), "variance": variance}

    def merge(self, state: Moments, other: Moments) -> Moments:
        """The moments of both."""
        both = Moments(state.mean.copy(), state.squares.copy(), state.frames)
        both.join(other.mean, other.squares, other.frames)
        return both

    def save(self, state: Moments) -> dict[str, Any]:
        """The state as arrays and plain values."""
        return {"mean": state.mean.copy(), "squares": state.squares.copy(), "frames": state.frames}

    def load(self, saved: dict[str, Any], scan: Scan) -> Moments:
        """The state that `save` wrote."""
        return Moments(np.array(saved["mean"]), np.array(saved["squares"]), int(saved["frames"]))

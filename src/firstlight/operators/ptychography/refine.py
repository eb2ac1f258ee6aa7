"""Positions that are better than those the scan gave, a round at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from firstlight.core.arrays import Array
from firstlight.kernels.ptycho.frames import Estimate, Frames
from firstlight.kernels.ptycho.positions import Affine, annealed, gradient_steps

from .engines import Round

Method = Literal["no", "gradient", "annealing", "affine"]

_STEP = 0.5
"""Longest step of a round by gradient, in pixels: further the first order says nothing."""
_TRIALS = 4
_LEAST = 0.3
"""Radius in pixels within which annealing tries at the end."""


@dataclass(frozen=True, slots=True)
class Refinement:
    """How positions are refined."""

    method: Method
    limit: float
    """Pixels by which a window may move from where it was said to be."""

    def moves(self, moves: Array, estimate: Estimate, given: Round, progress: float, asked: Array) -> Array:
        """The moves after a round.

        Args:
            moves: How far each window has moved so far, shape (position, 2), in pixels.
            estimate: Object and probe.
            given: The frames, with their windows where they are now.
            progress: Part of the rounds that are over: annealing ends at a half.
            asked: Where windows were said to be, shape (position, 2), in pixels.
        """
        steps = self._steps(estimate, given, progress)
        steps -= steps.mean(axis=0)  # object and probe may move together: nothing else holds them
        found = moves + steps
        if self.method == "affine":
            return Affine.between(asked, asked + found).of(asked) - asked
        length = np.linalg.norm(found, axis=1, keepdims=True)
        found *= np.minimum(1.0, self.limit / np.maximum(length, 1e-12))
        return found

    def _steps(self, estimate: Estimate, given: Round, progress: float) -> Array:
        frames: Frames = given.frames
        if self.method == "annealing" and progress < 0.5:
            radius = max(_LEAST, self.limit * (1 - 2 * progress))
            return annealed(
                estimate,
                frames,
                given.propagator,
                given.spread,
                radius=radius,
                trials=_TRIALS,
                random=given.random,
                workers=given.workers,
            )
        steps = gradient_steps(estimate, frames, given.propagator, given.spread, workers=given.workers)
        length = np.linalg.norm(steps, axis=1, keepdims=True)
        return steps * np.minimum(1.0, _STEP / np.maximum(length, 1e-12))

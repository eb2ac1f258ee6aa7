"""Maximum likelihood over all positions at once, by preconditioned conjugate gradients.

Thibault and Guizar-Sicairos, New Journal of Physics 14, 063004 (2012). Costs are those of `noise`: of amplitudes, ``Σ(|Ψ| − A)²``, or of
counts. How far to go along a direction is found from the slopes at several lengths: where an object begins empty, the cost far from here has
nothing to do with its curvature here, and a step by Newton's law would hardly move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .changes import Change, Sums, each_batch, moved_probes, passed
from .frames import Estimate, Frames, Spread, shares
from .noise import Noise, cost, slopes, weigh
from .propagate import Propagator

Array = Any

_LADDER = np.array([0.0, 1 / 16, 1 / 4, 1 / 2, 1.0, 2.0, 4.0])
"""Lengths at which the slope is known, as parts of the last step's."""


@dataclass(slots=True)
class Gradient:
    """Derivatives with respect to the conjugate object and probe: the direction of steepest ascent is twice these."""

    image: Array
    probe: Array

    def dot(self, other: Gradient) -> float:
        """Real scalar product."""
        pairs = ((self.image, other.image), (self.probe, other.probe))
        return float(sum((a.real * b.real + a.imag * b.imag).sum(dtype="float64") for a, b in pairs))


@dataclass(slots=True)
class Memory:
    """What conjugate gradients remember of the round before."""

    gradient: Gradient | None = None
    direction: Gradient | None = None
    norm: float = 0.0
    length: float = 1.0
    """Of the last step. Before the first it is that with which amplitudes go all the way to what was measured."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Parameters of a round over all positions."""

    noise: Noise = "poisson"
    """`gaussian` or `poisson`, see above."""
    damping: float = 0.05
    """Part of the strongest light that is added to it in the preconditioner."""

    def sweep(
        self,
        estimate: Estimate,
        frames: Frames,
        memory: Memory,
        propagator: Propagator,
        spread: Spread,
        *,
        workers: int = 1,
        share: int = 16,
        update_probe: bool = True,
    ) -> float:
        """One round; `estimate` and `memory` are changed.

        Returns:
            ``Σ(|Ψ| − A)²`` over valid pixels of all positions, Ψ from object and probe as they were before the round.
        """
        sums = Sums.of(estimate)

        def find(part: Array) -> Change:
            return derivative(self.noise, estimate, frames, part, propagator)

        def add(found: list[Change]) -> None:
            sums.gather(estimate, frames, found, spread, workers, probe=update_probe)

        every = np.arange(len(frames))
        error = each_batch(every, share * workers, workers, spread, find, add)
        direction = self._direction(sums, memory)
        lengths = memory.length * _LADDER

        def look(part: Array) -> Array:
            return _slopes(self, estimate, direction, frames, part, propagator, lengths)

        curves = spread(look, shares(every, max(workers, -(-len(frames) // share))))
        length = lowest(lengths, np.sum(list(curves), axis=0))
        if length > 0:
            memory.length = length
        estimate.image += length * direction.image
        estimate.probe += length * direction.probe
        return error

    def _direction(self, sums: Sums, memory: Memory) -> Gradient:
        """Polak and Ribière's direction, in units where the illumination is even."""
        gradient, tiny = Gradient(sums.image, sums.probe), np.finfo(sums.light.dtype).tiny
        # of each layer; all of a probe that is held is zero
        floor = self.damping * sums.light.max(axis=(-2, -1), keepdims=True)
        scaled = Gradient(
            gradient.image / (sums.light + floor),
            gradient.probe / (sums.seen + self.damping * sums.seen.max()).clip(tiny),
        )
        norm = gradient.dot(scaled)
        direction = Gradient(-scaled.image, -scaled.probe)
        if memory.direction is not None and memory.gradient is not None and memory.norm > 0:
            keep = max(0.0, (norm - scaled.dot(memory.gradient)) / memory.norm)
            joined = Gradient(
                direction.image + keep * memory.direction.image, direction.probe + keep * memory.direction.probe
            )
            if joined.dot(gradient) < 0:  # still a way down
                direction = joined
        memory.gradient, memory.direction, memory.norm = gradient, direction, norm
        return direction


def derivative(noise: Noise, estimate: Estimate, frames: Frames, part: Array, propagator: Propagator) -> Change:
    """Of a few positions: derivatives by the conjugate of the exit waves and of what leaves each layer, and ``Σ(|Ψ| − A)²``."""
    passage = passed(estimate, frames, part)
    seen = propagator.forward(passage.waves)
    error = weigh(noise, seen, frames.amplitudes[part], frames.valid, frames.background)
    asked = propagator.backward(seen)
    waves = estimate.sample.back(estimate.image, asked, frames.corners[part], scaled=False)
    return Change(part, passage, asked, waves, error)


def gradient_and_cost(
    noise: Noise, estimate: Estimate, frames: Frames, propagator: Propagator, spread: Spread = map
) -> tuple[Gradient, float]:
    """What a round descends along, before it is scaled, and the cost that it brings down, of all positions."""
    sums, every = Sums.of(estimate), np.arange(len(frames))
    change = derivative(noise, estimate, frames, every, propagator)
    sums.gather(estimate, frames, [change], spread, 1, probe=True)
    seen = propagator.forward(passed(estimate, frames, every).waves)
    return Gradient(sums.image, sums.probe), cost(
        noise, seen, frames.amplitudes[every], frames.valid, frames.background
    )


def _slopes(
    engine: Likelihood,
    estimate: Estimate,
    direction: Gradient,
    frames: Frames,
    part: Array,
    propagator: Propagator,
    lengths: Array,
) -> Array:
    """Derivatives of the cost of a few positions along a direction, see `noise.slopes`."""
    passage, to_light = passed(estimate, frames, part), moved_probes(direction.probe, frames, part)
    along = estimate.sample.along(estimate.image, direction.image, passage, to_light, frames.corners[part])
    here, along = propagator.forward(passage.waves), propagator.forward(along)
    return slopes(engine.noise, here, along, frames.amplitudes[part], frames.valid, lengths, frames.background)


def lowest(lengths: Array, found: Array) -> float:
    """Where a cost is lowest along a direction, from its derivatives: the first place where its slope is zero.

    Args:
        lengths: Rising, from zero, shape (length,).
        found: Slope and bend at each of them, shape (length, 2). Between two of them the slope is taken for a polynomial of third
            degree (Hermite).

    Returns:
        A length: 0 where the cost rises from the beginning, the last one where it falls to the end.
    """
    up = np.flatnonzero(~(found[:, 0] < 0))
    if not len(up):
        return float(lengths[-1])
    if up[0] == 0:
        return 0.0
    (low, steep), (high, rise) = found[up[0] - 1 : up[0] + 1]
    start, span = float(lengths[up[0] - 1]), float(lengths[up[0]] - lengths[up[0] - 1])
    left, right = 0.0, 1.0
    for _ in range(30):
        t = (left + right) / 2
        slope = (1 - t) ** 2 * ((1 + 2 * t) * low + t * span * steep) + t * t * (
            (3 - 2 * t) * high + (t - 1) * span * rise
        )
        left, right = (t, right) if slope < 0 else (left, t)
    return start + span * (left + right) / 2

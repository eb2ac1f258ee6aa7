"""Maximum likelihood over all positions at once, by preconditioned conjugate gradients.

Thibault and Guizar-Sicairos, New Journal of Physics 14, 063004 (2012). Costs are those of `noise`: of amplitudes, ``Σ(|Ψ| − A)²``, or of
counts. How far to go along a direction is found from the slopes at several lengths: where an object begins empty, the cost far from here has
nothing to do with its curvature here, and a step by Newton's law would hardly move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .frames import Estimate, Frames, Spread, shares
from .noise import Noise, cost, slopes, weigh
from .propagate import Propagator
from .subpixel import collect_probe, lamps
from .sums import add_to_object
from .waves import empty_like, exit_waves

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
        parts = shares(np.arange(len(frames)), max(workers, -(-len(frames) // share)))
        found = list(spread(lambda part: _derivative(self, estimate, frames, part, propagator), parts))
        gradient, light, seen = _gathered(estimate, frames, parts, found)
        if not update_probe:
            gradient.probe[...] = 0
        direction = self._direction(gradient, light, seen, memory)
        lengths = memory.length * _LADDER
        curves = spread(lambda part: _slopes(self, estimate, direction, frames, part, propagator, lengths), parts)
        length = lowest(lengths, np.sum(list(curves), axis=0))
        if length > 0:
            memory.length = length
        estimate.image += length * direction.image
        estimate.probe += length * direction.probe
        return sum(error for _, error in found)

    def _direction(self, gradient: Gradient, light: Array, seen: Array, memory: Memory) -> Gradient:
        """Polak and Ribière's direction, in units where the illumination is even."""
        scaled = Gradient(
            gradient.image / (light + self.damping * light.max()), gradient.probe / (seen + self.damping * seen.max())
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


def derivative(
    noise: Noise, estimate: Estimate, frames: Frames, part: Array, propagator: Propagator
) -> tuple[Array, float, float]:
    """Of a few positions: derivative by the conjugate exit waves, ``Σ(|Ψ| − A)²``, and the cost."""
    waves = propagator.forward(_waves(estimate, frames, part))
    amplitudes = frames.amplitudes[part]
    value = cost(noise, waves, amplitudes, frames.valid)
    error = weigh(noise, waves, amplitudes, frames.valid)
    return propagator.backward(waves), error, value


def _derivative(
    engine: Likelihood, estimate: Estimate, frames: Frames, part: Array, propagator: Propagator
) -> tuple[Array, float]:
    waves = propagator.forward(_waves(estimate, frames, part))
    error = weigh(engine.noise, waves, frames.amplitudes[part], frames.valid)
    return propagator.backward(waves), error


def _waves(estimate: Estimate, frames: Frames, part: Array) -> Array:
    shape = (len(part), *estimate.probe.shape)
    light = lamps(estimate.probe, frames, part)
    return exit_waves(estimate.image, light, frames.corners[part], empty_like(estimate.probe, shape))


def _gathered(
    estimate: Estimate, frames: Frames, parts: list[Array], found: list[tuple[Array, float]]
) -> tuple[Gradient, Array, Array]:
    image, probe = estimate.image, estimate.probe
    gradient, light, seen = Gradient(0 * image, 0 * probe), 0 * image.real, 0 * probe[0].real
    for part, (change, _) in zip(parts, found, strict=True):
        add_to_object(gradient.image, light, lamps(probe, frames, part), change, frames.corners[part])
        collect_probe(gradient.probe, seen, image, change, frames, part)
    return gradient, light, seen


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
    here = propagator.forward(_waves(estimate, frames, part))
    along = _waves(Estimate(direction.image, estimate.probe), frames, part)
    along += _waves(Estimate(estimate.image, direction.probe), frames, part)
    along = propagator.forward(along)
    return slopes(engine.noise, here, along, frames.amplitudes[part], frames.valid, lengths)


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

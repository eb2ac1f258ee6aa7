"""Maximum likelihood over all positions at once, by preconditioned conjugate gradients.

Thibault and Guizar-Sicairos, New Journal of Physics 14, 063004 (2012). Costs, with ``|Ψ|² = Σ_m|Ψ_m|²``: Gaussian noise of
amplitudes ``Σ(|Ψ| − A)²``, Poisson noise of counts ``Σ |Ψ|² − A² ln|Ψ|²``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .frames import Estimate, Frames, Spread, shares
from .noise import Noise, cost, curvature, weigh
from .propagate import Propagator
from .subpixel import collect_probe, lamps
from .sums import add_to_object
from .waves import empty_like, exit_waves

Array = Any


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
        curves = spread(lambda part: _curve(self, estimate, direction, frames, part, propagator), parts)
        slope, bend, bound = (float(value) for value in np.sum(list(curves), axis=0))
        if slope >= 0:
            # not a way down: forget the past and take the gradient alone in the next round
            memory.direction = memory.gradient = None
        else:
            length = -slope / (bend if bend > 0 else bound)
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
            direction.image += keep * memory.direction.image
            direction.probe += keep * memory.direction.probe
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


def _curve(
    engine: Likelihood,
    estimate: Estimate,
    direction: Gradient,
    frames: Frames,
    part: Array,
    propagator: Propagator,
) -> tuple[float, float, float]:
    """Slope, bend and bound along a direction, see `curvature`."""
    here = propagator.forward(_waves(estimate, frames, part))
    along = _waves(Estimate(direction.image, estimate.probe), frames, part)
    along += _waves(Estimate(estimate.image, direction.probe), frames, part)
    along = propagator.forward(along)
    return curvature(engine.noise, here, along, frames.amplitudes[part], frames.valid)

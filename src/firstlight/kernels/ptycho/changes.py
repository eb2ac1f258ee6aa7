"""What the measured amplitudes ask of exit waves, a few positions at a time: the part that engines have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .frames import Estimate, Frames, Spread, shares
from .noise import Noise
from .propagate import Propagator
from .samples import Passage, layers_of
from .subpixel import collect_probe, lamps
from .sums import Band, add_to_object, bands, largest_in_windows
from .waves import likelihood_step, on_cpu

Array = Any


@dataclass(frozen=True, slots=True)
class Change:
    """What the measured amplitudes of a few positions ask for."""

    part: Array
    """The positions."""
    passage: Passage
    """Their light; its exit waves may be overwritten."""
    asked: Array
    """Change of the exit waves, shape (position, mode, v, u)."""
    waves: list[Array]
    """What it means for what leaves each layer, likewise."""
    error: float
    """``Σ(|Ψ| − A)²`` over valid pixels."""


def passed(estimate: Estimate, frames: Frames, part: Array, out: Array | None = None) -> Passage:
    """Light of some positions on its way through the sample; its exit waves are written to `out`, if there is one."""
    return estimate.sample.through(estimate.image, lamps(estimate.probe, frames, part), frames.corners[part], out)


def detector_waves(estimate: Estimate, frames: Frames, part: Array, propagator: Propagator) -> Array:
    """What object and probe give on the detector, shape (position, mode, v, u)."""
    return propagator.forward(passed(estimate, frames, part).waves)


def changes(
    estimate: Estimate, frames: Frames, part: Array, propagator: Propagator, noise: Noise = "gaussian"
) -> Change:
    """What brings the detector waves of some positions to what was measured.

    Args:
        estimate: Object and probe.
        frames: The frames.
        part: Positions.
        propagator: To the detector.
        noise: `gaussian` asks for the measured amplitudes; `poisson` for Newton's step of counts, see `likelihood_step`.
    """
    passage = passed(estimate, frames, part)
    seen = propagator.forward(passage.waves)
    errors = likelihood_step(seen, frames.amplitudes[part], frames.valid, noise, frames.background)
    asked = propagator.backward(seen)
    waves = estimate.sample.back(estimate.image, asked, frames.corners[part], scaled=True)
    return Change(part, passage, asked, waves, float(errors.sum()))


def each_batch(
    order: Array,
    batch: int,
    workers: int,
    spread: Spread,
    find: Callable[[Array], Change],
    step: Callable[[list[Change]], None],
) -> float:
    """Go through positions a batch at a time, each batch shared by threads.

    Args:
        order: Positions.
        batch: How many see the same object and probe.
        workers: How many threads.
        spread: Calls functions on them.
        find: What some positions ask for.
        step: What is done with what a batch asks for.

    Returns:
        ``Σ(|Ψ| − A)²`` of all positions, each as it was before its own step.
    """
    error = 0.0
    for start in range(0, len(order), batch):
        found = list(spread(find, shares(order[start : start + batch], workers)))
        error += sum(change.error for change in found)
        step(found)
    return error


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over positions of what is asked of object and probe, and of the light on the one and the object seen by the other."""

    image: Array
    """Shape of the object, complex: Σ P* δψ."""
    light: Array
    """Likewise, float: Σ |P|²."""
    probe: Array
    """Shape (mode, v, u), complex: Σ O* δψ."""
    seen: Array
    """Shape (v, u), float: Σ |O|²."""

    @classmethod
    def of(cls, estimate: Estimate) -> Sums:
        """All zero."""
        image, probe = estimate.image, estimate.probe
        return cls(0 * image, 0 * image.real, 0 * probe, 0 * probe[0].real)

    def gather(
        self, estimate: Estimate, frames: Frames, found: list[Change], spread: Spread, workers: int, *, probe: bool
    ) -> list[float]:
        """Add what some positions ask for; threads share the rows.

        Args:
            estimate: Object and probe.
            frames: The frames.
            found: What they ask for.
            spread: Calls functions on threads.
            workers: How many.
            probe: False where the probe is held: nothing is added to its sums.

        Returns:
            The strongest light in the windows, by layer.
        """
        first = range(len(layers_of(estimate.image)))[estimate.sample.first]
        corners, size = self.corners(frames, found), (self.probe.shape[-2], self.probe.shape[-1])
        layers = list(zip(layers_of(estimate.image), layers_of(self.image), layers_of(self.light), strict=True))

        def add(pair: tuple[Band | None, Band | None]) -> list[float]:
            for number, (layer, above, below) in enumerate(layers):
                for change in found:
                    own, lights = change.waves[number], change.passage.lights[number]
                    add_to_object(above, below, lights, own, frames.corners[change.part], pair[0])
                    if probe and number in first:
                        collect_probe(self.probe, self.seen, layer, own, frames, change.part, pair[1])
            return [largest_in_windows(below, corners, size, pair[0]) for _, _, below in layers]

        by_band = list(spread(add, shared_rows(estimate, workers)))
        return [max(values) for values in zip(*by_band, strict=True)]

    def corners(self, frames: Frames, found: list[Change]) -> Array:
        """Of the windows of these changes."""
        parts = [change.part for change in found]
        return frames.corners[parts[0] if len(parts) == 1 else np.concatenate(parts)]


def shared_rows(estimate: Estimate, workers: int) -> list[tuple[Band | None, Band | None]]:
    """Rows of the object and of the probe for each thread; on a device one does all."""
    if not on_cpu(estimate.image):
        return [(None, None)]
    rows = estimate.image.shape[-2], estimate.probe.shape[-2]
    return list(zip(bands(rows[0], workers), bands(rows[1], workers), strict=False))


def moved_probes(direction: Array, frames: Frames, part: Array) -> Array:
    """By how much the probes of some positions change when the probe does, see `lamps`."""
    return lamps(direction, replace(frames, shapes=None, weights=None), part)

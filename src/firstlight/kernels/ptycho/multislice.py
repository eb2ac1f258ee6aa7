"""Thick objects: slices with free space between them (multislice), by an engine of the PIE kind.

Maiden, Humphry and Rodenburg, J. Opt. Soc. Am. A 29, 1606 (2012). The probe lights the first slice; what leaves a slice,
propagated over the gap (Fresnel), lights the next; what leaves the last one goes to the detector. The change that the
detector asks for goes back the same way: at each slice it is shared between the slice and its light, as ePIE shares it
between object and probe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .frames import Estimate, Frames, Spread, shares
from .propagate import NearField, Propagator
from .subpixel import collect_probe, lamps
from .sums import add_to_object, step_in_windows
from .waves import empty_like, exit_waves, replace_modulus

Array = Any


@dataclass(frozen=True, slots=True)
class Multislice:
    """Parameters of a pass over all positions; the estimate's image has the shape (slice, y, x), first slice first."""

    gap: NearField
    """From one slice to the next, over a window."""
    object_step: float = 0.9
    probe_step: float = 0.9
    regularization: float = 1.0
    """γ: 1 is ePIE, less steps further where the light is faint."""
    batch: int = 8
    """Positions whose steps are taken together."""

    def sweep(
        self,
        estimate: Estimate,
        frames: Frames,
        order: Array,
        propagator: Propagator,
        spread: Spread,
        *,
        workers: int = 1,
        update_probe: bool = True,
    ) -> float:
        """Visit every position once, in the given order; `estimate` is changed.

        Returns:
            ``Σ(|Ψ| − A)²`` over valid pixels of all positions, each as it was before its own step.
        """
        error = 0.0
        for start in range(0, len(order), self.batch):
            parts = shares(order[start : start + self.batch], workers)
            found = list(spread(lambda part: self._changes(estimate, frames, part, propagator), parts))
            error += sum(change.error for change in found)
            self._step(estimate, frames, parts, found, update_probe)
        return error

    def exit_waves(self, image: Array, light: Array, corners: Array) -> tuple[Array, list[Array]]:
        """What leaves the last slice, and what lights each one.

        Args:
            image: Shape (slice, y, x).
            light: Of the first slice, shape (1 or position, mode, v, u).
            corners: Shape (position, 2).
        """
        lights, shape = [light], (len(corners), *light.shape[1:])
        for layer in image[:-1]:
            lights.append(self.gap.forward(exit_waves(layer, lights[-1], corners, empty_like(light, shape))))
        return exit_waves(image[-1], lights[-1], corners, empty_like(light, shape)), lights

    def _changes(self, estimate: Estimate, frames: Frames, part: Array, propagator: Propagator) -> _Change:
        corners = frames.corners[part]
        waves, lights = self.exit_waves(estimate.image, lamps(estimate.probe, frames, part), corners)
        seen = propagator.forward(waves.copy())
        error = float(replace_modulus(seen, frames.amplitudes[part], frames.valid).sum())
        change = propagator.backward(seen)
        change -= waves
        changes = [change]
        for layer in estimate.image[:0:-1]:
            # the share of the light: O* Δψ / max|O|², back over the gap
            back = exit_waves(layer, change.conj(), corners, empty_like(change, change.shape)).conj()
            change = self.gap.backward(back / (abs(layer) ** 2).max())
            changes.append(change)
        return _Change(lights, changes[::-1], error)

    def _step(
        self, estimate: Estimate, frames: Frames, parts: list[Array], found: list[_Change], update_probe: bool
    ) -> None:
        size = (estimate.probe.shape[-2], estimate.probe.shape[-1])
        to_probe, seen = 0 * estimate.probe, 0 * estimate.probe[0].real
        if update_probe:
            for part, change in zip(parts, found, strict=True):
                collect_probe(to_probe, seen, estimate.image[0], change.waves[0], frames, part)
        for number, layer in enumerate(estimate.image):
            numerator, denominator = 0 * layer, 0 * layer.real
            for part, change in zip(parts, found, strict=True):
                add_to_object(numerator, denominator, change.lights[number], change.waves[number], frames.corners[part])
            step_in_windows(
                layer,
                numerator,
                denominator,
                np.concatenate([frames.corners[part] for part in parts]),
                size=size,
                step=self.object_step,
                regularization=self.regularization,
            )
        if update_probe:
            weight = (1 - self.regularization) * seen + self.regularization * seen.max()
            estimate.probe += self.probe_step * to_probe / weight.clip(np.finfo(weight.dtype).tiny)


@dataclass(frozen=True, slots=True)
class _Change:
    """Of a few positions: what lights each slice, how what leaves it shall change, and the error."""

    lights: list[Array]
    waves: list[Array]
    error: float

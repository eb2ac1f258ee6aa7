"""Objects that changed while a frame was taken: incoherent modes of the object, by an engine of the PIE kind.

Thibault and Menzel, Nature 494, 68 (2013). Every state of the object is lit by the same probe, and the intensities of all of
them (and of all modes of the probe) add up in the frame. Patterns do not change if the states are mixed by a unitary matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .frames import Estimate, Frames, Spread, shares
from .propagate import Propagator
from .subpixel import collect_probe, lamps
from .sums import add_to_object, step_in_windows
from .waves import empty_like, exit_waves, namespace, replace_modulus

Array = Any


@dataclass(frozen=True, slots=True)
class ObjectModes:
    """Parameters of a pass over all positions; the estimate's image has the shape (object mode, y, x)."""

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
            found = list(spread(lambda part: _changes(estimate, frames, part, propagator), parts))
            error += sum(misfit for _, _, misfit in found)
            self._step(estimate, frames, parts, [change[:2] for change in found], update_probe)
        return error

    def _step(
        self,
        estimate: Estimate,
        frames: Frames,
        parts: list[Array],
        found: list[tuple[Array, Array]],
        update_probe: bool,
    ) -> None:
        image, probe, modes = estimate.image, estimate.probe, len(estimate.probe)
        to_probe, seen = 0 * probe, 0 * probe[0].real
        corners = np.concatenate([frames.corners[part] for part in parts])
        for number, layer in enumerate(image):
            numerator, denominator = 0 * layer, 0 * layer.real
            for part, (light, change) in zip(parts, found, strict=True):
                own = namespace(change).ascontiguousarray(change[:, number * modes : (number + 1) * modes])
                if update_probe:  # of this layer as it was: it steps below, once all of its changes are known
                    collect_probe(to_probe, seen, layer, own, frames, part)
                add_to_object(numerator, denominator, light, own, frames.corners[part])
            step_in_windows(
                layer,
                numerator,
                denominator,
                corners,
                size=(probe.shape[-2], probe.shape[-1]),
                step=self.object_step,
                regularization=self.regularization,
            )
        if update_probe:
            weight = (1 - self.regularization) * seen + self.regularization * seen.max()
            probe += self.probe_step * to_probe / weight.clip(np.finfo(weight.dtype).tiny)


def state_waves(image: Array, light: Array, corners: Array) -> Array:
    """Exit waves of every state of the object, shape (position, object mode · mode, v, u), those of the first state first.

    Args:
        image: Shape (object mode, y, x).
        light: Shape (1 or position, mode, v, u).
        corners: Shape (position, 2).
    """
    shape = (len(corners), *light.shape[1:])
    parts = [exit_waves(layer, light, corners, empty_like(light, shape)) for layer in image]
    return namespace(light).concatenate(parts, axis=1)


def _changes(estimate: Estimate, frames: Frames, part: Array, propagator: Propagator) -> tuple[Array, Array, float]:
    light = lamps(estimate.probe, frames, part)
    waves = state_waves(estimate.image, light, frames.corners[part])
    seen = propagator.forward(waves.copy())
    error = float(replace_modulus(seen, frames.amplitudes[part], frames.valid).sum())
    change = propagator.backward(seen)
    change -= waves
    return light, change, error

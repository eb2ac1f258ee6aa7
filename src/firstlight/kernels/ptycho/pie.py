"""The ptychographic iterative engine: ePIE and regularised PIE, in batches.

Maiden and Rodenburg, Ultramicroscopy 109, 1256 (2009); Maiden, Johnson and Li, Optica 4, 736 (2017). The positions of a
batch see the same object and probe, so their transforms run side by side; their steps are then added up under a common
denominator, so that a batch never steps further than one position alone would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .frames import Estimate, Frames, Spread, shares
from .propagate import Propagator
from .waves import add_to_object, add_to_probe, empty_like, exit_waves, replace_modulus, step_in_windows

Array = Any


@dataclass(frozen=True, slots=True)
class Pie:
    """Parameters of a pass over all positions."""

    object_step: float = 0.9
    probe_step: float = 0.9
    regularization: float = 1.0
    """γ: 1 is ePIE, less is regularised PIE, which steps further where the probe is faint."""
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
        sums = _Sums.of(estimate)
        error = 0.0
        for start in range(0, len(order), self.batch):
            places = order[start : start + self.batch]
            parts = shares(places, workers)
            found = list(spread(lambda part: _changes(estimate, frames, part, propagator), parts))
            error += sum(float(errors.sum()) for _, errors in found)
            changes = [change for change, _ in found]
            self._step(estimate, sums, frames, list(zip(parts, changes, strict=True)), update_probe)
        return error

    def _step(
        self,
        estimate: Estimate,
        sums: _Sums,
        frames: Frames,
        changes: list[tuple[Array, Array]],
        update_probe: bool,
    ) -> None:
        size = estimate.probe.shape[-2:]
        if update_probe:
            sums.probe[...], sums.seen[...] = 0, 0
        for part, change in changes:
            corners = frames.corners[part]
            add_to_object(sums.image, sums.light, estimate.probe[None], change, corners)
            if update_probe:
                add_to_probe(sums.probe, sums.seen, estimate.image, change, corners)
        step_in_windows(
            estimate.image,
            sums.image,
            sums.light,
            np.concatenate([frames.corners[part] for part, _ in changes]),
            size=size,
            step=self.object_step,
            regularization=self.regularization,
        )
        if update_probe:
            weight = (1 - self.regularization) * sums.seen + self.regularization * sums.seen.max()
            estimate.probe += self.probe_step * sums.probe / weight.clip(np.finfo(weight.dtype).tiny)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Numerators and denominators of the steps of a batch."""

    image: Array
    light: Array
    probe: Array
    seen: Array

    @classmethod
    def of(cls, estimate: Estimate) -> _Sums:
        image, probe = estimate.image, estimate.probe
        return cls(0 * image, 0 * image.real, 0 * probe, 0 * probe[0].real)


def _changes(estimate: Estimate, frames: Frames, part: Array, propagator: Propagator) -> tuple[Array, Array]:
    """Change of the exit waves that the measured amplitudes ask for, and the errors, of a few positions."""
    probe = estimate.probe[None]
    shape = (len(part), *estimate.probe.shape)
    waves = exit_waves(estimate.image, probe, frames.corners[part], empty_like(estimate.probe, shape))
    seen = propagator.forward(waves.copy())
    errors = replace_modulus(seen, frames.amplitudes[part], frames.valid)
    change = propagator.backward(seen)
    change -= waves
    return change, errors

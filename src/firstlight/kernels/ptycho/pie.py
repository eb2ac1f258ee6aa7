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
from .momentum import Momentum
from .propagate import Propagator
from .subpixel import collect_probe, lamps
from .sums import Band, add_to_object, bands, largest_in_windows, step_in_windows
from .waves import empty_like, exit_waves, on_cpu, replace_modulus

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
        momentum: Momentum | None = None,
    ) -> float:
        """Visit every position once, in the given order; `estimate` is changed, and kicked by the momentum if there is one.

        Returns:
            ``Σ(|Ψ| − A)²`` over valid pixels of all positions, each as it was before its own step.
        """
        sums = _Sums.of(estimate)
        error = 0.0
        for start in range(0, len(order), self.batch):
            places = order[start : start + self.batch]
            parts = shares(places, workers)
            found = list(spread(lambda part: _changes(estimate, frames, part, propagator), parts))
            error += sum(float(change.errors.sum()) for change in found)
            self._step(estimate, sums, frames, found, spread, workers, update_probe)
            if momentum is not None:
                momentum.passed(estimate, len(places), probe=update_probe)
        return error

    def _step(
        self,
        estimate: Estimate,
        sums: _Sums,
        frames: Frames,
        changes: list[_Change],
        spread: Spread,
        workers: int,
        update_probe: bool,
    ) -> None:
        image, probe = estimate.image, estimate.probe
        size = probe.shape[-2], probe.shape[-1]
        corners = np.concatenate([frames.corners[change.part] for change in changes])
        pairs = shared_rows(image, probe, workers)

        def gather(pair: tuple[Band | None, Band | None]) -> float:
            of_image, of_probe = pair
            for change in changes:
                part = frames.corners[change.part]
                add_to_object(sums.image, sums.light, change.lamps, change.waves, part, of_image)
                if update_probe:
                    collect_probe(sums.probe, sums.seen, image, change.waves, frames, change.part, of_probe)
            return largest_in_windows(sums.light, corners, size, of_image)

        if update_probe:
            sums.probe[...], sums.seen[...] = 0, 0
        largest = max(spread(gather, pairs))

        def move(pair: tuple[Band | None, Band | None]) -> None:
            step_in_windows(
                image,
                sums.image,
                sums.light,
                corners,
                size=size,
                step=self.object_step,
                regularization=self.regularization,
                largest=largest,
                band=pair[0],
            )

        list(spread(move, pairs))
        if update_probe:
            weight = (1 - self.regularization) * sums.seen + self.regularization * sums.seen.max()
            probe += self.probe_step * sums.probe / weight.clip(np.finfo(weight.dtype).tiny)


def shared_rows(image: Array, probe: Array, workers: int) -> list[tuple[Band | None, Band | None]]:
    """Rows of the object and of the probe for each thread; on a device one does all."""
    if not on_cpu(image):
        return [(None, None)]
    return list(zip(bands(image.shape[-2], workers), bands(probe.shape[-2], workers), strict=False))


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


@dataclass(frozen=True, slots=True)
class _Change:
    """What the measured amplitudes of a few positions ask for."""

    part: Array
    lamps: Array
    """Their probes, shape (1 or position, mode, v, u)."""
    waves: Array
    """Change of the exit waves, shape (position, mode, v, u)."""
    errors: Array


def _changes(estimate: Estimate, frames: Frames, part: Array, propagator: Propagator) -> _Change:
    light = lamps(estimate.probe, frames, part)
    shape = (len(part), *estimate.probe.shape)
    waves = exit_waves(estimate.image, light, frames.corners[part], empty_like(estimate.probe, shape))
    seen = propagator.forward(waves.copy())
    errors = replace_modulus(seen, frames.amplitudes[part], frames.valid)
    change = propagator.backward(seen)
    change -= waves
    return _Change(part, light, change, errors)

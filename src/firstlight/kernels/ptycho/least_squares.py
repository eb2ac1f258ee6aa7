"""Maximum likelihood in batches with steps of optimal length (LSQ-ML).

Odstrčil, Menzel and Guizar-Sicairos, Optics Express 26, 3108 (2018). The change of exit waves that the likelihood asks
for is projected on the object and on the probe; how far to go along both follows from a 2 × 2 least-squares problem at
each position, because the exit wave changes by ``α P δO + β O δP``. Layers of an object move together, by one α.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .changes import Change, Sums, changes, each_batch, moved_probes, shared_rows
from .frames import Estimate, Frames, Spread
from .noise import Noise
from .products import products, step_products
from .propagate import Propagator
from .samples import Thin, layers_of
from .sums import Band, move_in_windows, scale_in_windows

Array = Any


@dataclass(frozen=True, slots=True)
class LeastSquares:
    """Parameters of a pass over all positions."""

    noise: Noise = "gaussian"
    """`gaussian` fits amplitudes, ``Σ(|Ψ| − A)²``; `poisson` fits counts, ``Σ |Ψ|² − A² ln|Ψ|²``."""
    batch: int = 32
    """Positions whose steps are taken together."""
    damping: float = 0.1
    """Part of the largest illumination that is added to it when the step of the object is scaled."""
    step: float = 0.9
    """Part of the optimal length that is gone."""

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
        sums = Sums.of(estimate)

        def find(part: Array) -> Change:
            return changes(estimate, frames, part, propagator, self.noise)

        def step(found: list[Change]) -> None:
            self._step(estimate, sums, frames, found, spread, workers, update_probe)

        return each_batch(order, self.batch, workers, spread, find, step)

    def _step(
        self,
        estimate: Estimate,
        sums: Sums,
        frames: Frames,
        found: list[Change],
        spread: Spread,
        workers: int,
        update_probe: bool,
    ) -> None:
        """Move object and probe; the sums of the object are zero before and afterwards."""
        probe, corners = estimate.probe, sums.corners(frames, found)
        size, rows = (probe.shape[-2], probe.shape[-1]), shared_rows(estimate, workers)
        sums.probe[...], sums.seen[...] = 0, 0
        largest = sums.gather(estimate, frames, found, spread, workers, probe=update_probe)
        each = (layers_of(estimate.image), layers_of(sums.image), layers_of(sums.light), largest)
        layers = list(zip(*each, strict=True))

        def scale(pair: tuple[Band | None, Band | None]) -> None:
            for _, above, below, most in layers:
                scale_in_windows(above, below, corners, size=size, floor=self.damping * most, band=pair[0])

        list(spread(scale, rows))
        to_probe = sums.probe / (sums.seen + self.damping * sums.seen.max()) if update_probe else None

        def lengths(change: Change) -> Array:
            return _lengths(_products(estimate, sums.image, to_probe, frames, change), update_probe)

        steps = np.concatenate(list(spread(lengths, found)))
        image_step, probe_step = (self.step * float(part) for part in np.median(steps, axis=0).clip(0, None))

        def move(pair: tuple[Band | None, Band | None]) -> None:
            for layer, above, below, _ in layers:
                move_in_windows(layer, above, below, corners, size=size, step=image_step, band=pair[0])

        list(spread(move, rows))
        if to_probe is not None:
            probe += probe_step * to_probe


def _products(estimate: Estimate, to_image: Array, to_probe: Array | None, frames: Frames, change: Change) -> Array:
    """Scalar products of what steps along object and probe would change, see `step_products`."""
    image, corners, passage = estimate.image, frames.corners[change.part], change.passage
    to_light = None if to_probe is None else moved_probes(to_probe, frames, change.part)
    if isinstance(estimate.sample, Thin):
        return step_products(image, to_image, passage.lights[0], to_light, change.asked, corners)
    along = estimate.sample.along
    b = None if to_light is None else along(image, None, passage, to_light, corners)
    return products(along(image, to_image, passage, None, corners), b, change.asked)


def _lengths(found: Array, update_probe: bool) -> Array:
    """Best step along object and probe for each position, shape (position, 2): least squares of the exit waves."""
    a11, a22, a12, b1, b2 = found.T
    if not update_probe:
        return np.stack([b1 / a11.clip(1e-300), np.zeros_like(b1)], axis=1)
    # a little of the diagonal keeps the system regular where object and probe ask for the same change
    a11, a22 = a11 * 1.001 + 1e-300, a22 * 1.001 + 1e-300
    determinant = a11 * a22 - a12 * a12
    return np.stack([(b1 * a22 - b2 * a12) / determinant, (b2 * a11 - b1 * a12) / determinant], axis=1)

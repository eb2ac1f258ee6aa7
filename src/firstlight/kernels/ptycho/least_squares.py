"""Maximum likelihood in batches with steps of optimal length (LSQ-ML).

Odstrčil, Menzel and Guizar-Sicairos, Optics Express 26, 3108 (2018). The change of exit waves that the likelihood asks
for is projected on the object and on the probe; how far to go along both follows from a 2 × 2 least-squares problem at
each position, because the exit wave changes by ``α P δO + β O δP``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .frames import Estimate, Frames, Spread, shares
from .pie import shared_rows
from .products import step_products
from .propagate import Propagator
from .subpixel import collect_probe, lamps
from .sums import Band, add_to_object, largest_in_windows, move_in_windows, scale_in_windows
from .waves import empty_like, exit_waves, likelihood_step

Array = Any
Noise = Literal["gaussian", "poisson"]


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
        error, sums = 0.0, (0 * estimate.image, 0 * estimate.image.real)
        for start in range(0, len(order), self.batch):
            parts = shares(order[start : start + self.batch], workers)
            found = list(spread(lambda part: self._changes(estimate, frames, part, propagator), parts))
            error += sum(float(errors.sum()) for _, _, errors in found)
            changes = [change[:2] for change in found]
            self._step(estimate, sums, frames, parts, changes, spread, workers, update_probe)
        return error

    def _changes(
        self, estimate: Estimate, frames: Frames, part: Array, propagator: Propagator
    ) -> tuple[Array, Array, Array]:
        """Change of the exit waves, the probes, and the errors, of a few positions."""
        shape = (len(part), *estimate.probe.shape)
        light = lamps(estimate.probe, frames, part)
        waves = exit_waves(estimate.image, light, frames.corners[part], empty_like(estimate.probe, shape))
        seen = propagator.forward(waves)
        errors = likelihood_step(seen, frames.amplitudes[part], frames.valid, self.noise)
        return propagator.backward(seen), light, errors

    def _step(
        self,
        estimate: Estimate,
        sums: tuple[Array, Array],
        frames: Frames,
        parts: list[Array],
        changes: list[tuple[Array, Array]],
        spread: Spread,
        workers: int,
        update_probe: bool,
    ) -> None:
        """Move object and probe; the sums are zero before and afterwards."""
        image, probe, (to_image, light) = estimate.image, estimate.probe, sums
        to_probe, seen = 0 * probe, 0 * probe[0].real
        corners, size = frames.corners[np.concatenate(parts)], (probe.shape[-2], probe.shape[-1])
        pairs = shared_rows(image, probe, workers)
        together = list(zip(parts, changes, strict=True))

        def gather(pair: tuple[Band | None, Band | None]) -> float:
            for part, (change, probes) in together:
                add_to_object(to_image, light, probes, change, frames.corners[part], pair[0])
                if update_probe:
                    collect_probe(to_probe, seen, image, change, frames, part, pair[1])
            return largest_in_windows(light, corners, size, pair[0])

        floor = self.damping * max(spread(gather, pairs))

        def scale(pair: tuple[Band | None, Band | None]) -> None:
            scale_in_windows(to_image, light, corners, size=size, floor=floor, band=pair[0])

        list(spread(scale, pairs))
        if update_probe:
            to_probe /= seen + self.damping * seen.max()

        def lengths(given: tuple[Array, tuple[Array, Array]]) -> Array:
            part, (change, probes) = given
            moved = lamps(to_probe, frames, part) if update_probe else None
            return _lengths(step_products(image, to_image, probes, moved, change, frames.corners[part]), update_probe)

        steps = np.concatenate(list(spread(lengths, together)))
        image_step, probe_step = (self.step * float(part) for part in np.median(steps, axis=0).clip(0, None))

        def move(pair: tuple[Band | None, Band | None]) -> None:
            move_in_windows(image, to_image, light, corners, size=size, step=image_step, band=pair[0])

        list(spread(move, pairs))
        if update_probe:
            probe += probe_step * to_probe


def _lengths(products: Array, update_probe: bool) -> Array:
    """Best step along object and probe for each position, shape (position, 2): least squares of the exit waves."""
    a11, a22, a12, b1, b2 = products.T
    if not update_probe:
        return np.stack([b1 / a11.clip(1e-300), np.zeros_like(b1)], axis=1)
    # a little of the diagonal keeps the system regular where object and probe ask for the same change
    a11, a22 = a11 * 1.001 + 1e-300, a22 * 1.001 + 1e-300
    determinant = a11 * a22 - a12 * a12
    return np.stack([(b1 * a22 - b2 * a12) / determinant, (b2 * a11 - b1 * a12) / determinant], axis=1)

"""The ptychographic iterative engine: ePIE and regularised PIE, in batches.

Maiden and Rodenburg, Ultramicroscopy 109, 1256 (2009); Maiden, Johnson and Li, Optica 4, 736 (2017); with slices, Maiden, Humphry and
Rodenburg, J. Opt. Soc. Am. A 29, 1606 (2012). The positions of a batch see the same object and probe, so their transforms run side by
side; their steps are then added up under a common denominator, so that a batch never steps further than one position alone would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .changes import Change, Sums, changes, each_batch, shared_rows
from .frames import Estimate, Frames, Spread
from .momentum import Momentum
from .propagate import Propagator
from .samples import layers_of
from .sums import Band, step_in_windows, step_probe

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
        sums = Sums.of(estimate)

        def find(part: Array) -> Change:
            return changes(estimate, frames, part, propagator)

        def step(found: list[Change]) -> None:
            self._step(estimate, sums, frames, found, spread, workers, update_probe)
            if momentum is not None:
                momentum.passed(estimate, sum(len(change.part) for change in found), probe=update_probe)

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
        probe, corners = estimate.probe, sums.corners(frames, found)
        if update_probe:
            sums.probe[...], sums.seen[...] = 0, 0
        largest = sums.gather(estimate, frames, found, spread, workers, probe=update_probe)
        each = (layers_of(estimate.image), layers_of(sums.image), layers_of(sums.light), largest)
        layers = list(zip(*each, strict=True))

        def move(pair: tuple[Band | None, Band | None]) -> None:
            for layer, above, below, most in layers:
                step_in_windows(
                    layer,
                    above,
                    below,
                    corners,
                    size=(probe.shape[-2], probe.shape[-1]),
                    step=self.object_step,
                    regularization=self.regularization,
                    largest=most,
                    band=pair[0],
                )

        list(spread(move, shared_rows(estimate, workers)))
        if update_probe:
            step_probe(probe, sums.probe, sums.seen, step=self.probe_step, regularization=self.regularization)

"""Engines that keep every exit wave: the difference map and relaxed averaged alternating reflections (RAAR).

Thibault et al., Ultramicroscopy 109, 338 (2009); Luke, Inverse Problems 21, 37 (2005). With `P_O` the projection on what
one object and one probe can give, and `P_M` that on the measured amplitudes, both reflect with `t = 2 P_O ψ − ψ`:
``ψ ← β (ψ + P_M t − P_O ψ) + (1 − β) P_O ψ``; β = 1 is the difference map. With modes of the probe and states of the object (Thibault and
Menzel, Nature 494, 68 (2013)) each pair has an exit wave; P_M scales all of a position alike. Slices have no such P_O: what they can give
is a product of many factors, and its nearest point is not known in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .changes import detector_waves, passed, shared_rows
from .frames import Estimate, Frames, Spread, alone, shares
from .projections import measured, put_together, reflected
from .propagate import Propagator
from .quality import some_of
from .samples import layers_of
from .subpixel import collect_probe, lamps
from .sums import Band, add_to_object
from .waves import empty_like, namespace, on_cpu, replace_modulus

Array = Any
CACHED = 2**20
"""Bytes of exit waves that one thread changes at once: with what they are changed by, they should stay in its cache."""
ON_DEVICE = 64
"""Positions that a device is given at once."""


@dataclass(slots=True)
class Waves:
    """The exit waves of all positions, shape (position, mode, v, u); of states, see `exit_waves`."""

    waves: Array

    @classmethod
    def start(cls, estimate: Estimate, frames: Frames) -> Waves:
        """The exit waves that object and probe give now."""
        like = passed(estimate, frames, np.arange(1)).waves
        found = cls(empty_like(like, (len(frames), *like.shape[1:])))
        found.restart(estimate, frames, np.arange(len(frames)))
        return found

    def restart(self, estimate: Estimate, frames: Frames, places: Array) -> None:
        """The same for some positions only: those whose windows have moved."""
        for part in shares(places, -(-len(places) // 32)) if len(places) else []:
            self.waves[namespace(self.waves).asarray(part)] = passed(estimate, frames, part).waves


@dataclass(frozen=True, slots=True)
class DifferenceMap:
    """Parameters of a round over all positions."""

    relaxation: float = 1.0
    """β: 1 is the difference map, less is RAAR (0.75 is usual)."""
    noise: float = 0.25
    """Variance of a measured amplitude that is believed to be noise, where there is light at all (photon counts: 1/4; 0
    for clean data): a frame that fits as well as that is left as it is, one that fits worse is moved to that distance
    from what was measured (Giewekemeyer et al., PNAS 107, 529 (2010))."""
    overlap_rounds: int = 2
    """How often object and probe are solved for in turn, within a round."""
    image_inertia: float = 1e-4
    """Weight of the object before, relative to the strongest light: what the probe never reached stays as it was."""
    probe_inertia: float = 1e-4
    """Weight of the probe before, relative to the largest denominator."""

    def sweep(
        self,
        estimate: Estimate,
        frames: Frames,
        state: Waves,
        propagator: Propagator,
        spread: Spread,
        *,
        workers: int = 1,
        update_probe: bool = True,
    ) -> float:
        """One round; `estimate` and `state` are changed.

        Returns:
            ``Σ(|Ψ| − A)²`` over valid pixels of all positions, Ψ from object and probe as they were before the round. It would take a
            transform more of each wave: up to 64 positions, spread evenly, speak for all.
        """
        error, together = _error(estimate, frames, propagator, spread, workers), _together(state.waves)

        def reflect(some: Array) -> None:
            # made once: fresh memory for every few waves costs the system as much time as they do
            room = empty_like(state.waves, (2, min(together, len(some)), *state.waves.shape[1:]))
            for part in shares(some, -(-len(some) // together)):
                self._reflect(estimate, frames, state, part, propagator, room[:, : len(part)])

        list(spread(reflect, shares(np.arange(len(frames)), workers)))
        self.overlap(estimate, frames, state, spread, workers=workers, update_probe=update_probe)
        return error

    def _reflect(
        self, estimate: Estimate, frames: Frames, state: Waves, part: Array, propagator: Propagator, room: Array
    ) -> None:
        """Move the exit waves of some positions; `room` for twice as many is overwritten."""
        waves = state.waves[part[0] : part[-1] + 1]
        allowed = passed(estimate, frames, part, room[0]).waves
        seen = propagator.forward(reflected(allowed, waves, room[1]))
        measured(seen, frames.amplitudes[part], frames.valid, self.noise, frames.background)
        put_together(waves, propagator.backward(seen), allowed, self.relaxation)

    def overlap(
        self,
        estimate: Estimate,
        frames: Frames,
        state: Waves,
        spread: Spread,
        *,
        workers: int = 1,
        update_probe: bool = True,
    ) -> None:
        """Solve for the object and the probe that fit the exit waves best, in turn."""
        # where each position has a probe of its own, all rows of a share of them are done at once: it takes memory
        pairs = shared_rows(estimate, 1 if alone(frames) else workers)
        for _ in range(self.overlap_rounds):
            self._solve_object(estimate, frames, state, spread, [pair[0] for pair in pairs])
            if not update_probe:
                return
            self._solve_probe(estimate, frames, state, spread, [pair[1] for pair in pairs])

    def _solve_object(
        self, estimate: Estimate, frames: Frames, state: Waves, spread: Spread, rows: list[Band | None]
    ) -> None:
        light = 0 * estimate.image.real
        numerator = 0 * estimate.image

        def gather(band: Band | None) -> None:
            for part in _parts(estimate, frames):
                probes, corners = lamps(estimate.probe, frames, part), frames.corners[part]
                each = (layers_of(numerator), layers_of(light), _own(estimate, frames, state, part))
                for above, below, waves in zip(*each, strict=True):
                    add_to_object(above, below, probes, waves, corners, band)

        list(spread(gather, rows))
        inertia = self.image_inertia * light.max()
        estimate.image[...] = (numerator + inertia * estimate.image) / (light + inertia)

    def _solve_probe(
        self, estimate: Estimate, frames: Frames, state: Waves, spread: Spread, rows: list[Band | None]
    ) -> None:
        seen = 0 * estimate.probe[0].real
        numerator = 0 * estimate.probe

        def gather(band: Band | None) -> None:
            for part in _parts(estimate, frames):
                each = (layers_of(estimate.image), _own(estimate, frames, state, part))
                for layer, waves in zip(*each, strict=True):
                    collect_probe(numerator, seen, layer, waves, frames, part, band)

        list(spread(gather, rows))
        inertia = self.probe_inertia * seen.max()
        estimate.probe[...] = (numerator + inertia * estimate.probe) / (seen + inertia)


def _error(estimate: Estimate, frames: Frames, propagator: Propagator, spread: Spread, workers: int) -> float:
    """Of all positions, told by some."""
    some = some_of(len(frames))

    def look(part: Array) -> float:
        waves = detector_waves(estimate, frames, part, propagator)
        return float(replace_modulus(waves, frames.amplitudes[part], frames.valid, frames.background).sum())

    return sum(spread(look, shares(some, max(workers, -(-len(some) // 16))))) * len(frames) / len(some)


def _own(estimate: Estimate, frames: Frames, state: Waves, part: Array) -> list[Array]:
    """The exit waves of some positions, by state of the object."""
    waves = state.waves[part[0] : part[-1] + 1]
    return estimate.sample.back(estimate.image, waves, frames.corners[part], scaled=False)


def _together(waves: Array) -> int:
    """How many positions are worked on at once: on a processor, as many as stay in its cache."""
    return max(1, int(CACHED // waves[0].nbytes)) if on_cpu(waves) else ON_DEVICE


def _parts(estimate: Estimate, frames: Frames) -> list[Array]:
    """All positions, or shares of them where that takes memory: each has a probe of its own, or waves lie state by state."""
    every = np.arange(len(frames))
    return shares(every, -(-len(frames) // 32)) if alone(frames) or estimate.image.ndim == 3 else [every]

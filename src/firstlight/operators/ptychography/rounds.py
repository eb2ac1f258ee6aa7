"""What the solver does in a round: frames placed in their windows, an engine, refinement, and what is known beforehand."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from firstlight.core.arrays import Array
from firstlight.kernels.ptycho.background import first_background, moved_background
from firstlight.kernels.ptycho.changes import detector_waves
from firstlight.kernels.ptycho.deflection import centers_of_mass, object_from_deflection
from firstlight.kernels.ptycho.frames import Estimate, Frames, Spread
from firstlight.kernels.ptycho.library import PROCESSOR, Library
from firstlight.kernels.ptycho.positions import at
from firstlight.kernels.ptycho.quality import r_factor, some_of
from firstlight.kernels.ptycho.samples import THIN, Sample, Slices, States
from firstlight.kernels.ptycho.varying import first_shapes, relax
from firstlight.kernels.ptycho.waves import on_host

from .beam import background_of, first_probe, free_space, gap_curvature, propagator_of, seeks_focus
from .begin import CLOSELY, DEEPLY, GLANCE, Beginning, all_beginnings, planes, ranked, shortlist
from .engines import Batched, Engine, Round, engine_of
from .focus import curved, first_of
from .known import Known
from .reconstruction import Reconstruction
from .refine import Refinement

if TYPE_CHECKING:
    from .ptychography import Ptychography


BACKGROUND = (5, 24)
"""First and last round after which a background is sought: object and probe have to be there, and the rest of the rounds goes on with it."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """Rounds of a step over a reconstruction, on the threads of one call."""

    step: Ptychography
    state: Reconstruction
    spread: Spread
    workers: int
    library: Library = PROCESSOR
    """Where engines work; what is found by trying before the first round is found on the processor."""

    def go(self, rounds: int) -> None:
        """Begin if nothing has begun, and do so many rounds."""
        state, patterns = self.state, self.state.patterns
        given = self._given()
        if state.probe is None:
            state.probe = first_probe(self.step, state, patterns.mean)
        if self._look(given):
            given = self._given()
        if rounds:
            if not state.errors:
                self._first_object(given)
            self._meet(given)
        power = patterns.power
        for _ in range(rounds):
            state.errors.append(self._round(given) / power)
            state.times.append(time.time())
            state.points.append(len(given.frames))

    # ---- before ------------------------------------------------------------------------------------------------------

    def _given(self) -> Round:
        """The frames in the order of their ids, in windows on whole pixels."""
        patterns, canvas, order = self.state.patterns, self.state.canvas, self.state.patterns.by_id()
        corners = canvas.corners(patterns.corners[order])
        frames = Frames(patterns.stored(self.step.real_type), corners, patterns.valid)
        random = np.random.default_rng(self.step.seed)
        return Round(frames, propagator_of(self.step, self.state), self.spread, self.workers, False, random)

    def _look(self, given: Round) -> bool:
        """Find orientation and defocus, whichever is asked for, and begin again if they are others than before.

        Few frames suggest them, so that there is something to see; when enough have come, they decide among the best.

        Returns:
            True if frames were looked at.
        """
        step, state, far = self.step, self.state, self.step.regime == "far"
        closely, turns = len(state.patterns) >= state.enough, step.orientation == "auto"
        if state.focused or (state.guessed and not closely):
            return False
        if turns:
            state.see("identity", far=far)
            given = self._given()

        def look(tried: list[Beginning], frames: int, rounds: int, *, thin: bool = True) -> list[Beginning]:
            def probe(mean: Array) -> Array:
                return first_probe(step, state, mean)

            few = replace(given, frames=first_of(given.frames, frames))
            size, sample = (state.canvas.shape, THIN) if thin else (state.canvas.image.shape, sample_of(step, state))
            return ranked(few, size, state.patterns.mean, probe, tried, rounds=rounds, far=far, sample=sample)

        # a first line of the scan can not tell orientations apart: they are all tried again, on more of it
        found = [] if turns else state.guessed
        if not found:
            every = all_beginnings(given, turns=turns, curves=seeks_focus(step), far=far)
            found = look(every, (CLOSELY if turns and closely else GLANCE)[0], GLANCE[1])
        if closely:
            found = look(shortlist(found), *CLOSELY)
            if step.slices > 1 and seeks_focus(step):
                found = look(planes(found[0], gap_curvature(step, state), step.slices), *DEEPLY, thin=False)
        before, best = state.guessed[:1], found[0]
        state.guessed, state.focused = found, closely
        if turns:
            state.see(best.way, far=far)
        if not before or not best.is_like(before[0]):
            state.probe = curved(first_probe(step, state, state.patterns.mean), best.curvature)
            state.canvas.clear()
            state.restart(new_engine(step))
        return True

    def _first_object(self, given: Round) -> None:
        """What the deflection of the light says, or a network, where it is asked for."""
        step, state = self.step, self.state
        if step.first_object == "network":
            from firstlight.operators.learn.first_object import object_from_network

            frames = given.frames
            # a probe that was guessed from the frames would do harm
            known = None if step.probe is None or state.probe is None else state.probe[0]
            state.canvas.stack[0] = object_from_network(
                step.network, frames.amplitudes, frames.corners, state.canvas.shape, known
            )
        if step.first_object != "deflection":
            return
        frames, middle = given.frames, np.asarray(state.canvas.window) / 2
        centers, counts = centers_of_mass(frames.amplitudes, len(frames), frames.valid)
        found = object_from_deflection(
            centers, counts, frames.corners + middle, state.patterns.window, state.canvas.shape
        )
        state.canvas.stack[0] = found

    def _meet(self, given: Round) -> None:
        """Go over frames that no round has seen, alone, so that they soon look like the rest; the probe is held."""
        state, patterns = self.state, self.state.patterns
        new = len(patterns) - state.visited
        if not state.errors or not 0 < new < state.visited or not isinstance(state.engine, Batched):
            return
        fresh = np.flatnonzero(patterns.by_id() >= state.visited)
        estimate = self.estimate()
        for _ in range(self.step.new_first):
            state.engine.round(estimate, replace(self._placed(given), only=fresh))
        self.keep(estimate)

    # ---- a round -----------------------------------------------------------------------------------------------------

    def _round(self, given: Round) -> float:
        """Go over all frames once; the error as it was before."""
        step, state, number = self.step, self.state, len(self.state.errors)
        if step.is_second(number) and not step.is_second(number - 1):
            state.engine = new_engine(step, second=True)
        given = replace(
            self._placed(given),
            random=np.random.default_rng((step.seed, number)),
            update_probe=number >= step.probe_after,
            update_object=number >= step.object_after,
        )
        estimate = self.estimate()
        held = None if given.update_object else estimate.image.copy()
        error = state.engine.round(estimate, given)
        if held is not None:
            estimate.image[...] = held
        state.visited = len(state.patterns)
        self._adjust(estimate, given, number)
        probe = self.keep(estimate)
        state.probe = known_of(step).apply(state.canvas, state.canvas.covered(state.patterns.corners), probe)
        return error

    def _seek_background(self, estimate: Estimate, given: Round, number: int) -> None:
        """Move the background, and leave it out in the end if it explains nothing."""
        step, state = self.step, self.state
        first, last = BACKGROUND
        if step.background != "auto" or not first <= number <= last or (number > first and state.background is None):
            return
        if state.background is None:
            state.background = first_background(state.patterns.mean, state.patterns.valid)
        state.background, explains = moved_background(
            estimate,
            given.frames,
            state.background,
            given.propagator,
            self.spread,
            noise=step.noise if step.algorithm in ("lsq", "ml") else "gaussian",
            workers=self.workers,
        )
        if number == last and not explains:
            state.background = None

    def _adjust(self, estimate: Estimate, given: Round, number: int) -> None:
        """The probes of single frames, their positions, and how well all of it fits some of them."""
        self._seek_background(estimate, given, number)
        step, patterns, order = self.step, self.state.patterns, self.state.patterns.by_id()
        if step.variations and number >= step.probe_after:
            relax(estimate, given.frames, given.propagator, self.spread, workers=self.workers)
            if given.frames.weights is not None:
                patterns.weights[order] = given.frames.weights
                self.state.shapes = on_host(given.frames.shapes)
        if step.refine_positions != "no" and number >= step.refine_after:
            refinement = Refinement(step.refine_positions, step.refine_limit)
            patterns.moves[order] = refinement.moves(
                patterns.moves[order],
                estimate,
                given,
                number / max(step.iterations, 1),
                patterns.places[order],
            )
        self.state.factors.append(_r_factor(estimate, given))

    def placed(self) -> Round:
        """All frames in the windows where they are now."""
        return self._placed(self._given())

    def estimate(self) -> Estimate:
        """Object and probe as they are, where engines work; they change them in place."""
        library, sample = self.library, sample_of(self.step, self.state)
        image = library.moved(self.state.canvas.image)
        return Estimate(image, library.moved(self._probe()), library.sample(sample))

    def keep(self, estimate: Estimate) -> Array:
        """Take over what an engine has changed; the probe."""
        if self.library.on_device:
            self.state.canvas.image[...] = on_host(estimate.image)
        probe = on_host(estimate.probe)
        self.state.probe = probe
        return probe

    def _probe(self) -> Array:
        if self.state.probe is None:  # pragma: no cover - `go` has set it
            raise RuntimeError("no probe before the first round")
        return self.state.probe

    def _placed(self, given: Round) -> Round:
        """The frames in the windows where they are now, between pixels if asked, each with its own probe if asked."""
        step, state, patterns = self.step, self.state, self.state.patterns
        order = patterns.by_id()
        state.canvas.reach(patterns.corners)
        places, library = state.canvas.placed(patterns.refined[order]), self.library
        frames = replace(
            given.frames,
            amplitudes=library.amplitudes(given.frames.amplitudes),
            valid=library.moved(given.frames.valid),
            background=library.moved(background_of(step, state)),
        )
        given = replace(given, propagator=library.propagator(given.propagator))
        if step.variations:
            if state.shapes is None:
                state.shapes = first_shapes(self._probe(), step.variations)
            frames = replace(frames, shapes=library.moved(state.shapes), weights=patterns.weights[order].copy())
        if step.subpixel or step.refine_positions != "no":
            return replace(given, frames=at(places, frames))
        return replace(given, frames=replace(frames, corners=np.rint(places).astype(np.int64)))


def new_engine(step: Ptychography, *, second: bool = False) -> Engine:
    """The engine that a step asks for, new."""
    return engine_of(
        step.algorithm2 if second and step.algorithm2 else step.algorithm,
        object_step=step.object_step,
        probe_step=step.probe_step,
        batch=step.batch,
        noise=step.noise,
        momentum=step.momentum,
        order=step.order,
    )


def sample_of(step: Ptychography, state: Reconstruction) -> Sample:
    """How light goes through the object that a step asks for."""
    if step.slices > 1:
        return Slices(free_space(step, state, (step.slice_gap or 0.0) * 1e-6))
    return States() if step.object_modes > 1 else THIN


def known_of(step: Ptychography) -> Known:
    """What a step knows of object and probe beforehand."""
    amplitude = _limits(step.least_magnitude, step.largest_magnitude, 0.0)
    phase = _limits(step.least_phase, step.largest_phase, -np.inf)
    return Known(step.variation, step.sparsity, amplitude, step.probe_radius, step.center_probe, phase)


def _limits(low: float | None, high: float | None, lowest: float) -> tuple[float, float] | None:
    if low is None and high is None:
        return None
    return lowest if low is None else low, np.inf if high is None else high


def _r_factor(estimate: Estimate, given: Round) -> float:
    some = some_of(len(given.frames))
    waves = detector_waves(estimate, given.frames, some, given.propagator)
    return r_factor(waves, given.frames.amplitudes[some], given.frames.valid, given.frames.background)


def image_of(layers: Array, incoherent: bool) -> Array:
    """One image of an object of several layers: the product of slices, the strongest of states."""
    return layers[0] if incoherent or len(layers) == 1 else np.prod(layers, axis=0)

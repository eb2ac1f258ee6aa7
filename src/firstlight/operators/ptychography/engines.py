"""The engines by their names, behind one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np

from firstlight.kernels.ptycho.difference_map import DifferenceMap, Waves
from firstlight.kernels.ptycho.frames import Estimate, Frames, Spread
from firstlight.kernels.ptycho.least_squares import LeastSquares
from firstlight.kernels.ptycho.likelihood import Likelihood, Memory
from firstlight.kernels.ptycho.momentum import Momentum
from firstlight.kernels.ptycho.noise import Noise
from firstlight.kernels.ptycho.order import Order, visits
from firstlight.kernels.ptycho.pie import Pie
from firstlight.kernels.ptycho.propagate import Propagator

Array = Any
Algorithm = Literal["epie", "rpie", "dm", "raar", "lsq", "ml"]
SHARED = 2**19
"""Bytes of exit waves in a batch from which threads share it: to wake them for less takes longer than the work."""


@dataclass(frozen=True, slots=True)
class Round:
    """What an engine works with in one round."""

    frames: Frames
    propagator: Propagator
    spread: Spread
    workers: int
    update_probe: bool
    random: np.random.Generator
    only: Array | None = None
    """Places of the frames that are visited, where the engine can do so; default: all."""
    update_object: bool = True
    """False where the caller puts the object back afterwards."""


class Engine(Protocol):
    """Fits object and probe, a round at a time."""

    def round(self, estimate: Estimate, given: Round) -> float:
        """Change the estimate; the error ``Σ(|Ψ| − A)²`` as it was before."""
        ...


@dataclass(slots=True)
class Batched:
    """Engines that go through the positions a batch at a time."""

    engine: Pie | LeastSquares
    momentum: Momentum | None = None
    order: Order = "random"

    def round(self, estimate: Estimate, given: Round) -> float:
        """One pass over all positions, or some."""
        order = _order_of(self.order, given, self.engine.batch)
        if self.engine.batch * estimate.probe.nbytes < SHARED:
            given = replace(given, spread=map, workers=1)
        if isinstance(self.engine, LeastSquares):
            sweep = self.engine.sweep
        else:
            sweep = partial(self.engine.sweep, momentum=self.momentum)
        return _swept(sweep, estimate, given, order)


def _swept(sweep: Callable[..., float], estimate: Estimate, given: Round, third: Any) -> float:
    """Once over the frames of a round; `third` is what a kind of engine asks for beside them."""
    return sweep(
        estimate,
        given.frames,
        third,
        given.propagator,
        given.spread,
        workers=given.workers,
        update_probe=given.update_probe,
    )


def _order_of(order: Order, given: Round, batch: int) -> Array:
    if given.only is None:
        return visits(order, given.frames.corners, batch, given.random)
    return given.only[visits(order, given.frames.corners[given.only], batch, given.random)]


@dataclass(slots=True)
class Projecting:
    """The difference map and RAAR, whose exit waves start from the estimate as soon as the frames change."""

    engine: DifferenceMap
    waves: Waves | None = None
    corners: Array | None = None

    def round(self, estimate: Estimate, given: Round) -> float:
        """One round over all positions."""
        if self.waves is None or self.corners is None or len(self.corners) != len(given.frames):
            self.waves = Waves.start(estimate, given.frames)
        else:
            self.waves.restart(
                estimate, given.frames, np.flatnonzero((self.corners != given.frames.corners).any(axis=1))
            )
        self.corners = given.frames.corners.copy()
        return _swept(self.engine.sweep, estimate, given, self.waves)


@dataclass(slots=True)
class Descending:
    """Conjugate gradients, which start anew as soon as the frames or the image change their number."""

    engine: Likelihood
    memory: Memory | None = None
    seen: tuple[Any, ...] = ()

    def round(self, estimate: Estimate, given: Round) -> float:
        """One step over all positions."""
        now = (len(given.frames), estimate.image.shape, given.update_probe)
        if self.memory is None or self.seen != now:
            self.memory, self.seen = Memory(), now
        return _swept(self.engine.sweep, estimate, given, self.memory)


def engine_of(
    algorithm: Algorithm,
    *,
    object_step: float,
    probe_step: float,
    batch: int | None,
    noise: Noise,
    momentum: float = 0.0,
    order: Order = "random",
) -> Engine:
    """A new engine.

    Args:
        algorithm: Its name.
        object_step: Length of the steps of the object, of PIE and LSQ-ML.
        probe_step: Length of the steps of the probe, of PIE.
        batch: Positions whose steps are taken together; None: the engine's own.
        noise: Statistics that LSQ-ML and ML assume.
        momentum: How much of their velocity object and probe keep (PIE); 0: none.
        order: In which positions are visited, of engines that take a batch at a time.
    """
    if algorithm in ("epie", "rpie"):
        gamma = 1.0 if algorithm == "epie" else 0.2
        kicks = Momentum(momentum) if momentum else None
        return Batched(Pie(object_step, probe_step, gamma, batch or 8), kicks, order)
    if algorithm == "lsq":
        return Batched(LeastSquares(noise, batch or 32, step=object_step), None, order)
    if algorithm == "ml":
        return Descending(Likelihood(noise))
    return Projecting(DifferenceMap(1.0 if algorithm == "dm" else 0.75))

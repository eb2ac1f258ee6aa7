"""Momentum of object and probe (mPIE).

Maiden, Johnson and Li, Optica 4, 736 (2017): every so many positions what has changed since the last time joins a velocity,
``v ← η v + (O − O_before)``, and the estimate goes on with it: ``O ← O_before + v``. Ravines are left sooner, and plateaus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .frames import Estimate

Array = Any


@dataclass(slots=True)
class Momentum:
    """Velocities of object and probe, and what they were last time."""

    friction: float = 0.5
    """η, 0…1: how much of the velocity is kept."""
    every: int = 30
    """Positions between two kicks."""
    velocity: Estimate | None = None
    before: Estimate | None = None
    waited: int = 0

    def passed(self, estimate: Estimate, positions: int, *, probe: bool) -> None:
        """Tell that so many positions have been visited; the estimate is changed when it is time.

        Args:
            estimate: Object and probe.
            positions: How many.
            probe: False where the probe is held.
        """
        if self.before is None or self.before.image.shape != estimate.image.shape:
            self.velocity = Estimate(0 * estimate.image, 0 * estimate.probe)
            self.before, self.waited = _copy(estimate), 0
        self.waited += positions
        if self.waited < self.every or self.velocity is None:
            return
        self.waited = 0
        _kick(self.velocity.image, self.before.image, estimate.image, self.friction)
        if probe:
            _kick(self.velocity.probe, self.before.probe, estimate.probe, self.friction)
        self.before = _copy(estimate)


def _kick(velocity: Array, before: Array, now: Array, friction: float) -> None:
    velocity *= friction
    now += velocity
    velocity[...] = now - before


def _copy(estimate: Estimate) -> Estimate:
    return Estimate(estimate.image.copy(), estimate.probe.copy())

"""What is known beforehand of object and probe, put in after each round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firstlight.core.arrays import Array
from firstlight.kernels.ptycho.constraints import (
    clamp_magnitude,
    clamp_phase,
    off_center,
    smooth_variation,
    soften,
    support,
)

from .canvas import Canvas


@dataclass(frozen=True, slots=True)
class Known:
    """Constraints; None and 0 leave out."""

    variation: float
    sparsity: float
    magnitude: tuple[float, float] | None
    radius: float | None
    centered: bool
    phase: tuple[float, float] | None = None

    def apply(self, canvas: Canvas, seen: tuple[slice, slice], probe: Array) -> Array:
        """Constrain the part of the object that the scan has seen, and the probe.

        Args:
            canvas: The object.
            seen: Part of it.
            probe: Shape (mode, v, u); may be changed.

        Returns:
            The probe.
        """
        for layer in canvas.stack:
            self._constrain(layer[seen])
        if self.centered:
            probe = _centered(canvas, probe)
        if self.radius is not None:
            support(probe, self.radius)
        return probe

    def _constrain(self, image: Array) -> None:
        if self.variation:
            smooth_variation(image, self.variation)
        if self.sparsity:
            soften(image, self.sparsity)
        if self.magnitude is not None:
            clamp_magnitude(image, *self.magnitude)
        if self.phase is not None:
            clamp_phase(image, *self.phase)


def _centered(canvas: Canvas, probe: Array) -> Array:
    """The probe in the middle of its window, and the windows where the light then falls on the same object."""
    down, right = off_center(probe)
    if not down and not right:
        return probe
    canvas.move(down, right)
    return np.roll(probe, (-down, -right), axis=(-2, -1))

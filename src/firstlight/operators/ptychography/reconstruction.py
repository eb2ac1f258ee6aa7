"""What a reconstruction has come to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.units import factor

from .canvas import Canvas
from .engines import Engine
from .optics import Optics
from .orientation import Orientation
from .patterns import Patterns


@dataclass(slots=True)
class Reconstruction:
    """What a reconstruction has come to."""

    patterns: Patterns
    canvas: Canvas
    optics: Optics
    unit: str
    """Of the positions."""
    engine: Engine
    probe: Array | None = None
    """Shape (mode, v, u); None before the first round."""
    enough: int = 0
    """Frames that tell the defocus: some, or all of a small scan."""
    focused: bool = False
    """True once defocus and orientation are known, or nobody asks for them."""
    way: Orientation = "identity"
    """How frames are turned and mirrored when they come."""
    corner_zero: bool | None = None
    errors: list[float] = field(default_factory=list[float])
    """Σ(|Ψ| − √I)² / ΣI of each round over all frames."""
    visited: int = 0
    """Frames that a round has gone over."""

    @property
    def lit(self) -> Array:
        """Where the light of the probe has been, shape (y, x): more than a hundredth of the strongest."""
        light = np.zeros(self.canvas.image.shape, np.float32)
        if self.probe is None:
            return light > 0
        power = (np.abs(self.probe) ** 2).sum(axis=0)
        rows, cols = power.shape
        for row, col in self.canvas.corners(self.patterns.corners):
            light[row : row + rows, col : col + cols] += power
        return light > 0.01 * light.max(initial=0.0)

    @property
    def pixel(self) -> Array:
        """Height and width of a pixel of the object, in the unit of the positions."""
        dimension, size = factor(self.unit)
        if dimension == "pixels" or self.optics.pixel is None:
            return np.ones(2)
        return np.asarray(self.optics.pixel) / size

"""What a reconstruction has come to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.units import factor
from firstlight.kernels.ptycho.coverage import coverage

from .begin import Beginning
from .canvas import Canvas
from .engines import Engine
from .optics import Optics
from .orientation import Orientation, opposite, oriented
from .patterns import Patterns
from .window import Window


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
    shapes: Array | None = None
    """What the probe may differ by from frame to frame, shape (shape, v, u)."""
    enough: int = 0
    """Frames that tell orientation and defocus: some, or all of a small scan."""
    focused: bool = False
    """True once defocus and orientation are known, or nobody asks for them."""
    guessed: list[Beginning] = field(default_factory=list[Beginning])
    """What a first look at a few frames found: the best first; empty before."""
    background: Array | None = None
    """What was found of it: photons of each frame that come through neither probe nor object, shape (v, u), float64."""
    ended: bool = False
    """True once every frame has come."""
    window: Window | None = None
    """Part of the frames that is used; None: all."""
    way: Orientation = "identity"
    """How frames are turned and mirrored when they come."""
    corner_zero: bool | None = None
    errors: list[float] = field(default_factory=list[float])
    """Σ(|Ψ| − √I)² / ΣI of each round over all frames."""
    times: list[float] = field(default_factory=list[float])
    """When each of them ended, in seconds since 1970."""
    points: list[int] = field(default_factory=list[int])
    """Frames of each of them."""
    factors: list[float] = field(default_factory=list[float])
    """R-factor after each round, of some frames."""
    visited: int = 0
    """Frames that a round has gone over."""
    agreement: Array | None = None
    """Fourier ring correlation of two half sets; None until it is asked for."""

    def restart(self, engine: Engine) -> None:
        """No round has been done on these frames."""
        self.engine, self.visited, self.agreement = engine, 0, None
        self.errors, self.times, self.points, self.factors = [], [], [], []
        self.shapes = self.background = None

    def see(self, way: Orientation, *, far: bool) -> None:
        """See all frames another way than now: turned or mirrored, about the zero frequency in the far field."""
        for turn in (opposite(self.way), way):
            if turn != "identity":
                self.patterns.turn(lambda frames, turn=turn: oriented(frames, turn, corner=far))
        self.way = way

    @property
    def fallen(self) -> Array:
        """Photons that fell on each pixel of the object, shape (y, x)."""
        if self.probe is None:
            return np.zeros(self.canvas.shape, np.float32)
        power = (np.abs(self.probe) ** 2).sum(axis=0)
        # in the order of the ids: a sum of floats shows the order of its terms
        corners = self.canvas.corners(self.patterns.corners[self.patterns.by_id()])
        return coverage(power, corners, self.canvas.shape)

    @property
    def pixel(self) -> Array:
        """Height and width of a pixel of the object, in the unit of the positions."""
        dimension, size = factor(self.unit)
        if dimension == "pixels" or self.optics.pixel is None:
            return np.ones(2)
        return np.asarray(self.optics.pixel) / size

"""Where the probe really was: positions refined from the patterns.

Gradient: a window that moves by s changes its exit wave by ``P s·∇O``; the s that explains best the change that the
measured amplitudes ask for solves a 2 × 2 least-squares problem at each position (Odstrčil, Menzel and Guizar-Sicairos,
Optics Express 26, 3108 (2018)). Annealing: positions nearby are tried, and the one that fits best is kept (Maiden et
al., Ultramicroscopy 120, 64 (2012)).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .changes import changes, detector_waves
from .frames import Estimate, Frames, Spread, shares
from .products import dot
from .propagate import Propagator
from .waves import on_host, replace_modulus

Array = Any


def at(places: Array, frames: Frames) -> Frames:
    """The same frames with their windows at other places.

    Args:
        places: Rows and columns on the object, shape (position, 2), not rounded.
        frames: The frames.
    """
    corners = np.rint(places).astype(np.int64)
    return replace(frames, corners=corners, shifts=places - corners)


def gradient_steps(
    estimate: Estimate, frames: Frames, propagator: Propagator, spread: Spread, *, workers: int = 1, share: int = 16
) -> Array:
    """How far each window has to move for its pattern to fit best, to first order; shape (position, 2), in pixels."""
    slopes = _slopes(estimate.image)

    def steps(part: Array) -> Array:
        change = changes(estimate, frames, part, propagator)
        # changes() may have used the room of the exit waves, never that of the light
        down, right = (
            estimate.sample.along(estimate.image, slope, change.passage, None, frames.corners[part]) for slope in slopes
        )
        a11, a22, a12 = dot(down, down), dot(right, right), dot(down, right)
        b1, b2 = dot(down, change.asked), dot(right, change.asked)
        # a little of the diagonal keeps the step short where the object is flat along one direction
        a11, a22 = a11 * 1.01 + 1e-30, a22 * 1.01 + 1e-30
        determinant = a11 * a22 - a12 * a12
        return np.stack([(b1 * a22 - b2 * a12) / determinant, (b2 * a11 - b1 * a12) / determinant], axis=1)

    return np.concatenate(list(spread(steps, _parts(frames, workers, share))))


def annealed(
    estimate: Estimate,
    frames: Frames,
    propagator: Propagator,
    spread: Spread,
    *,
    radius: float,
    trials: int,
    random: np.random.Generator,
    workers: int = 1,
    share: int = 16,
) -> Array:
    """The best of some random steps of each window, none of which is longer than a radius; shape (position, 2).

    Args:
        estimate: Object and probe.
        frames: The frames.
        propagator: To the detector.
        spread: Calls functions on threads.
        radius: In pixels; windows that would leave the object stay.
        trials: How many steps are tried; to stay is always among them.
        random: Where the steps come from.
        workers: How many threads.
        share: Most positions to be worked on at once.
    """
    here = frames.corners + (0 if frames.shifts is None else frames.shifts)
    length = radius * np.sqrt(random.random((trials, len(frames))))
    angle = 2 * np.pi * random.random((trials, len(frames)))
    tried = np.concatenate(
        [np.zeros((1, len(frames), 2)), np.stack([length * np.sin(angle), length * np.cos(angle)], -1)]
    )
    room = np.asarray(estimate.image.shape[-2:]) - np.asarray(estimate.probe.shape[-2:])
    tried = np.clip(here + tried, 0, room) - here
    parts = _parts(frames, workers, share)
    errors = [
        np.concatenate(list(spread(_misfit(estimate, at(here + step, frames), propagator), parts))) for step in tried
    ]
    return tried[np.argmin(errors, axis=0), np.arange(len(frames))]


@dataclass(frozen=True, slots=True)
class Affine:
    """What a table of positions did to the positions that were asked for: ``real = offset + matrix @ (asked − middle)``."""

    matrix: Array
    """Shape (2, 2), for row and column."""
    offset: Array
    """Shape (2,), in pixels: mean step."""

    @classmethod
    def between(cls, asked: Array, real: Array) -> Affine:
        """The affine map that takes one set of positions, shape (position, 2), to another best (least squares)."""
        middle = asked.mean(axis=0)
        matrix = np.linalg.lstsq(asked - middle, real - real.mean(axis=0), rcond=None)[0].T
        return cls(matrix, real.mean(axis=0) - middle)

    def of(self, asked: Array) -> Array:
        """Positions after the map."""
        middle = asked.mean(axis=0)
        return middle + self.offset + (asked - middle) @ self.matrix.T

    @property
    def rotation(self) -> float:
        """In degree, from the column's axis towards the row's."""
        return float(np.degrees(np.arctan2(self.matrix[0, 1], self.matrix[1, 1])))

    @property
    def scale(self) -> tuple[float, float]:
        """Along rows and along columns."""
        across = float(np.hypot(self.matrix[0, 1], self.matrix[1, 1]))
        return float(np.linalg.det(self.matrix)) / across, across

    @property
    def shear(self) -> float:
        """In degree: how much the axes' angle is less than a right one."""
        down, right = self.matrix[:, 0], self.matrix[:, 1]
        return float(np.degrees(np.arcsin(down @ right / (np.linalg.norm(down) * np.linalg.norm(right)))))


def _misfit(estimate: Estimate, frames: Frames, propagator: Propagator) -> Any:
    def misfit(part: Array) -> Array:
        waves = detector_waves(estimate, frames, part, propagator)
        return on_host(replace_modulus(waves, frames.amplitudes[part], frames.valid, frames.background))

    return misfit


def _parts(frames: Frames, workers: int, share: int) -> list[Array]:
    return shares(np.arange(len(frames)), max(workers, -(-len(frames) // share)))


def _slopes(image: Array) -> tuple[Array, Array]:
    """Central differences along rows and columns; zero at the edge."""
    down, right = 0 * image, 0 * image
    down[..., 1:-1, :] = (image[..., 2:, :] - image[..., :-2, :]) / 2
    right[..., 1:-1] = (image[..., 2:] - image[..., :-2]) / 2
    return down, right

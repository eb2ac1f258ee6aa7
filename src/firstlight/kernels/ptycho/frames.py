"""What an engine fits, and what it fits it to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol, TypeVar

from .samples import THIN, Sample

Array = Any
Part = TypeVar("Part")
Found = TypeVar("Found")


class Spread(Protocol):
    """Calls a function for each part, on as many threads as the caller has; results in the order of the parts."""

    def __call__(self, function: Callable[[Part], Found], parts: Iterable[Part], /) -> Iterable[Found]:
        """Do all, and wait."""
        ...


@dataclass(slots=True)
class Estimate:
    """Object and probe as they are known now; engines change the arrays in place."""

    image: Array
    """The object, shape (y, x), complex; (layer, y, x) if the sample has layers."""
    probe: Array
    """Shape (mode, v, u), complex; Σ|probe|² is the number of photons of a frame."""
    sample: Sample = THIN
    """How light goes through the object."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Diffraction patterns and where they were taken."""

    amplitudes: Array
    """Shape (position, v, u), float: √ of the photon counts, zero frequency at the corner (far field); an array, or
    anything that gives one for some positions (`stored`)."""
    corners: Array
    """Shape (position, 2), int64 on the host: first row and column of the window on the object."""
    valid: Array
    """Shape (v, u), bool: pixels that measure."""
    shifts: Array | None = None
    """Shape (position, 2), float on the host: what is left of the places when the corners are taken off (`subpixel`)."""

    shapes: Array | None = None
    """Shape (shape, v, u): what the first mode of the probe may differ by from frame to frame (`varying`)."""
    weights: Array | None = None
    """Shape (position, shape), complex128 on the host: how much of each there is in each frame."""
    background: Array | None = None
    """Shape (v, u), float: photons of each frame that do not come through probe and object; None: none."""

    def __len__(self) -> int:
        """Number of positions."""
        return len(self.corners)

    def take(self, places: Array) -> Frames:
        """Some of the frames, as arrays of their own."""
        return replace(
            self,
            amplitudes=self.amplitudes[places],
            corners=self.corners[places],
            shifts=None if self.shifts is None else self.shifts[places],
            weights=None if self.weights is None else self.weights[places],
        )


def alone(frames: Frames) -> bool:
    """True if each position has a probe of its own."""
    return frames.shifts is not None or frames.weights is not None


def shares(places: Array, parts: int) -> list[Array]:
    """Cut an array of places into so many nearly equal parts, none empty."""
    # numpy's array_split says the same, but takes longer than the work on a few small waves
    count = min(parts, len(places))
    edges = (-(-len(places) * k // count) for k in range(count + 1)) if count else ()
    return [places[start:stop] for start, stop in pairwise(edges)]

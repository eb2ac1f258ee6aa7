"""One plane of the sample, kept up to date with a ring of projections."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.kernels.angles import angular_weights
from firstlight.kernels.slices import add_to_xy, add_to_xz, add_to_yz

from .ring import Ring

PlaneName = Literal["xy", "xz", "yz"]

_SAME = 1e-4
"""Weights that differ by less than this share of a usual one are left as they are."""
_GOLDEN = 0.6180339887498949
_REFILTERED = 2
"""Projections filtered anew between two looks at the clock."""
COARSE_STEP = 4
"""Pixels of the volume per pixel of a coarse plane."""
SHOW = 0.25
"""Share of a plane that must be there before it is shown in place of the coarse one."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a plane lies."""

    name: PlaneName
    position: float
    """Along z, y or x."""
    center: float
    rows: int
    columns: int


@dataclass(slots=True)
class Sums:
    """Weighted sums of filtered projections on a plane, and which weight each projection has in them."""

    geometry: Geometry
    places: int
    step: int = 1
    image: Array = field(init=False)
    applied: Array = field(init=False)
    """Shape (place,): the weight with which each place of the ring is in the sums, in radian."""
    changes: int = 0
    """Projections added and taken back since the sums were empty, for rounding."""

    def __post_init__(self) -> None:
        """Start with empty sums."""
        pixels = -(-self.geometry.columns // self.step)
        shape = (2, pixels, pixels) if self.geometry.name == "xy" else (pixels, self.geometry.rows)
        self.image = np.zeros(shape, np.float32)
        self.applied = np.zeros(self.places)

    def add(self, ring: Ring, places: Ids, weights: Array) -> None:
        """Add projections with a weight; a negative one takes back."""
        if places.size == 0:
            return
        known, angles = self.geometry, ring.angle[places]
        middle = (self.step * -(-known.columns // self.step) - known.columns) / 2
        size = known.columns + round(2 * middle)
        if known.name == "xy":
            add_to_xy(
                self.image, ring.cache, places, angles, weights,
                row=known.position, center=known.center, step=self.step,
            )  # fmt: skip
        elif known.name == "xz":
            add_to_xz(
                self.image, ring.cache, places, angles, weights,
                y=known.position + middle, center=known.center, size=size, step=self.step,
            )  # fmt: skip
        else:
            add_to_yz(
                self.image, ring.cache, places, angles, weights,
                x=known.position + middle, center=known.center, size=size, step=self.step,
            )  # fmt: skip
        self.applied[places] += weights
        self.changes += places.size

    def missing(self, ring: Ring) -> Ids:
        """Places whose weight is not what it ought to be."""
        usual = float(ring.weight.max(initial=0.0)) or 1.0
        return np.flatnonzero(np.abs(ring.weight - self.applied) > _SAME * usual)

    def follow(self, ring: Ring, *, everything: bool) -> None:
        """Take back what left the ring; with `everything`, bring all weights up to date in the same pass."""
        places = self.missing(ring)
        if not everything:
            places = places[self.applied[places] != 0]
        self.add(ring, places, ring.weight[places] - self.applied[places])

    @property
    def turn(self) -> float:
        """The part of the half turn that the sums hold, in radian."""
        return float(self.applied.sum())

    def picture(self) -> Array:
        """A new image (down, across) in 1/pixel, as if the part of the half turn that is there were all of it."""
        image = self.image[0] + self.image[1].T if self.geometry.name == "xy" else self.image.T.copy()
        image *= np.float32(np.pi / self.turn if self.turn > 1e-9 else 0.0)
        return image


@dataclass(slots=True)
class Plane:
    """What is shown of a plane, and what is being made to replace it."""

    geometry: Geometry
    places: int
    current: Sums | None = None
    """Up to date with the ring; None while only coarse or growing sums exist."""
    growing: Sums | None = None
    """Sums that take in the ring bit by bit."""
    coarse: Array | None = None
    """Shown until enough of `growing` is there."""

    @property
    def complete(self) -> bool:
        """True if the picture is the full one."""
        return self.current is not None

    def move(self, ring: Ring, geometry: Geometry, seconds: float) -> None:
        """Go elsewhere: a coarse picture at once, the full one grows."""
        self.geometry = geometry
        self.current, self.growing = None, Sums(geometry, self.places)
        self.coarse = coarse_picture(ring, geometry, seconds)

    def filter_anew(self) -> None:
        """Show the old picture until enough of the newly filtered one has grown."""
        self.coarse = self.picture()
        self.current, self.growing = None, Sums(self.geometry, self.places)

    def restart(self) -> None:
        """Begin with empty sums, that follow the ring from now on."""
        self.current, self.growing, self.coarse = Sums(self.geometry, self.places), None, None

    def refresh(self) -> None:
        """Let fresh sums grow beside the present ones, which have gathered rounding errors."""
        if self.growing is None:
            self.growing = Sums(self.geometry, self.places)

    def follow(self, ring: Ring) -> None:
        """Count what came into the ring and what left it."""
        if self.current is not None:
            self.current.follow(ring, everything=True)
        if self.growing is not None:
            self.growing.follow(ring, everything=False)

    def grow(self, ring: Ring, *, most: int | None = None, until: float | None = None) -> bool:
        """Take more of the ring into the growing sums; True if some is left.

        Args:
            ring: the projections.
            most: projections to take at most.
            until: when to stop (``time.perf_counter``).
        """
        if self.growing is None:
            return False
        places = _spread(ring, self.growing.missing(ring))
        room = places.size if most is None else min(most, places.size)
        done, batch = 0, 1
        while done < room and (until is None or time.perf_counter() < until):
            started = time.perf_counter()
            part = places[done : min(done + batch, room)]
            part = part[np.cumsum(ring.stale[part]) <= _REFILTERED]  # filtering takes longer than adding
            ring.refilter(part)
            self.growing.add(ring, part, ring.weight[part] - self.growing.applied[part])
            done += part.size
            now = time.perf_counter()
            if until is not None:  # half of what seems to fit into the time that is left
                batch = int(np.clip((until - now) / 2 / max((now - started) / part.size, 1e-6), 1, 128))
            else:
                batch = room
        if done >= places.size:
            self.current, self.growing, self.coarse = self.growing, None, None
        return self.growing is not None

    def picture(self) -> Array:
        """A new image (down, across) in 1/pixel: the best there is."""
        if self.current is not None:
            return self.current.picture()
        if self.growing is not None and (self.coarse is None or self.growing.turn >= SHOW * np.pi):
            return self.growing.picture()
        return np.zeros(self._shape(), np.float32) if self.coarse is None else self.coarse.copy()

    def _shape(self) -> tuple[int, int]:
        down = self.geometry.columns if self.geometry.name == "xy" else self.geometry.rows
        return (down, self.geometry.columns)


def _spread(ring: Ring, places: Ids) -> Ids:
    """An order in which any first part of the places is spread evenly over the half turn."""
    rank = np.argsort(np.argsort(np.mod(ring.angle[places], 180.0), kind="stable"), kind="stable")
    return places[np.argsort(np.mod(rank * _GOLDEN, 1.0), kind="stable")]


def coarse_picture(ring: Ring, geometry: Geometry, seconds: float) -> Array | None:
    """A plane of few large pixels from as many projections as time allows, stretched to full size."""
    there = np.flatnonzero(ring.weight > 0)
    if there.size == 0:
        return None
    until = time.perf_counter() + seconds
    order, step = _spread(ring, there), min(COARSE_STEP, max(1, geometry.columns // 16))
    sums = Sums(geometry, len(ring.id), step)
    done, batch = 0, 8
    while done < order.size and (done == 0 or time.perf_counter() < until):
        part = order[done : done + batch]
        sums.add(ring, part, np.ones(part.size))
        done += part.size
    if done < order.size:  # an even part of the angles: all weigh the same
        scale = np.ones(1)
    else:
        scale = angular_weights(ring.angle[order])
        sums.add(ring, order, scale / scale.mean() - 1.0)
    return _stretched(sums, geometry)


def _stretched(sums: Sums, geometry: Geometry) -> Array:
    """Linear interpolation from the large pixels to all."""
    image, step, size = sums.picture(), sums.step, geometry.columns
    pixels = -(-size // step)
    place = (np.arange(size) - (size - 1) / 2) / step + (pixels - 1) / 2
    base = np.clip(place.astype(np.int64), 0, max(pixels - 2, 0))
    part = np.clip(place - base, 0.0, 1.0).astype(np.float32)
    after = np.minimum(base + 1, pixels - 1)
    image = image[:, base] * (1 - part) + image[:, after] * part
    if geometry.name == "xy":
        image = image[base] * (1 - part[:, None]) + image[after] * part[:, None]
    return np.ascontiguousarray(image)

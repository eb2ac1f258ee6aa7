"""Diffraction patterns in memory, in the order of their ids, with their positions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from firstlight.core.arrays import Array, Ids

ZeroFrequency = Literal["auto", "center", "corner"]


def amplitudes_of(counts: Array) -> Array:
    """Square roots of counts, float32; NaN where a pixel does not measure: negative, NaN, or the type's largest value.

    Args:
        counts: Shape (position, v, u). Detectors mark masked and saturated pixels with the largest integer.
    """
    dead = counts < 0 if counts.dtype.kind in "if" else np.zeros(counts.shape, bool)
    if counts.dtype.kind in "iu" and counts.dtype.itemsize > 1:
        dead |= counts == np.iinfo(counts.dtype).max
    with np.errstate(invalid="ignore"):
        found = np.sqrt(counts.astype(np.float32))
    found[dead] = np.nan
    return found


def has_corner_zero(mean: Array) -> bool:
    """True if a mean pattern has its zero frequency at the corner [0, 0]: its light lies there, not in the middle.

    Args:
        mean: Shape (v, u).
    """
    rows, cols = mean.shape
    middle = float(mean[rows // 4 : -(rows // 4) or None, cols // 4 : -(cols // 4) or None].sum())
    return middle < 0.5 * float(mean.sum())


@dataclass(slots=True)
class Patterns:
    """Amplitudes and places of the frames that have come; grows by doubling."""

    window: tuple[int, int]
    keys: list[int] = field(default_factory=list[int])
    """Ids, in the order of arrival."""
    epoch: int = 0
    _amplitudes: Array = field(init=False)
    _places: Array = field(init=False)
    valid: Array = field(init=False)
    """Shape (v, u): pixels that measured in every frame so far."""
    _moves: Array = field(init=False)
    _order: Ids | None = None

    def __post_init__(self) -> None:
        """Nothing yet."""
        self._amplitudes = np.empty((0, *self.window), np.float32)
        self._places = np.empty((0, 2), np.float64)
        self._moves = np.empty((0, 2), np.float64)
        self.valid = np.ones(self.window, bool)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.keys)

    @property
    def amplitudes(self) -> Array:
        """Shape (position, v, u), in the order of arrival; zero where a pixel is not valid."""
        return self._amplitudes[: len(self)]

    @property
    def places(self) -> Array:
        """Upper left corners of the windows in pixels, shape (position, 2), not rounded."""
        return self._places[: len(self)]

    @property
    def moves(self) -> Array:
        """How far windows were found from where they were said to be, shape (position, 2), in pixels; may be written to."""
        return self._moves[: len(self)]

    @property
    def refined(self) -> Array:
        """Upper left corners of the windows as they were found, shape (position, 2), not rounded."""
        return self.places + self.moves

    @property
    def corners(self) -> Ids:
        """The same in whole pixels."""
        return np.rint(self.refined).astype(np.int64)

    def add(self, ids: Ids, amplitudes: Array, places: Array) -> None:
        """Take frames in; NaN in an amplitude makes its pixel invalid from now on."""
        stop = len(self) + len(ids)
        if stop > len(self._amplitudes):
            room = max(stop, 2 * len(self._amplitudes), 64)
            self._amplitudes = _longer(self._amplitudes, room, len(self))
            self._places = _longer(self._places, room, len(self))
            self._moves = _longer(self._moves, room, len(self))
        dead = np.isnan(amplitudes)
        if dead.any():
            self.valid &= ~dead.any(axis=0)
            amplitudes = np.where(dead, np.float32(0), amplitudes)
        self._amplitudes[len(self) : stop] = amplitudes
        self._places[len(self) : stop] = places
        self._moves[len(self) : stop] = 0
        self.keys += ids.tolist()
        self._order = None

    def replace(self, amplitudes: Array, valid: Array) -> None:
        """Other amplitudes for the frames there are, in the order of arrival: the same, seen another way."""
        self._amplitudes, self.valid = amplitudes, valid

    def by_id(self) -> Ids:
        """Where the frames lie, in the order of their ids: arrival must not show in a result."""
        if self._order is None:
            self._order = np.argsort(np.asarray(self.keys, np.int64), kind="stable")
        return self._order


def _longer(array: Array, room: int, used: int) -> Array:
    grown = np.empty((room, *array.shape[1:]), array.dtype)
    grown[:used] = array[:used]
    return grown

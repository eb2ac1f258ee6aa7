"""Diffraction patterns that have come, with their positions, and their order by id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.kernels.ptycho.stored import Stored

from .shelf import Shelf

ZeroFrequency = Literal["auto", "center", "corner"]


_DEAD = {2: 65535}
"""By bytes of a pixel: the count with which detectors mark masked and saturated pixels."""


def kept_type(dtype: str, *, double: bool = False, marked: bool = False) -> str:
    """The type in which frames are kept: small counts as they are, anything else as amplitudes.

    Args:
        dtype: Of the frames as they come.
        double: True where amplitudes shall be double.
        marked: True where dead pixels are marked in the frames, for which 8 bits have no room.
    """
    given = np.dtype(dtype)
    if given.kind == "u" and given.itemsize <= 2:
        if marked:
            return "<u2"
        return given.newbyteorder("=").str
    return "float64" if double else "float32"


def kept_as(frames: Array, kept: str, saturation: float | None = None) -> Array:
    """Frames of counts as they are kept, see `kept_type`.

    Args:
        frames: Counts.
        kept: Type of what is kept.
        saturation: From this count on, a pixel is dead.
    """
    counted = kept[-2] == "u"
    found = frames.astype(kept, copy=False) if counted else amplitudes_of(frames, kept)
    if saturation is None:
        return found
    return np.where(frames >= saturation, found.dtype.type(_DEAD[2] if counted else np.nan), found)


def amplitudes_of(counts: Array, dtype: str = "float32") -> Array:
    """Square roots of counts; NaN where a pixel does not measure: negative, NaN, or the type's largest value.

    Args:
        counts: Shape (position, v, u). Detectors mark masked and saturated pixels with the largest integer.
        dtype: Of the amplitudes.
    """
    dead = counts < 0 if counts.dtype.kind in "if" else np.zeros(counts.shape, bool)
    if counts.dtype.kind in "iu" and counts.dtype.itemsize > 1:
        dead |= counts == np.iinfo(counts.dtype).max
    with np.errstate(invalid="ignore"):
        found = np.sqrt(counts.astype(dtype))
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
    """Frames and places that have come, in the order of arrival; counts stay counts, so that they take no more room."""

    window: tuple[int, int]
    """Rows and columns of a frame."""
    kept: str = "float32"
    """Type in which frames are kept: unsigned integers are counts, floats are amplitudes."""
    memory: float = 2.0**32
    """Bytes of frames that stay in memory."""
    scratch: Path | None = None
    """Folder for the others."""
    keys: list[int] = field(default_factory=list[int])
    """Ids, in the order of arrival."""
    epoch: int = 0
    shapes: int = 0
    """In how many ways the probe may vary."""
    valid: Array = field(init=False)
    """Shape (v, u): pixels that measured in every frame so far."""
    _shelf: Shelf = field(init=False)
    _places: Array = field(init=False)
    _moves: Array = field(init=False)
    _weights: Array = field(init=False)
    _order: Ids | None = None
    _mean: Array | None = None

    def __post_init__(self) -> None:
        """Nothing yet."""
        self._shelf = Shelf(self.window, self.kept, self.memory, self.scratch)
        self._places = np.empty((0, 2), np.float64)
        self._moves = np.empty((0, 2), np.float64)
        self._weights = np.empty((0, self.shapes), np.complex128)
        self.valid = np.ones(self.window, bool)

    def again(self, epoch: int) -> Patterns:
        """Nothing yet, of a later scan with the same detector."""
        return Patterns(self.window, self.kept, self.memory, self.scratch, epoch=epoch, shapes=self.shapes)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.keys)

    @property
    def in_file(self) -> bool:
        """True once frames lie on disk."""
        return self._shelf.in_file

    def stored(self, dtype: str = "float32") -> Stored:
        """Amplitudes in the order of the ids, read when they are asked for."""
        return Stored(self._shelf.frames, self.by_id(), dtype)

    @property
    def mean(self) -> Array:
        """Mean counts of each pixel, shape (v, u), float64; zero where it is not valid."""
        if self._mean is None:
            self._mean = self.stored().mean_counts()
        return self._mean * self.valid

    @property
    def power(self) -> float:
        """Sum of the measured intensities over valid pixels."""
        return float(self.mean.sum()) * len(self)

    @property
    def places(self) -> Array:
        """Upper left corners of the windows in pixels, shape (position, 2), not rounded."""
        return self._places[: len(self)]

    @property
    def moves(self) -> Array:
        """How far windows were found from where they were said to be, shape (position, 2), in pixels; may be written to."""
        return self._moves[: len(self)]

    @property
    def weights(self) -> Array:
        """How the probe varies, shape (position, shape), complex; may be written to."""
        return self._weights[: len(self)]

    @property
    def refined(self) -> Array:
        """Upper left corners of the windows as they were found, shape (position, 2), not rounded."""
        return self.places + self.moves

    @property
    def corners(self) -> Ids:
        """The same in whole pixels."""
        return np.rint(self.refined).astype(np.int64)

    def add(self, ids: Ids, frames: Array, places: Array) -> None:
        """Take frames in; a dead pixel (NaN in an amplitude, the largest 16-bit count) is invalid from now on."""
        used, stop = len(self), len(self) + len(ids)
        self._shelf.reach(stop, used)
        if stop > len(self._places):
            room = max(stop, 2 * len(self._places), 64)
            self._places, self._moves, self._weights = (
                _longer(array, room, used) for array in (self._places, self._moves, self._weights)
            )
        dead = np.isnan(frames) if frames.dtype.kind == "f" else frames == _DEAD.get(frames.dtype.itemsize, -1)
        if dead.any():
            self.valid &= ~dead.any(axis=0)
            frames = np.where(dead, frames.dtype.type(0), frames)
        self._shelf.frames[used:stop] = frames
        self._places[used:stop] = places
        self._moves[used:stop], self._weights[used:stop] = 0, 0
        self.keys += ids.tolist()
        self._order = self._mean = None

    def turn(self, turned: Callable[[Array], Array]) -> None:
        """See all frames another way: turned or mirrored, as many at a time as go easily into memory."""
        for start in range(0, len(self), 64):
            some = slice(start, min(start + 64, len(self)))
            self._shelf.frames[some] = turned(np.asarray(self._shelf.frames[some]))
        self.valid, self._mean = turned(self.valid), None

    def forget(self) -> None:
        """Positions are where they were said to be, and the probe is the same everywhere."""
        self.moves[...], self.weights[...] = 0, 0

    def by_id(self) -> Ids:
        """Where the frames lie, in the order of their ids: arrival must not show in a result."""
        if self._order is None:
            self._order = np.argsort(np.asarray(self.keys, np.int64), kind="stable")
        return self._order


def _longer(array: Array, room: int, used: int) -> Array:
    grown = np.zeros((room, *array.shape[1:]), array.dtype)
    grown[:used] = array[:used]
    return grown

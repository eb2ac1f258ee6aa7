"""Patches that have come, with their places, and the image that they make together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.errors import StepFailed
from firstlight.kernels.ptycho.mosaic import between_pixels, neighbours, overlaps, phase_offsets
from firstlight.operators.ptychography.shelf import Shelf

from .canvas import GrowingCanvas

_DIM = 1e-3
"""Pixels of a patch with a smaller weight are not kept."""
_LARGEST = 2**28
"""Pixels of the image: a position that lies further away is a mistake."""
_AGAIN = 2.0
"""All phases are found anew when there are so many times as many patches as the last time."""


@dataclass(slots=True)
class Mosaic:
    """Patches in the order of arrival, and the image that they make.

    While they come, each is laid on the image so that its phase fits what lies there. Now and then, and at the end (`settle`), the
    phases of all are found together, from all overlaps at once: that image depends on the ids alone.
    """

    weights: Array
    """Shape (v, u), float32."""
    pixel: Array
    """Height and width of a pixel, in the unit of the positions."""
    memory: float
    scratch: Path | None = None
    epoch: int = 0
    keys: list[int] = field(default_factory=list[int])
    _box: tuple[slice, slice] = field(init=False)
    """The part of a patch that is kept."""
    _shelf: Shelf = field(init=False)
    _corners: list[Ids] = field(default_factory=list[Ids])
    """First row and column of each window, as it came."""
    _reach: tuple[Ids, Ids] | None = None
    """Smallest and largest of them."""
    _canvas: GrowingCanvas = field(default_factory=GrowingCanvas)
    _solved: int = 0
    """Patches whose phases were found together."""
    _known: tuple[Ids, Array] = field(default_factory=lambda: (np.empty(0, np.int64), np.empty(0, np.complex128)))
    """Overlaps that were looked at: both patches in the order of arrival, as one number, sorted; and what they say."""

    def __post_init__(self) -> None:
        """Nothing yet."""
        rows, cols = (np.flatnonzero((self.weights > _DIM * self.weights.max()).any(axis=axis)) for axis in (1, 0))
        self._box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)
        size = self.weights[self._box].shape
        self._shelf = Shelf((size[0], size[1]), "complex64", self.memory, self.scratch)

    def __len__(self) -> int:
        """Number of patches."""
        return len(self.keys)

    @property
    def first(self) -> Array:
        """Row and column of the image's first pixel, counted as those of the windows."""
        return np.asarray(self._extent[0], np.float64)

    def restart(self, epoch: int) -> None:
        """Nothing yet, of a later scan."""
        self.epoch, self.keys, self._corners, self._reach = epoch, [], [], None
        self._canvas, self._solved = GrowingCanvas(), 0
        self._known = np.empty(0, np.int64), np.empty(0, np.complex128)

    def add(self, ids: Ids, patches: Array, places: Array, *, subpixel: bool) -> None:
        """Take patches in.

        Args:
            ids: Of the frames.
            patches: Shape (frame, v, u), complex64.
            places: Upper left corners of the windows in pixels, shape (frame, 2).
            subpixel: Put patches between pixels; otherwise on the nearest.

        Raises:
            StepFailed: A place is no number, or lies too far away from the others.
        """
        if not len(ids):
            return
        if not np.isfinite(places).all() or np.abs(places).max(initial=0) > 2**40:
            raise StepFailed(
                "A position is no number.",
                field="positions",
                value=str(places[~np.isfinite(places).all(axis=1)][:1]),
                next_move="Put `exclude_outside` in front, which leaves such positions out and counts them.",
            )
        corners = np.rint(places).astype(np.int64)
        self._grow(corners)
        moved = between_pixels(patches, places - corners) if subpixel else patches
        used, stop = len(self), len(self) + len(ids)
        self._shelf.reach(stop, used)
        self._shelf.frames[used:stop] = moved[:, *self._box]
        self._corners.append(corners)
        self.keys += ids.tolist()

    def _grow(self, corners: Ids) -> None:
        """Learn how far the image reaches.

        Raises:
            StepFailed: Too far.
        """
        low, high = corners.min(axis=0), corners.max(axis=0)
        if self._reach is not None:
            low, high = np.minimum(low, self._reach[0]), np.maximum(high, self._reach[1])
        extent = [int(n) for n in high - low + np.asarray(self.weights.shape)]
        if extent[0] * extent[1] > _LARGEST:
            raise StepFailed(
                "The positions lie too far apart for one image.",
                field="positions",
                value=f"{extent[0]} × {extent[1]} pixels",
                expected=f"at most {_LARGEST} pixels in all",
                next_move="Look at the unit of the positions and at the pixel of the object.",
            )
        self._reach = low, high

    def together(self) -> tuple[Array, Array, Array]:
        """The image, the sum of weights, and how far patches differ, where windows were; see `mean_of`."""
        shape = self.weights.shape
        if self._reach is None:
            return np.ones(shape, np.complex64), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        if len(self) >= _AGAIN * self._solved:
            self.settle()
        new = np.arange(self._canvas.count, len(self))
        if len(new):
            corners = self._places()
            self._canvas.lay(self._patches, new, corners[new] + self._inset, self._light, self._extent)
        return self._canvas.picture(*self._extent)

    def settle(self) -> bool:
        """Find the phases of all patches together; True if there was something new."""
        if self._solved == len(self):
            return False
        order = np.argsort(np.asarray(self.keys, np.int64), kind="stable")
        corners = self._places()[order]
        pairs = neighbours((corners - corners.min(axis=0)).astype(np.float64))
        turns = np.exp(-1j * phase_offsets(self._agreement(order, corners, pairs), pairs, len(order)))
        self._canvas = GrowingCanvas()
        self._canvas.lay(self._patches, order, corners + self._inset, self._light, self._extent, turns)
        self._solved = len(self)
        return True

    def _agreement(self, order: Ids, corners: Ids, pairs: Ids) -> Array:
        """What pairs of patches say about each other's phase; those that were looked at before are remembered."""
        first, second = order[pairs].T
        numbers = np.minimum(first, second) << 32 | np.maximum(first, second)
        keys, said = self._known
        at = np.minimum(np.searchsorted(keys, numbers), max(len(keys) - 1, 0))
        seen = keys[at] == numbers if len(keys) else np.zeros(len(numbers), bool)
        found = np.empty(len(numbers), np.complex128)
        found[seen] = said[at[seen]]
        found[~seen] = overlaps(self._patches, order, corners, self._light, pairs[~seen])
        # it is kept as the patch that came first sees it
        turned = first > second
        found[seen & turned] = found[seen & turned].conj()
        sort = np.argsort(numbers)
        self._known = numbers[sort], np.where(turned, found.conj(), found)[sort]
        return found

    # ---- views of what is kept ---------------------------------------------------------------------------------------

    def _places(self) -> Ids:
        if len(self._corners) > 1:
            self._corners = [np.concatenate(self._corners)]
        return self._corners[0]

    @property
    def _patches(self) -> Array:
        return np.asarray(self._shelf.frames)

    @property
    def _light(self) -> Array:
        return np.ascontiguousarray(self.weights[self._box])

    @property
    def _inset(self) -> Ids:
        """From a window's first pixel to that of the part that is kept."""
        return np.array([part.start for part in self._box], np.int64)

    @property
    def _extent(self) -> tuple[Ids, Ids]:
        """First row and column of the image, and those behind it."""
        if self._reach is None:
            return np.zeros(2, np.int64), np.array(self.weights.shape, np.int64)
        return self._reach[0], self._reach[1] + np.array(self.weights.shape)

"""Patches that have come, with their places, and the image that they make together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.errors import StepFailed
from firstlight.kernels.ptycho.mosaic import between_pixels, neighbours, overlaps, phase_offsets, stitched
from firstlight.operators.ptychography.shelf import Shelf

_DIM = 1e-3
"""Pixels of a patch with a smaller weight are not kept."""
_LARGEST = 2**28
"""Pixels of the image: a position that lies further away is a mistake."""


@dataclass(slots=True)
class Mosaic:
    """Patches in the order of arrival; what is made of them depends on their ids alone."""

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

    def __post_init__(self) -> None:
        """Nothing yet."""
        rows, cols = (np.flatnonzero((self.weights > _DIM * self.weights.max()).any(axis=axis)) for axis in (1, 0))
        self._box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)
        size = self.weights[self._box].shape
        self._shelf = Shelf((size[0], size[1]), "complex64", self.memory, self.scratch)

    def __len__(self) -> int:
        """Number of patches."""
        return len(self.keys)

    def restart(self, epoch: int) -> None:
        """Nothing yet, of a later scan."""
        self.epoch, self.keys, self._corners, self._reach = epoch, [], [], None

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
        """The image, the sum of weights, and how far patches differ, where windows were; see `stitched`."""
        shape = self.weights.shape
        if not self.keys:
            return np.ones(shape, np.complex64), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        order = np.argsort(np.asarray(self.keys, np.int64), kind="stable")
        corners = np.concatenate(self._corners)[order]
        corners -= corners.min(axis=0)
        size = corners.max(axis=0) + np.asarray(shape)
        first = np.array([part.start for part in self._box], np.int64)
        weights, patches = np.ascontiguousarray(self.weights[self._box]), np.asarray(self._shelf.frames)
        pairs = neighbours(corners.astype(np.float64))
        agreement = overlaps(patches, order, corners, weights, pairs)
        offsets = phase_offsets(agreement, pairs, len(order))
        return stitched(patches, order, corners + first, weights, offsets, (int(size[0]), int(size[1])))

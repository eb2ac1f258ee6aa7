"""Parallel-beam projection of slices and its exact adjoint, several slices side by side.

Joseph's projector (IEEE Trans. Med. Imaging 1 (1982) 192): a ray is followed row by row of the image (column by column
where it runs closer to horizontal), and each crossing is interpolated linearly between its two neighbours. Seen from a
pixel, that is a hat on the detector of half width ``c = max(|cos|, |sin|)`` and height ``1/c``; so the adjoint is gathered
from the same numbers, and neither direction writes to a place twice. A hat of half width 1 and height 1 is the linear
interpolation of filtered back-projection.

Bound by the processor: each update reads two registers of sixteen slices out of the first-level cache.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .lanes import add_two, transposed
from .pause import pieces

F32 = NDArray[np.float32]

_TILE = 32
"""Pixels along a line for which weights are computed at once; a tile of 16 lines stays in the first-level cache."""
_LINES = 16
_TURNS = 16
"""Angles for which the image that a tile of rays crosses stays in the second-level cache."""


class ParallelProjector:
    """Projects images (y, x, lane) to sinograms (angle, col, lane) and back; may be called from several threads at once."""

    def __init__(
        self,
        angles_degrees: ArrayLike,
        columns: int,
        size: int,
        *,
        center: float | None = None,
        weights: ArrayLike | None = None,
        hat: bool = False,
    ) -> None:
        """Keep the geometry.

        Args:
            angles_degrees: shape (angle,), any order.
            columns: detector columns.
            size: width and height of the images.
            center: column of the rotation axis, the middle by default.
            weights: factor of each projection in both directions, 1 by default.
            hat: linear interpolation on the detector (hat of half width 1), as in filtered back-projection; otherwise
                Joseph's line integrals. Only Joseph's projector has a forward direction.

        Raises:
            ValueError: numbers that do not fit each other.
        """
        angles = np.atleast_1d(np.asarray(angles_degrees, np.float64))
        if angles.ndim != 1 or not np.all(np.isfinite(angles)):
            raise ValueError(f"angles_degrees has shape {angles.shape}, expected finite numbers (angle,).")
        if columns < 2 or size < 2:
            raise ValueError(f"{columns} columns and a size of {size}: expected 2 or more of each.")
        share = np.ones(angles.size) if weights is None else np.asarray(weights, np.float64)
        if share.shape != angles.shape:
            raise ValueError(f"weights has shape {share.shape}, expected {angles.shape}, one per projection.")
        turn = np.deg2rad(angles)
        self.angles, self.columns, self.size, self.hat = angles, columns, size, hat
        self.center = (columns - 1) / 2 if center is None else float(center)
        self.turn = np.stack([np.cos(turn), np.sin(turn)])
        width = np.ones(angles.size) if hat else np.abs(self.turn).max(axis=0)
        self.slope, self.height = (1 / width).astype(np.float32), (share / width).astype(np.float32)

    def subset(self, chosen: Any) -> ParallelProjector:
        """The projector of some of the angles, without weights."""
        return ParallelProjector(self.angles[chosen], self.columns, self.size, center=self.center, hat=self.hat)

    def project(self, images: F32) -> F32:
        """Integrate along every ray.

        Args:
            images: shape (y, x, lane), float32, contiguous.

        Returns:
            float32 (angle, col, lane).

        Raises:
            ValueError: another shape, or a projector with the hat of filtered back-projection.
        """
        if self.hat:
            raise ValueError("This projector has the weights of filtered back-projection. Make one with hat=False.")
        self._check(images, (self.size, self.size), "images")
        lanes = images.shape[2]
        out = np.zeros((self.angles.size, self.columns, lanes), np.float32)
        upright = np.abs(self.turn[0]) >= np.abs(self.turn[1])  # rays that never look at the image turned
        turned = images if upright.all() else transposed(images)
        pair = (images.reshape(-1), turned.reshape(-1))
        for part in pieces(self.angles.size, float(self.size) * self.columns * lanes, _TURNS):
            turn, height = np.ascontiguousarray(self.turn[:, part]), self.height[part]
            _project(lanes)(*pair, out[part].reshape(-1), self.size, self.columns, turn, height, self.center)
        return out

    def backproject(self, sinograms: F32, out: F32 | None = None) -> F32:
        """Add up for each pixel what the rays around it hold: the adjoint of `project`.

        Args:
            sinograms: shape (angle, col, lane), float32, contiguous.
            out: float32 (y, x, lane) to add to; zeros by default.

        Returns:
            float32 (y, x, lane).

        Raises:
            ValueError: another shape.
        """
        self._check(sinograms, (self.angles.size, self.columns), "sinograms")
        lanes = sinograms.shape[2]
        image = np.zeros((self.size, self.size, lanes), np.float32) if out is None else out
        self._check(image, (self.size, self.size), "out")
        flat = (sinograms.reshape(-1), image.reshape(-1))
        geometry = (self.turn, self.slope, self.height, self.center)
        for part in pieces(self.size, float(self.size) * self.angles.size * lanes, _LINES):
            _backproject(lanes)(*flat, self.size, part.start, part.stop, self.columns, *geometry)
        return image

    def _check(self, data: F32, shape: tuple[int, int], name: str) -> None:
        if data.shape[:2] != shape or data.dtype != np.float32 or not data.flags.c_contiguous:
            raise ValueError(f"{name} is {data.dtype} {data.shape}, expected contiguous float32 (*{shape}, lane).")


@numba.njit(nogil=True, cache=True, inline="always")
def _weigh(begin: Any, step: Any, slope: Any, height: Any, size: Any, at: Any, first: Any, second: Any) -> None:
    """Neighbours and weights at begin + step j along a line of `size` places; 0 outside."""
    base = np.floor(begin)
    start, each = np.float32(begin - base), np.float32(step)
    low, high, number = np.float32(-base), np.float32(size - 2 - base), np.int32(base)
    one, zero = np.float32(1), np.float32(0)
    for j in range(at.size):
        place = start + np.float32(j) * each
        left = min(max(np.floor(place), low), high)
        part = place - left
        at[j] = number + np.int32(left)
        first[j] = max(one - abs(part) * slope, zero) * height
        second[j] = max(one - abs(one - part) * slope, zero) * height


@cache
def _backproject(lanes: int) -> Any:
    """The compiled back-projector of so many lanes."""

    @numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
    def kernel(
        lines: Any,
        image: Any,
        size: Any,
        upper: Any,
        lower: Any,
        columns: Any,
        turn: Any,
        slope: Any,
        height: Any,
        center: Any,
    ) -> None:
        at = np.empty(_TILE, np.int32)
        first, second = np.empty(_TILE, np.float32), np.empty(_TILE, np.float32)
        middle = (size - 1) / 2
        for top in range(upper, lower, _LINES):
            for left in range(0, size, _TILE):
                count = min(_TILE, size - left)
                for a in range(turn.shape[1]):
                    for i in range(top, min(top + _LINES, lower)):
                        begin = (left - middle) * turn[0, a] + (middle - i) * turn[1, a] + center
                        _weigh(begin, turn[0, a], slope[a], height[a], columns, at, first, second)
                        to, line = (i * size + left) * lanes, a * columns
                        for j in range(count):
                            add_two(lanes, image, to + j * lanes, lines, (line + at[j]) * lanes, first[j], second[j])

    return kernel


@cache
def _project(lanes: int) -> Any:
    """The compiled projector of so many lanes."""

    @numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
    def kernel(
        image: Any, turned: Any, lines: Any, size: Any, columns: Any, turn: Any, height: Any, center: Any
    ) -> None:
        at = np.empty(_TILE, np.int32)
        first, second = np.empty(_TILE, np.float32), np.empty(_TILE, np.float32)
        middle, one = (size - 1) / 2, np.float32(1)
        angles = turn.shape[1]
        for early in range(0, angles, _TURNS):
            for left in range(0, columns, _TILE):
                count = min(_TILE, columns - left)
                for top in range(0, size, _LINES):
                    for a in range(early, min(early + _TURNS, angles)):
                        c, s = turn[0, a], turn[1, a]
                        upright = abs(c) >= abs(s)  # the ray crosses every row; otherwise every column
                        step = 1 / c if upright else -1 / s  # y falls as the row rises
                        to = (a * columns + left) * lanes
                        for i in range(top, min(top + _LINES, size)):
                            if upright:
                                begin = (left - center - (middle - i) * s) / c + middle
                            else:
                                begin = middle - (left - center - (i - middle) * c) / s
                            _weigh(begin, step, one, height[a], size, at, first, second)
                            source = image if upright else turned
                            for j in range(count):
                                add_two(
                                    lanes,
                                    lines,
                                    to + j * lanes,
                                    source,
                                    (i * size + at[j]) * lanes,
                                    first[j],
                                    second[j],
                                )

    return kernel

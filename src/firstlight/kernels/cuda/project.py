"""Joseph's projector and its adjoint on a CUDA device: the same numbers as `kernels.project`.

One thread for each pixel or ray of four slices, which share the geometry where they share the axis of rotation; each slice
may have an axis of its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda as _cuda
from numpy.typing import ArrayLike

from .arrays import Device, empty, on_device
from .grids import over

cuda: Any = _cuda  # its stubs know nothing of launching a kernel

TOGETHER = 4
"""Slices that one thread works on."""
_ONE = np.uint64(1)
"""Places in flat arrays are unsigned: a negative one would count from the end, and to ask for that takes time."""


@cuda.jit(device=True, inline=True)
def _hat(part: Any, slope: Any, height: Any) -> Any:
    value = np.float32(1) - abs(part) * slope  # the CUDA target of some versions of numba knows no min and max
    return value * height if value > np.float32(0) else np.float32(0)


@cuda.jit(device=True, inline=True)
def _within(place: Any, last: Any) -> Any:
    """The nearest of 0 … last."""
    return 0 if place < 0 else (last if place > last else place)


def _gather_of(together: int) -> Any:
    """The kernel of the adjoint."""

    @cuda.jit
    def gather(lines: Any, columns: Any, turn: Any, slope: Any, height: Any, centers: Any, images: Any) -> None:
        """Each pixel adds up what the rays around it hold."""
        j, i, group = cuda.grid(3)
        count, size, angles = images.shape[0], images.shape[1], turn.shape[1]
        if j >= size or i >= size or group * together >= count:
            return
        first = group * together
        totals, starts = cuda.local.array(together, np.float32), cuda.local.array(together, np.uint64)
        for n in range(together):
            totals[n] = np.float32(0)
            starts[n] = np.uint64(_within(first + n, count - 1) * angles * columns)
        middle, one = np.float32(0.5) * np.float32(size - 1), np.float32(1)
        x, y, center = np.float32(j) - middle, middle - np.float32(i), centers[first]
        for a in range(angles):
            place = x * turn[0, a] + y * turn[1, a] + center
            left = _within(np.int32(math.floor(place)), columns - 2)
            part = place - np.float32(left)
            before, after = _hat(part, slope[a], height[a]), _hat(part - one, slope[a], height[a])
            row = np.uint64(a * columns + left)
            for n in range(together):
                near = starts[n] + row
                totals[n] += before * lines[near] + after * lines[near + _ONE]
        for n in range(together):
            if first + n < count:
                images[first + n, i, j] = totals[n]

    return gather


def _follow_of(together: int) -> Any:
    """The kernel of the projector."""

    @cuda.jit
    def follow(images: Any, size: Any, turn: Any, height: Any, centers: Any, lines: Any) -> None:
        """Each ray is followed row by row, or column by column where it runs closer to horizontal."""
        col, a, group = cuda.grid(3)
        count = lines.shape[0]
        if col >= lines.shape[2] or a >= lines.shape[1] or group * together >= count:
            return
        first = group * together
        totals, starts = cuda.local.array(together, np.float32), cuda.local.array(together, np.uint64)
        for n in range(together):
            totals[n] = np.float32(0)
            starts[n] = np.uint64(_within(first + n, count - 1) * size * size)
        middle, one = np.float32(0.5) * np.float32(size - 1), np.float32(1)
        c, s, offset = turn[0, a], turn[1, a], np.float32(col) - centers[first]
        upright = abs(c) >= abs(s)
        if upright:
            begin, step = middle + offset / c, s / c
        else:
            begin, step = middle - offset / s, c / s
        beside = np.uint64(1 if upright else size)  # from a pixel to the next one across the ray
        for i in range(size):
            place = begin + (np.float32(i) - middle) * step
            left = _within(np.int32(math.floor(place)), size - 2)
            part = place - np.float32(left)
            before, after = _hat(part, one, height[a]), _hat(part - one, one, height[a])
            pixel = np.uint64(i * size + left if upright else left * size + i)
            for n in range(together):
                near = starts[n] + pixel
                totals[n] += before * images[near] + after * images[near + beside]
        for n in range(together):
            if first + n < count:
                lines[first + n, a, col] = totals[n]

    return follow


_GATHER = {together: _gather_of(together) for together in (1, TOGETHER)}
_FOLLOW = {together: _follow_of(together) for together in (1, TOGETHER)}


class CudaProjector:
    """Projects stacks on the device: images (slice, y, x) to sinograms (slice, angle, col) and back."""

    def __init__(
        self,
        angles_degrees: ArrayLike,
        columns: int,
        size: int,
        centers: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        hat: bool = False,
    ) -> None:
        """Keep the geometry on the device.

        Args:
            angles_degrees: shape (angle,).
            columns: detector columns, 2 or more.
            size: width and height of the images, 2 or more.
            centers: (slice,) column of the rotation axis of each slice.
            weights: (angle,) factor of each projection, 1 by default.
            hat: linear interpolation on the detector, as filtered back-projection wants it; Joseph's otherwise.
        """
        angles = np.deg2rad(np.asarray(angles_degrees, np.float64))
        turn = np.stack([np.cos(angles), np.sin(angles)])
        width = np.ones(angles.size) if hat else np.abs(turn).max(axis=0)
        share = np.ones(angles.size) if weights is None else np.asarray(weights, np.float64)
        given = np.atleast_1d(np.asarray(centers, np.float64))
        self.shape, self.size = (angles.size, columns), size
        self.one_axis = bool(np.all(given == given[0]))
        """All slices have the same axis of rotation."""
        self._centers = on_device(given, np.float32)
        self._turn, self._slope = on_device(turn, np.float32), on_device(1 / width, np.float32)
        self._height = on_device(share / width, np.float32)

    def project(self, images: Device) -> Device:
        """Line integrals of images (slice, y, x), for the first so many slices."""
        made = empty((images.shape[0], *self.shape))
        kernel, groups = self._chosen(_FOLLOW, images.shape[0])
        over(kernel, (groups, *self.shape), _flat(images), self.size, self._turn, self._height, self._centers, made)
        return made

    def backproject(self, lines: Device) -> Device:
        """The adjoint."""
        made = empty((lines.shape[0], self.size, self.size))
        kernel, groups = self._chosen(_GATHER, lines.shape[0])
        shape = (groups, self.size, self.size)
        over(kernel, shape, _flat(lines), self.shape[1], self._turn, self._slope, self._height, self._centers, made)
        return made

    def _chosen(self, kernels: dict[int, Any], slices: int) -> tuple[Any, int]:
        """The kernel for so many slices, and how many groups of them there are."""
        together = TOGETHER if self.one_axis and slices >= TOGETHER else 1
        return kernels[together], -(-slices // together)


def _flat(values: Device) -> Device:
    return values.reshape((math.prod(values.shape),))

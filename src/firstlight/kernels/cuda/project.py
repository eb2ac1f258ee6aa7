"""Joseph's projector, its adjoint, SIRT and CGLS on a CUDA device: the same numbers as `kernels.project` and `kernels.iterate`.

One thread for each pixel or ray; arrays (slice, ...) stay on the device from the first transfer to the last, only norms come
back after each iteration. Each slice has its own axis, its own steps and its own end. Runs under numba's simulator
(``NUMBA_ENABLE_CUDASIM=1``) without a device.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda as _cuda
from numpy.typing import ArrayLike, NDArray

cuda: Any = _cuda  # its stubs know nothing of launching a kernel

F32 = NDArray[Any]

_SQUARE = (16, 16)
_THREADS = 64
_SHARE = 32
"""Numbers that one thread adds up of a scalar product, where there are not too many."""
_MOST_BLOCKS = 256
_TINY = np.float32(1e-6)


@cuda.jit(device=True, inline=True)
def _hat(part: Any, slope: Any, height: Any) -> Any:
    return max(np.float32(1) - abs(part) * slope, np.float32(0)) * height


@cuda.jit
def _gather(lines: Any, turn: Any, slope: Any, height: Any, centers: Any, images: Any) -> None:
    """Each pixel adds up what the rays around it hold."""
    j, i, k = cuda.grid(3)
    count, size, columns = images.shape[0], images.shape[1], lines.shape[2]
    if j >= size or i >= size or k >= count:
        return
    middle = np.float32(0.5) * np.float32(size - 1)
    x, y, total = np.float32(j) - middle, middle - np.float32(i), np.float32(0)
    for a in range(lines.shape[1]):
        place = x * turn[0, a] + y * turn[1, a] + centers[k]
        left = min(max(math.floor(place), 0), columns - 2)
        part = place - np.float32(left)
        total += _hat(part, slope[a], height[a]) * lines[k, a, left]
        total += _hat(part - np.float32(1), slope[a], height[a]) * lines[k, a, left + 1]
    images[k, i, j] = total


@cuda.jit
def _follow(images: Any, turn: Any, height: Any, centers: Any, lines: Any) -> None:
    """Each ray is followed row by row, or column by column where it runs closer to horizontal."""
    col, a, k = cuda.grid(3)
    count, size, columns = images.shape[0], images.shape[1], lines.shape[2]
    if col >= columns or a >= lines.shape[1] or k >= count:
        return
    middle, one = np.float32(0.5) * np.float32(size - 1), np.float32(1)
    c, s, offset, total = turn[0, a], turn[1, a], np.float32(col) - centers[k], np.float32(0)
    upright = abs(c) >= abs(s)
    for i in range(size):
        if upright:
            place = (offset - (middle - np.float32(i)) * s) / c + middle
        else:
            place = middle - (offset - (np.float32(i) - middle) * c) / s
        left = min(max(math.floor(place), 0), size - 2)
        part = place - np.float32(left)
        if upright:
            total += _hat(part, one, height[a]) * images[k, i, left]
            total += _hat(part - one, one, height[a]) * images[k, i, left + 1]
        else:
            total += _hat(part, one, height[a]) * images[k, left, i]
            total += _hat(part - one, one, height[a]) * images[k, left + 1, i]
    lines[k, a, col] = total


@cuda.jit
def _combine(target: Any, other: Any, mine: Any, factor: Any) -> None:
    """Set the target to mine[slice] target + factor[slice] other."""
    n, k = cuda.grid(2)
    if n < target.shape[1] and k < target.shape[0]:
        target[k, n] = mine[k] * target[k, n] + factor[k] * other[k, n]


@cuda.jit
def _multiply(target: Any, weights: Any) -> None:
    """Multiply each slice by its weights, or all by the same ones."""
    n, k = cuda.grid(2)
    if n < target.shape[1] and k < target.shape[0]:
        target[k, n] *= weights[k if weights.shape[0] > 1 else 0, n]


@cuda.jit
def _constrain(target: Any, mask: Any, low: Any) -> None:
    n, k = cuda.grid(2)
    if n < target.shape[1] and k < target.shape[0]:
        target[k, n] = max(target[k, n], low) * mask[n]


@cuda.jit
def _invert(values: Any) -> None:
    """1/value, and 0 where nothing is seen."""
    n, k = cuda.grid(2)
    if n < values.shape[1] and k < values.shape[0]:
        value = values[k, n]
        values[k, n] = np.float32(1) / value if value > _TINY else np.float32(0)


@cuda.jit
def _dot(one: Any, other: Any, total: Any) -> None:
    """Add each thread's share of the scalar products to `total`."""
    n, k = cuda.grid(2)
    share = 0.0
    for place in range(n, one.shape[1], cuda.gridsize(2)[0]):
        share += float(one[k, place]) * float(other[k, place])
    cuda.atomic.add(total, k, share)


def present() -> bool:
    """True if there is a CUDA device (or numba's simulator)."""
    return bool(cuda.is_available())


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
        self.shape, self.size = (angles.size, columns), size
        self.centers = on_device(np.atleast_1d(centers))
        self._turn, self._slope, self._height = on_device(turn), on_device(1 / width), on_device(share / width)

    def project(self, images: Any) -> Any:
        """Line integrals of a device array (slice, y, x)."""
        angles, columns = self.shape
        lines = cuda.device_array((images.shape[0], angles, columns), np.float32)
        grid = _grid(columns, angles, images.shape[0])
        _follow[grid, (*_SQUARE, 1)](images, self._turn, self._height, self.centers, lines)
        return lines

    def backproject(self, lines: Any) -> Any:
        """The adjoint."""
        images = cuda.device_array((lines.shape[0], self.size, self.size), np.float32)
        grid = _grid(self.size, self.size, lines.shape[0])
        _gather[grid, (*_SQUARE, 1)](lines, self._turn, self._slope, self._height, self.centers, images)
        return images


def on_device(values: ArrayLike) -> Any:
    """Copy to the device, as float32."""
    return cuda.to_device(np.ascontiguousarray(values, np.float32))


def _grid(width: int, height: int, depth: int) -> tuple[int, int, int]:
    return (-(-width // _SQUARE[0]), -(-height // _SQUARE[1]), depth)


def _flat(values: Any) -> Any:
    return values.reshape(values.shape[0], values.shape[1] * values.shape[2])


def _call(kernel: Any, target: Any, *arguments: Any) -> None:
    """Run a kernel of one thread per number on (slice, number)."""
    flat = _flat(target)
    kernel[(-(-flat.shape[1] // _THREADS), flat.shape[0]), (_THREADS, 1)](flat, *arguments)


def _add(target: Any, other: Any, factor: NDArray[Any], mine: NDArray[Any] | None = None) -> None:
    ones = np.ones_like(factor) if mine is None else mine
    _call(_combine, target, _flat(other), on_device(ones), on_device(factor))


def dots(one: Any, other: Any) -> NDArray[np.float64]:
    """Scalar product of each slice of two device arrays, in double precision."""
    total = cuda.to_device(np.zeros(one.shape[0]))
    flat = _flat(one)
    blocks = min(-(-flat.shape[1] // (_THREADS * _SHARE)), _MOST_BLOCKS)
    _dot[(blocks, one.shape[0]), (_THREADS, 1)](flat, _flat(other), total)
    return np.asarray(total.copy_to_host())


class _Curve:
    """Convergence curves on the host, and which slices go on."""

    def __init__(self, data: Any, iterations: int, stop: float) -> None:
        self.norm = np.sqrt(dots(data, data))
        self.values = np.full((len(self.norm), iterations), np.nan, np.float32)
        self.active, self.stop = self.norm > 0, stop

    def note(self, iteration: int, residual: Any) -> None:
        part = np.sqrt(dots(residual, residual)) / np.where(self.norm > 0, self.norm, 1)
        self.values[:, iteration] = np.where(self.active, part, np.nan)
        self.active &= part > self.stop


def sirt(
    projector: CudaProjector,
    sinograms: F32,
    mask: F32,
    initial: F32 | None,
    *,
    iterations: int,
    relaxation: float,
    nonnegative: bool,
    stop: float,
) -> tuple[F32, F32]:
    """SIRT on the device; see `kernels.iterate.sirt`.

    Args:
        projector: for these slices.
        sinograms: (slice, angle, col).
        mask: (y, x), ones where the sample may be.
        initial: (slice, y, x) first estimate, zeros by default.
        iterations: how many at most.
        relaxation: λ between 0 and 2.
        nonnegative: set negative values to 0.
        stop: end a slice when its relative residual falls below this.

    Returns:
        Images (slice, y, x) and curves (slice, iteration), on the host.
    """
    count, size = len(sinograms), projector.size
    data, inside = on_device(sinograms), on_device(mask.ravel())
    low = np.float32(0 if nonnegative else -np.inf)
    rays = projector.project(on_device(np.repeat(mask[None], count, axis=0)))
    pixels = projector.backproject(on_device(np.ones(sinograms.shape)))
    _call(_invert, rays)
    _call(_invert, pixels)
    images = on_device(np.zeros((count, size, size)) if initial is None else initial)
    _call(_constrain, images, inside, low)
    curve = _Curve(data, iterations, stop)
    residual = projector.project(images)
    _add(residual, data, np.ones(count), -np.ones(count))
    for iteration in range(iterations):
        if not curve.active.any():
            break
        _call(_multiply, residual, _flat(rays))
        update = projector.backproject(residual)
        _call(_multiply, update, _flat(pixels))
        _add(images, update, relaxation * curve.active)
        _call(_constrain, images, inside, low)
        residual = projector.project(images)
        _add(residual, data, np.ones(count), -np.ones(count))
        curve.note(iteration, residual)
    return np.asarray(images.copy_to_host()), curve.values


def cgls(
    projector: CudaProjector,
    sinograms: F32,
    mask: F32,
    initial: F32 | None,
    *,
    iterations: int,
    damping: float,
    stop: float,
) -> tuple[F32, F32]:
    """CGLS on the device; see `kernels.iterate.cgls`.

    Args:
        projector: for these slices.
        sinograms: (slice, angle, col).
        mask: (y, x), ones where the sample may be.
        initial: (slice, y, x) first estimate, zeros by default.
        iterations: how many at most.
        damping: weight of the size of the image, in pixels.
        stop: end a slice when its relative residual falls below this.

    Returns:
        Images (slice, y, x) and curves (slice, iteration), on the host.
    """
    count, size, square = len(sinograms), projector.size, damping**2
    data, inside = on_device(sinograms), on_device(mask.reshape(1, -1))
    images = on_device(np.zeros((count, size, size)) if initial is None else initial)
    _call(_multiply, images, inside)
    curve = _Curve(data, iterations, stop)
    residual = projector.project(images)
    _add(residual, data, np.ones(count), -np.ones(count))

    def steepest() -> Any:
        gradient = projector.backproject(residual)
        _call(_multiply, gradient, inside)
        _add(gradient, images, np.full(count, -square))
        return gradient

    gradient = steepest()
    direction, steep = gradient, dots(gradient, gradient)
    for iteration in range(iterations):
        if not curve.active.any():
            break
        along = projector.project(direction)
        curvature = dots(along, along) + square * dots(direction, direction)
        length = np.where(curve.active & (curvature > 0), steep / np.where(curvature > 0, curvature, 1), 0)
        _add(images, direction, length)
        _add(residual, along, -length)
        gradient = steepest()
        before, steep = steep, dots(gradient, gradient)
        rate = np.where(before > 0, steep / np.where(before > 0, before, 1), 0)
        _add(direction, gradient, np.ones(count), rate)
        curve.note(iteration, residual)
    return np.asarray(images.copy_to_host()), curve.values

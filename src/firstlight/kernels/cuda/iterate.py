"""SIRT and CGLS on a CUDA device: the same numbers as `kernels.iterate`.

Images and sinograms (slice, ...) stay on the device from the first iteration to the last; only norms come back after each, to
decide which slices go on. Each slice has its own steps and its own end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda as _cuda
from numpy.typing import NDArray

from ..pause import pause
from .arrays import Device, Host, empty, launch, on_device, to_host, zeros
from .grids import over
from .project import CudaProjector

cuda: Any = _cuda  # its stubs know nothing of launching a kernel

_THREADS = 64
_SHARE = 32
"""Numbers that one thread adds up of a scalar product, where there are not too many."""
_MOST_BLOCKS = 256
_TINY = np.float32(1e-6)


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
        value = target[k, n]
        target[k, n] = (value if value > low else low) * mask[0, n]


@cuda.jit
def _invert(values: Any) -> None:
    """1/value, and 0 where nothing is seen."""
    n, k = cuda.grid(2)
    if n < values.shape[1] and k < values.shape[0]:
        value = values[k, n]
        values[k, n] = np.float32(1) / value if value > _TINY else np.float32(0)


@cuda.jit
def _scale(values: Any, factor: Any) -> None:
    n, k = cuda.grid(2)
    if n < values.shape[1] and k < values.shape[0]:
        values[k, n] *= factor


@cuda.jit
def _finite(values: Any, out: Any) -> None:
    """As float32, with 0 for what is no number."""
    n, k = cuda.grid(2)
    if n < values.shape[1] and k < values.shape[0]:
        value = np.float32(values[k, n])
        out[k, n] = value if math.isfinite(value) else np.float32(0)


@cuda.jit
def _fill(values: Any, value: Any) -> None:
    n, k = cuda.grid(2)
    if n < values.shape[1] and k < values.shape[0]:
        values[k, n] = value


@cuda.jit
def _copy(values: Any, out: Any) -> None:
    n, k = cuda.grid(2)
    if n < values.shape[1] and k < values.shape[0]:
        out[k, n] = values[k, n]


@cuda.jit
def _dot(one: Any, other: Any, total: Any) -> None:
    """Add each thread's share of the scalar products to `total`."""
    n, k = cuda.grid(2)
    share = 0.0
    for place in range(n, one.shape[1], cuda.gridsize(2)[0]):
        share += float(one[k, place]) * float(other[k, place])
    cuda.atomic.add(total, k, share)


def _flat(values: Device) -> Device:
    return values.reshape((values.shape[0], math.prod(values.shape[1:])))


def _call(kernel: Any, target: Device, *arguments: Any) -> None:
    """Run a kernel of one thread per number on (slice, number)."""
    flat = _flat(target)
    over(kernel, tuple(flat.shape), flat, *arguments)


def _add(target: Device, other: Device, factor: NDArray[Any], mine: NDArray[Any] | None = None) -> None:
    ones = np.ones(len(factor)) if mine is None else mine
    _call(_combine, target, _flat(other), on_device(ones, np.float32), on_device(factor, np.float32))


def dots(one: Device, other: Device) -> NDArray[np.float64]:
    """Scalar product of each slice of two device arrays, in double precision, on the host."""
    total, flat = zeros(one.shape[0], np.float64), _flat(one)
    blocks = max(1, min(-(-flat.shape[1] // (_THREADS * _SHARE)), _MOST_BLOCKS))
    launch(_dot, (blocks, one.shape[0]), (_THREADS, 1), flat, _flat(other), total)
    return to_host(total)


def finite(values: Device) -> Device:
    """A float32 copy, with 0 for what is no number."""
    made = empty(tuple(values.shape))
    _call(_finite, values, _flat(made))
    return made


def scaled(values: Device, factor: float) -> Device:
    """The same array, multiplied in place."""
    _call(_scale, values, np.float32(factor))
    return values


def masked(images: Device, mask: Host) -> Device:
    """The same images, multiplied in place by a mask (y, x)."""
    _call(_multiply, images, on_device(mask.reshape(1, -1), np.float32))
    return images


@dataclass(frozen=True, slots=True)
class Limits:
    """What both methods are told."""

    iterations: int
    """How many at most."""
    stop: float = 0.0
    """End a slice when its relative residual falls below this."""
    nonnegative: bool = False
    """Set negative values to 0."""


class _Curve:
    """Convergence curves on the host, and which slices go on."""

    def __init__(self, data: Device, limits: Limits) -> None:
        self.norm = np.sqrt(dots(data, data))
        self.values = np.full((len(self.norm), limits.iterations), np.nan, np.float32)
        self.active, self.stop = self.norm > 0, limits.stop

    def note(self, iteration: int, residual: Device) -> None:
        part = np.sqrt(dots(residual, residual)) / np.where(self.norm > 0, self.norm, 1)
        self.values[:, iteration] = np.where(self.active, part, np.nan)
        self.active &= part > self.stop


def _estimate(projector: CudaProjector, count: int, initial: Device | None) -> Device:
    """The first images; never the caller's array."""
    if initial is None:
        return zeros((count, projector.size, projector.size))
    made = empty(tuple(initial.shape))
    _call(_copy, initial, _flat(made))
    return made


def _residual(projector: CudaProjector, data: Device, images: Device) -> Device:
    """What the images leave unexplained: b - A x."""
    made = projector.project(images)
    ones = np.ones(data.shape[0])
    _add(made, data, ones, -ones)
    return made


def sirt(
    projector: CudaProjector,
    data: Device,
    mask: Host,
    limits: Limits,
    *,
    relaxation: float = 1.0,
    initial: Device | None = None,
) -> tuple[Device, Host]:
    """SIRT; see `kernels.iterate.sirt`.

    Args:
        projector: for these slices.
        data: float32 (slice, angle, col), all finite.
        mask: (y, x), ones where the sample may be.
        limits: when to end.
        relaxation: λ between 0 and 2.
        initial: (slice, y, x) first estimate, zeros by default.

    Returns:
        Images (slice, y, x) on the device, and curves (slice, iteration).
    """
    low = np.float32(0 if limits.nonnegative else -np.inf)
    inside = on_device(mask.reshape(1, -1), np.float32)
    seen = 1 if projector.one_axis else data.shape[0]  # slices with one axis share their weights
    ones = empty((seen, projector.size, projector.size))
    _call(_fill, ones, np.float32(1))
    _call(_multiply, ones, inside)
    rays = projector.project(ones)
    lines = empty((seen, *projector.shape))
    _call(_fill, lines, np.float32(1))
    pixels = projector.backproject(lines)
    del ones, lines
    _call(_invert, rays)
    _call(_invert, pixels)
    images = _estimate(projector, data.shape[0], initial)
    _call(_constrain, images, inside, low)
    curve = _Curve(data, limits)
    residual = _residual(projector, data, images)
    for iteration in range(limits.iterations):
        if not curve.active.any():
            break
        pause(iteration, limits.iterations)
        _call(_multiply, residual, _flat(rays))
        update = projector.backproject(residual)
        _call(_multiply, update, _flat(pixels))
        _add(images, update, relaxation * curve.active)
        _call(_constrain, images, inside, low)
        residual = _residual(projector, data, images)
        curve.note(iteration, residual)
    return images, curve.values


def cgls(
    projector: CudaProjector,
    data: Device,
    mask: Host,
    limits: Limits,
    *,
    damping: float = 0.0,
    initial: Device | None = None,
) -> tuple[Device, Host]:
    """CGLS; see `kernels.iterate.cgls`.

    Args:
        projector: for these slices.
        data: float32 (slice, angle, col), all finite.
        mask: (y, x), ones where the sample may be.
        limits: when to end.
        damping: weight of the size of the image, in pixels.
        initial: (slice, y, x) first estimate, zeros by default.

    Returns:
        Images (slice, y, x) on the device, and curves (slice, iteration).
    """
    count, square = data.shape[0], damping**2
    inside = on_device(mask.reshape(1, -1), np.float32)
    images = _estimate(projector, count, initial)
    _call(_multiply, images, inside)
    curve = _Curve(data, limits)
    residual = _residual(projector, data, images)

    def steepest() -> Device:
        gradient = projector.backproject(residual)
        _call(_multiply, gradient, inside)
        _add(gradient, images, np.full(count, -square))
        return gradient

    gradient = steepest()
    direction, steep = gradient, dots(gradient, gradient)
    for iteration in range(limits.iterations):
        if not curve.active.any():
            break
        pause(iteration, limits.iterations)
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
    return images, curve.values

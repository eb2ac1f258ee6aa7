"""Iterative reconstruction of several independent slices at once: algebraic methods, conjugate gradients, expectation maximisation.

Any pair of a projector and its exact adjoint serves: ``project(images)`` gives line integrals b, ``backproject(b)`` its
adjoint, ``subset(places)`` the same for some of the angles. The last axis of every array counts problems that know nothing
of one another: each has its own step lengths, stops on its own, and gets the same result alone.

With A the projector, 1 a field of ones, R = 1/(A 1) and C = 1/(Aᵀ 1):

- SIRT: x ← x + λ C Aᵀ R (b − A x), Gilbert, J. Theor. Biol. 36 (1972) 105, in the form of Gregor and Benson (2008).
- SART and OS-SART: the same with the angles of one subset at a time, Andersen and Kak, Ultrason. Imaging 6 (1984) 81.
- CGLS: conjugate gradients on Aᵀ A x = Aᵀ b, Björck, Numerical Methods for Least Squares Problems (1996), alg. 7.4.1.
- MLEM and OSEM: x ← x C Aᵀ (b / A x), Shepp and Vardi, IEEE Trans. Med. Imaging 1 (1982) 113.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numba
import numpy as np
from numpy.typing import NDArray

from .increments import add_scaled, add_weighted, inverse, multiply_weighted, scale_and_add, weigh
from .pause import pause

F32 = NDArray[Any]  # float32 throughout; the stubs lose that in arithmetic with scalars
F64 = NDArray[np.float64]

_GOLDEN = 0.6180339887498949
_KEPT = 2**25
"""Numbers (128 MiB) up to which the weights of all subsets are kept."""


class Projector(Protocol):
    """A linear map and its exact adjoint."""

    def project(self, images: F32, /) -> F32:
        """Integrate along rays."""
        ...

    def backproject(self, sinograms: F32, /) -> F32:
        """The adjoint."""
        ...

    def subset(self, chosen: Any, /) -> Self:
        """The same for some projections."""
        ...


@dataclass(frozen=True)
class Limits:
    """What every method is told."""

    iterations: int
    stop: float = 0.0
    """Stop a problem when ‖A x − b‖ / ‖b‖ falls below this."""
    nonnegative: bool = False
    mask: F32 | None = None
    """Ones where the sample may be, zeros elsewhere; shape of an image, with a last axis of length 1."""
    initial: F32 | None = None
    """The first estimate; zeros by default (for expectation maximisation, an even image)."""


@dataclass
class Found:
    """Images, and how each iteration brought them closer."""

    images: F32
    residual: F32
    """(iteration, problem): ‖A x − b‖ / ‖b‖ after each iteration (of methods that visit subsets of the angles: as each
    subset is visited); NaN once a problem has stopped."""


class Progress:
    """Keeps the convergence curves, and which problems still go on."""

    def __init__(self, limits: Limits, data: F32) -> None:
        """Start with every problem going on."""
        self.limits = limits
        self.norm = norms(data)
        self.curve = np.full((limits.iterations, data.shape[-1]), np.nan, np.float32)
        self.active = self.norm > 0
        self._done = 0

    def __iter__(self) -> Iterator[int]:
        """Count iterations until the last one, or until no problem goes on."""
        while self._done < self.limits.iterations and self.active.any():
            pause(self._done, self.limits.iterations)
            yield self._done
            self._done += 1

    def note(self, norm: F64) -> None:
        """Take ‖A x − b‖ after an iteration, and stop those that are close enough."""
        part = norm / np.where(self.norm > 0, self.norm, 1.0)
        self.curve[self._done] = np.where(self.active, part, np.nan)
        self.active &= part > self.limits.stop

    @property
    def switch(self) -> F32:
        """1 for a problem that goes on, 0 for one that has stopped."""
        return self.active.astype(np.float32)


def norms(values: F32) -> F64:
    """Euclidean norm of each problem."""
    return np.sqrt(dots(values, values))


def dots(one: F32, other: F32) -> F64:
    """Scalar product of each problem, in double precision."""
    total = np.zeros(one.shape[-1])
    lines = (int(np.prod(one.shape[:-2])), *one.shape[-2:])
    _dots(one.reshape(lines), np.broadcast_to(other, one.shape).reshape(lines), total)
    return total


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _dots(one: Any, other: Any, total: Any) -> None:
    for i in range(one.shape[0]):
        for j in range(one.shape[1]):
            for k in range(total.size):
                total[k] += np.float64(one[i, j, k]) * np.float64(other[i, j, k])


def constrain(images: F32, limits: Limits) -> F32:
    """Apply non-negativity and mask in place."""
    if limits.nonnegative:
        np.maximum(images, 0, out=images)
    if limits.mask is not None:
        images *= limits.mask
    return images


def _improve(images: F32, update: F32, pixels: F32, factors: F32, limits: Limits) -> None:
    """Add to each problem what it is to be changed by, and constrain it."""
    add_weighted(images, update, pixels, factors, 0.0 if limits.nonnegative else -np.inf, limits.mask)


def first_estimate(limits: Limits, shape: tuple[int, ...]) -> F32:
    """The initial images, constrained; never the caller's array."""
    images = np.zeros(shape, np.float32) if limits.initial is None else np.array(limits.initial, np.float32)
    return constrain(images, limits)


def order_of_subsets(angles: int, subsets: int) -> list[NDArray[np.intp]]:
    """Which projections make each subset, in the order in which they are visited.

    Every subset is spread over the scan, and each follows one that lies far away (golden section), so that an update
    tells something new.
    """
    count = min(subsets, angles)
    order = np.argsort(np.mod(np.arange(count) * _GOLDEN, 1.0), kind="stable")
    return [np.arange(place, angles, count) for place in np.argsort(order, kind="stable")]


def _image_shape(projector: Projector, data: F32) -> tuple[int, ...]:
    """Shape of the images, problems included."""
    one = np.zeros((1, *data.shape[1:]), np.float32)
    return projector.subset(np.arange(1)).backproject(one).shape


def _weights(projector: Projector, limits: Limits, shape: tuple[int, ...], data: F32) -> tuple[F32, F32]:
    """R = 1/(A 1) and C = 1/(Aᵀ 1), where 1 is 1 inside the mask alone; last axis of length 1."""
    ones = np.ones((*shape[:-1], 1), np.float32) if limits.mask is None else limits.mask
    rays = inverse(projector.project(ones))
    return rays, inverse(projector.backproject(np.ones((len(data), *data.shape[1:-1], 1), np.float32)))


class _Weights:
    """R and C of each subset; kept where there is room for them."""

    def __init__(self, projector: Projector, parts: list[NDArray[np.intp]], limits: Limits, shape: tuple[int, ...]):
        self._projector, self._parts, self._limits, self._shape = projector, parts, limits, shape
        self._room = len(parts) * int(np.prod(shape[:-1])) <= _KEPT
        self._known: dict[int, tuple[F32, F32]] = {}

    def __call__(self, place: int, data: F32) -> tuple[F32, F32]:
        """Those of one subset, whose data are given for their shape."""
        if place in self._known:
            return self._known[place]
        found = _weights(self._projector.subset(self._parts[place]), self._limits, self._shape, data)
        if self._room:
            self._known[place] = found
        return found


def sirt(projector: Projector, data: F32, limits: Limits, *, relaxation: float = 1.0) -> Found:
    """Simultaneous iterative reconstruction technique.

    Args:
        projector: A.
        data: (angle, ..., problem): line integrals b.
        limits: what every method is told.
        relaxation: λ between 0 and 2.
    """
    shape = _image_shape(projector, data)
    rays, pixels = _weights(projector, limits, shape, data)
    progress = Progress(limits, data)
    images = first_estimate(limits, shape)
    residual = data.copy() if limits.initial is None else data - projector.project(images)
    for _ in progress:
        weigh(residual, rays)
        _improve(images, projector.backproject(residual), pixels, np.float32(relaxation) * progress.switch, limits)
        np.subtract(data, projector.project(images), out=residual)
        progress.note(norms(residual))
    return Found(images, progress.curve)


def sart(projector: Projector, data: F32, limits: Limits, *, relaxation: float = 1.0, subsets: int = 0) -> Found:
    """Algebraic reconstruction one subset of angles at a time (OS-SART); by default one angle at a time (SART).

    The residual of a subset is taken when it is visited: what the estimate explains of data that it has not seen last.

    Args:
        projector: A.
        data: (angle, ..., problem): line integrals b.
        limits: what every method is told.
        relaxation: λ between 0 and 2.
        subsets: number of subsets; 0 means one for each angle.
    """
    shape = _image_shape(projector, data)
    progress = Progress(limits, data)
    images = first_estimate(limits, shape)
    parts = order_of_subsets(len(data), subsets or len(data))
    weights = _Weights(projector, parts, limits, shape)
    for _ in progress:
        switch = np.float32(relaxation) * progress.switch
        squares = np.zeros(data.shape[-1])
        for place, chosen in enumerate(parts):
            part = projector.subset(chosen)
            residual = data[chosen]
            rays, pixels = weights(place, residual)
            residual -= part.project(images)
            squares += dots(residual, residual)
            weigh(residual, rays)
            _improve(images, part.backproject(residual), pixels, switch, limits)
        progress.note(np.sqrt(squares))
    return Found(images, progress.curve)


def cgls(projector: Projector, data: F32, limits: Limits, *, damping: float = 0.0) -> Found:
    """Conjugate gradients for ‖A x − b‖² + ‖damping x‖².

    Args:
        projector: A.
        data: (angle, ..., problem): line integrals b.
        limits: what every method is told; non-negativity is not part of this method.
        damping: in pixels (the unit of A); larger values give smoother, smaller images.
    """
    shape = _image_shape(projector, data)
    progress = Progress(limits, data)
    square = np.float32(damping**2)
    images = first_estimate(limits, shape)
    residual = data.copy() if limits.initial is None else data - projector.project(images)
    gradient = _descent(projector, residual, images, square, limits)
    direction = gradient.copy()
    steep = dots(gradient, gradient)
    for _ in progress:
        along = projector.project(direction)
        curvature = dots(along, along) + float(square) * dots(direction, direction)
        length = np.where(progress.active & (curvature > 0), steep / np.where(curvature > 0, curvature, 1), 0)
        add_scaled(images, direction, length.astype(np.float32))
        add_scaled(residual, along, -length.astype(np.float32))
        gradient = _descent(projector, residual, images, square, limits)
        before, steep = steep, dots(gradient, gradient)
        share = np.where(before > 0, steep / np.where(before > 0, before, 1), 0).astype(np.float32)
        scale_and_add(direction, share, gradient)
        progress.note(norms(residual))
    return Found(images, progress.curve)


def _descent(projector: Projector, residual: F32, images: F32, square: np.float32, limits: Limits) -> F32:
    """Minus the gradient: Aᵀ residual − square · images, inside the mask."""
    found = projector.backproject(residual)
    if limits.mask is not None:
        weigh(found, limits.mask)
    if square:
        add_scaled(found, images, np.full(images.shape[-1], -square, np.float32))
    return found


def mlem(projector: Projector, data: F32, limits: Limits, *, subsets: int = 1) -> Found:
    """Expectation maximisation for data with Poisson noise, one subset of angles at a time (OSEM).

    Data below 0 count as 0, and the images stay positive. With more than one subset, the residual of a subset is taken
    when it is visited.

    Args:
        projector: A.
        data: (angle, ..., problem): what is emitted along rays, or line integrals that are not negative.
        limits: what every method is told.
        subsets: number of subsets; 1 is MLEM.
    """
    shape = _image_shape(projector, data)
    positive = np.maximum(data, 0)
    progress = Progress(limits, positive)
    start = np.where(progress.active, 1, 0) * np.ones(shape, np.float32) if limits.initial is None else limits.initial
    images = constrain(np.array(start, np.float32), limits)
    parts = order_of_subsets(len(data), subsets)
    weights = _Weights(projector, parts, limits, shape)
    for _ in progress:
        squares = np.zeros(data.shape[-1])
        for place, chosen in enumerate(parts):
            part = projector.subset(chosen)
            expected, wanted = part.project(images), positive[chosen]
            squares += dots(expected - wanted, expected - wanted)
            factor = part.backproject(wanted * inverse(expected))
            multiply_weighted(images, factor, weights(place, wanted)[1], progress.active)
        progress.note(np.sqrt(squares))
    return Found(images, progress.curve)

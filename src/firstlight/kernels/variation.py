"""Reconstruction with total variation: minimise ½‖A x − b‖² + λ TV(x), x ≥ 0 if asked, three ways.

TV(x) is the sum over pixels of the length of the gradient (forward differences, isotropic). The three methods minimise the same
function, so that one checks the other:

- FISTA: Beck and Teboulle, SIAM J. Imaging Sci. 2 (2009) 183; its proximal step by their fast gradient projection.
- PDHG: Chambolle and Pock, J. Math. Imaging Vis. 40 (2011) 120, in the form of Sidky, Jørgensen and Pan (2012).
- ADMM: the split x, z = ∇x of Goldstein and Osher, SIAM J. Imaging Sci. 2 (2009) 323, conjugate gradients for x.

λ is given as a part of max|Aᵀb|, so that it means the same whatever the unit of the data; slices have their own.
Images are (y, x, problem), volumes (z, y, x, problem) with gradients along all three axes; see `firstlight.kernels.iterate`.
"""

from __future__ import annotations

import numpy as np

from .iterate import F32, F64, Found, Limits, Progress, Projector, constrain, dots, first_estimate, norms
from .least_variation import least_variation

_POWER_ITERATIONS = 12
_CG_ROUNDS = 6


def _gradient_norm_squared(images: F32) -> float:
    """Largest eigenvalue of ∇ᵀ∇: 4 for each axis."""
    return 4.0 * (images.ndim - 1)


def largest_eigenvalue(projector: Projector, image: F32, mask: F32 | None) -> float:
    """Largest eigenvalue of AᵀA by power iteration, 2 % added for what is not converged.

    Args:
        projector: A.
        image: any image, for its shape.
        mask: where A acts.
    """
    lanes = 4 if image.shape[-1] > 1 else 1
    vector = np.ones((*image.shape[:-1], lanes), np.float32)
    value = 1.0
    for _ in range(_POWER_ITERATIONS):
        vector /= np.float32(norms(vector)[0])
        if mask is not None:
            vector *= mask
        vector = projector.backproject(projector.project(vector))
        value = float(norms(vector)[0])
    return 1.02 * value


def total_variation(images: F32) -> F64:
    """TV of each problem."""
    length = np.sqrt((gradient_of(images) ** 2).sum(axis=0))
    return length.sum(axis=tuple(range(images.ndim - 1)), dtype=np.float64)


def objective(projector: Projector, data: F32, images: F32, strength: F32) -> F64:
    """½‖A x − b‖² + λ TV(x) of each problem; `strength` is λ, one number per problem."""
    residual = projector.project(images) - data
    return 0.5 * dots(residual, residual) + strength * total_variation(images)


def weight_of(projector: Projector, data: F32, strength: float) -> F32:
    """λ of each problem: `strength` times the largest |Aᵀ b|."""
    seen = np.abs(projector.backproject(data))
    return (strength * seen.max(axis=tuple(range(seen.ndim - 1)))).astype(np.float32)


def fista_tv(projector: Projector, data: F32, limits: Limits, *, strength: float) -> Found:
    """Fast iterative shrinkage.

    Args:
        projector: A.
        data: (angle, col, problem): line integrals b.
        limits: what every method is told.
        strength: λ as a part of max|Aᵀb|.
    """
    back = projector.backproject(data)
    progress, images = Progress(limits, data), first_estimate(limits, back.shape)
    step = np.float32(1 / largest_eigenvalue(projector, back, limits.mask))
    weight = weight_of(projector, data, strength) * step
    ahead, momentum = images.copy(), 1.0
    dual = np.zeros((back.ndim - 1, *back.shape), np.float32)
    for _ in progress:
        gradient = projector.backproject(projector.project(ahead) - data)
        ahead -= step * gradient
        before, switch = images, progress.switch
        images = least_variation(ahead, weight, dual, limits)
        images = before + switch * (images - before)
        later = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = images + np.float32((momentum - 1) / later) * (images - before)
        momentum = later
        progress.note(norms(projector.project(images) - data))
    return Found(images, progress.curve)


def _along(field: F32, axis: int, part: slice) -> F32:
    """A part along one axis."""
    return field[(slice(None),) * axis + (part,)]


_EARLY, _LATE = slice(None, -1), slice(1, None)


def gradient_of(images: F32) -> F32:
    """Forward differences (axis, y, x, problem) or (axis, z, y, x, problem), 0 at the far rims."""
    field = np.zeros((images.ndim - 1, *images.shape), np.float32)
    for axis in range(len(field)):
        np.subtract(_along(images, axis, _LATE), _along(images, axis, _EARLY), out=_along(field[axis], axis, _EARLY))
    return field


def divergence_of(field: F32) -> F32:
    """Minus the adjoint of `gradient_of`."""
    spread = np.zeros(field.shape[1:], np.float32)
    for axis in range(len(field)):
        inner = _along(field[axis], axis, _EARLY)
        _along(spread, axis, _EARLY)[...] += inner
        _along(spread, axis, _LATE)[...] -= inner
    return spread


def pdhg_tv(projector: Projector, data: F32, limits: Limits, *, strength: float) -> Found:
    """Primal-dual hybrid gradient.

    The gradient is scaled to the norm of A, so that one step length serves both dual variables.

    Args:
        projector: A.
        data: (angle, col, problem): line integrals b.
        limits: what every method is told.
        strength: λ as a part of max|Aᵀb|.
    """
    back = projector.backproject(data)
    progress, images = Progress(limits, data), first_estimate(limits, back.shape)
    largest = largest_eigenvalue(projector, back, limits.mask)
    scale = np.float32(np.sqrt(largest / _gradient_norm_squared(back)))
    weight = weight_of(projector, data, strength) / scale
    step = np.float32(0.99 / np.sqrt(2 * largest))
    rays, field = np.zeros_like(data), np.zeros((back.ndim - 1, *back.shape), np.float32)
    ahead = images.copy()
    projected = projector.project(images)
    older = projected
    for _ in progress:
        rays += step * (2 * projected - older - data)  # A of the point ahead, 2 x − x of before
        rays /= 1 + step
        field += step * scale * gradient_of(ahead)
        field *= weight / np.maximum(weight, np.sqrt((field**2).sum(axis=0)) + np.float32(1e-30))
        change = projector.backproject(rays) - scale * divergence_of(field)
        before = images
        images = constrain(before - step * progress.switch * change, limits)
        ahead = 2 * images - before
        older, projected = projected, projector.project(images)
        progress.note(norms(projected - data))
    return Found(images, progress.curve)


def admm_tv(projector: Projector, data: F32, limits: Limits, *, strength: float, coupling: float = 0.1) -> Found:
    """Alternating direction method of multipliers (split Bregman).

    Args:
        projector: A.
        data: (angle, col, problem): line integrals b.
        limits: what every method is told.
        strength: λ as a part of max|Aᵀb|.
        coupling: how strongly the split variables are held together, as a part of ‖A‖² / ‖∇‖²; changes speed, not result.
    """
    back = projector.backproject(data)
    progress, images = Progress(limits, data), first_estimate(limits, back.shape)
    tie = np.float32(coupling * largest_eigenvalue(projector, back, limits.mask) / _gradient_norm_squared(back))
    weight = weight_of(projector, data, strength) / tie
    field = gradient_of(images)  # its copy of the gradient, and how far they have been apart
    gap = np.zeros_like(field)
    free, bound = images.copy(), np.zeros_like(images)  # the constrained copy of x, and its multiplier
    constrained = limits.nonnegative or limits.mask is not None
    for _ in progress:
        right = back - tie * divergence_of(field - gap)
        if constrained:
            right += tie * (free - bound)
        images = _solve(projector, right, images, tie, constrained, progress.switch)
        slope = gradient_of(images) + gap
        length = np.sqrt((slope**2).sum(axis=0))
        field = slope * (np.maximum(length - weight, 0) / np.maximum(length, np.float32(1e-30)))
        gap = slope - field
        if constrained:
            free = constrain(images + bound, limits)
            bound += images - free
        progress.note(norms(projector.project(free if constrained else images) - data))
    return Found(free if constrained else images, progress.curve)


def _solve(projector: Projector, right: F32, images: F32, tie: np.float32, bound: bool, switch: F32) -> F32:
    """A few conjugate gradients on (AᵀA + tie (∇ᵀ∇ + 1 if bound)) x = right, from the images given."""

    def normal(values: F32) -> F32:
        product = projector.backproject(projector.project(values)) - tie * divergence_of(gradient_of(values))
        return product + tie * values if bound else product

    images = images.copy()
    residual = right - normal(images)
    direction, square = residual.copy(), dots(residual, residual)
    for _ in range(_CG_ROUNDS):
        along = normal(direction)
        curvature = dots(direction, along)
        length = np.where(curvature > 0, square / np.where(curvature > 0, curvature, 1), 0).astype(np.float32) * switch
        images += length * direction
        residual -= length * along
        before, square = square, dots(residual, residual)
        direction *= np.where(before > 0, square / np.where(before > 0, before, 1), 0).astype(np.float32)
        direction += residual
    return images

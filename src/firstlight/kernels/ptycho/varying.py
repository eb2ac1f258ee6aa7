"""A probe that changes from frame to frame: orthogonal probe relaxation (OPR).

Odstrčil et al., Optics Express 24, 8360 (2016): the first mode of the probe of frame j is ``P + Σ_k c_jk V_k``, with a few
shapes V that all frames share. A round solves for the weights c of each frame (least squares of the change that the measured
amplitudes ask of its exit wave), then moves the shapes; they are kept orthogonal, strongest first, and their mean is the
probe's own. With few shapes there is little that noise can hide in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .changes import changes
from .frames import Estimate, Frames, Spread, shares
from .propagate import Propagator
from .samples import layers_of
from .subpixel import moved_back
from .waves import namespace, on_host

Array = Any

_DAMPING = 0.05
"""Part of the largest weight that is added to it when a shape is moved."""


def first_shapes(probe: Array, number: int) -> Array:
    """Shapes to begin with: the probe itself, which lets its intensity vary, then the probe times powers of x and y.

    Args:
        probe: Shape (mode, v, u), complex; the first mode counts.
        number: How many.

    Returns:
        Shape (shape, v, u); each has the power of the first mode.
    """
    xp = namespace(probe)
    rows, cols = (xp.linspace(-1, 1, n) for n in probe.shape[-2:])
    ramps = [1 + 0 * (rows[:, None] + cols[None, :])]
    for order in range(1, number):
        power = (order + 1) // 2
        ramps.append((cols[None, :] if order % 2 else rows[:, None]) ** power + 0 * ramps[0])
    found = xp.stack(ramps[:number]) * probe[0]
    norms = (abs(found) ** 2).sum(axis=(1, 2), keepdims=True) ** 0.5
    return (found * ((abs(probe[0]) ** 2).sum() ** 0.5 / norms)).astype(probe.dtype)


def relax(
    estimate: Estimate, frames: Frames, propagator: Propagator, spread: Spread, *, workers: int = 1, share: int = 16
) -> None:
    """Move weights and shapes of the frames, and the first mode of the probe by their mean; all in place.

    Args:
        estimate: Object and probe.
        frames: The frames, with `shapes` and `weights`.
        propagator: To the detector.
        spread: Calls functions on threads.
        workers: How many threads.
        share: Most positions to be worked on at once.
    """
    shapes, weights = frames.shapes, frames.weights
    if shapes is None or weights is None:
        return
    numerator, denominator = 0 * shapes, 0 * shapes.real

    def asked(part: Array) -> tuple[Array, Array, Array]:
        return _asked(estimate, frames, part, propagator)

    for part, (steps, above, below) in zip(
        (parts := shares(np.arange(len(frames)), max(workers, -(-len(frames) // share)))),
        spread(asked, parts),
        strict=True,
    ):
        weights[part] += steps
        numerator += above
        denominator += below
    if float(denominator.max()) > 0:
        shapes += numerator / (denominator + _DAMPING * denominator.max())
    settle(estimate.probe, shapes, weights)


def settle(probe: Array, shapes: Array, weights: Array) -> None:
    """Shapes orthogonal and as strong as the probe, weights without a mean: every frame's probe stays as it is."""
    mean = weights.mean(axis=0)
    xp = namespace(probe)
    probe[0] += xp.tensordot(xp.asarray(mean, dtype=probe.dtype), shapes, axes=1)
    weights -= mean
    flat = shapes.reshape(len(shapes), -1).astype("complex128")
    # flat = L Q with orthonormal rows in Q; then the weights times L are decomposed
    powers, mixture = np.linalg.eigh(on_host(flat @ flat.conj().T))
    root = np.sqrt(powers.clip(powers.max() * 1e-12 + 1e-300))
    left = mixture * root
    across, strengths, shared = np.linalg.svd(weights @ left, full_matrices=False)
    turn = shared @ (mixture / root).conj().T
    norm = float((abs(probe[0]) ** 2).sum()) ** 0.5
    if len(strengths) < len(shapes):  # fewer frames than shapes: nothing to decompose yet
        return
    shapes[...] = (norm * (xp.asarray(turn) @ flat)).reshape(shapes.shape).astype(shapes.dtype)
    weights[...] = across * strengths / norm


def _asked(estimate: Estimate, frames: Frames, part: Array, propagator: Propagator) -> tuple[Array, Array, Array]:
    """Steps of the weights of some frames, and what they ask of the shapes: numerators and denominators."""
    corners, image, shapes = frames.corners[part], estimate.image, _known(frames.shapes)
    change = changes(estimate, frames, part, propagator)
    first = range(len(layers_of(image)))[estimate.sample.first]
    lit = [layers_of(image)[number] for number in first]
    size = change.asked.shape[-2:]
    moved: Array = sum(
        moved_back(layer, namespace(image).ascontiguousarray(change.waves[number][:, :1]), frames, part)[:, 0]
        for number, layer in zip(first, lit, strict=True)
    )
    light_seen: Array = sum(
        namespace(image).stack([_power(layer, corner, size) for corner in corners]) for layer in lit
    )
    steps = _weights(shapes, moved, light_seen)
    now = _known(frames.weights)[part] + steps
    factors = now.astype(shapes.dtype) if isinstance(moved, np.ndarray) else namespace(moved).asarray(now)
    # einsum and not matmul: a product in BLAS would use threads of its own on each of ours
    above = namespace(moved).einsum("jk,jvu->kvu", factors.conj(), moved)
    below = namespace(moved).einsum("jk,jvu->kvu", (abs(factors) ** 2).astype(light_seen.dtype), light_seen)
    return steps, above, below


def _weights(shapes: Array, moved: Array, power: Array) -> Array:
    """Least squares of ``O Σ_k c_k V_k = δψ`` for each frame, shape (position, shape), complex128 on the host."""
    number, count = len(shapes), len(moved)
    flat = shapes.reshape(number, -1)
    xp = namespace(shapes)
    right = on_host(xp.einsum("jp,kp->jk", moved.reshape(count, -1), flat.conj())).astype(np.complex128)
    pairs = (flat.conj()[:, None] * flat[None]).reshape(number * number, -1)
    gram = on_host(xp.einsum("jp,qp->jq", power.reshape(count, -1), pairs)).astype(np.complex128)
    gram = gram.reshape(count, number, number)
    diagonal = np.einsum("jkk->jk", gram).real.max(axis=1)
    gram += (1e-3 * diagonal + 1e-300)[:, None, None] * np.eye(number)
    return np.linalg.solve(gram, right[..., None])[..., 0]


def _power(image: Array, corner: Array, size: tuple[int, ...]) -> Array:
    row, col = int(corner[0]), int(corner[1])
    seen = image[row : row + size[0], col : col + size[1]]
    return seen.real**2 + seen.imag**2


def _known(array: Array | None) -> Array:
    return array

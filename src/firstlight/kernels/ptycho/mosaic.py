"""One image of many overlapping patches, each of which knows its phase up to a constant alone."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.sparse.linalg import spsolve
from scipy.spatial import Delaunay, QhullError

Array = Any

_ROUNDS = 3
"""Of the fit of offsets; residuals are small after the first."""


def neighbours(places: Array) -> Array:
    """Pairs of patches that lie side by side: shape (pair, 2), indices, the smaller first, sorted.

    The edges of the Delaunay triangulation: about three for each patch, whatever the path of the scan; places on a line are
    linked one after the other, and places that coincide with each other.

    Args:
        places: Shape (position, 2).
    """
    if len(places) < 2:
        return np.empty((0, 2), np.int64)
    try:
        found = Delaunay(places)
        indices = found.simplices
        pairs = np.concatenate([indices[:, [0, 1]], indices[:, [1, 2]], indices[:, [0, 2]], found.coplanar[:, [0, 2]]])
    except (QhullError, ValueError):  # fewer than three places, or all on a line
        spread = places - places.mean(axis=0)
        along = spread @ np.linalg.svd(spread, full_matrices=False)[2][0]
        order = np.argsort(along, kind="stable")
        pairs = np.stack([order[:-1], order[1:]], axis=1)
    pairs = np.sort(pairs, axis=1).astype(np.int64)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def overlaps(patches: Array, order: Array, corners: Array, weights: Array, pairs: Array) -> Array:
    """What patches say about each other's phase: ``Σ w_i w_j O_i O_j*`` over the pixels that both have, shape (pair,).

    Args:
        patches: Shape (…, v, u), complex64.
        order: Where the patches lie in that array, shape (position,).
        corners: First row and column of each patch, shape (position, 2), int64.
        weights: Shape (v, u), float32: how far a pixel of a patch can be trusted.
        pairs: Shape (pair, 2).
    """
    found = np.zeros(len(pairs), np.complex128)
    _overlaps(found, patches, order, corners, weights, pairs)
    return found


@nb.njit(nogil=True, cache=True)
def _overlaps(
    found: Array, patches: Array, order: Array, corners: Array, weights: Array, pairs: Array
) -> None:  # pragma: no cover - compiled
    rows, cols = weights.shape
    for number in range(len(pairs)):
        one, other = pairs[number, 0], pairs[number, 1]
        down, right = corners[other, 0] - corners[one, 0], corners[other, 1] - corners[one, 1]
        total = 0j
        for r in range(max(0, down), min(rows, rows + down)):
            for c in range(max(0, right), min(cols, cols + right)):
                weight = weights[r, c] * weights[r - down, c - right]
                total += weight * patches[order[one], r, c] * np.conj(patches[order[other], r - down, c - right])
        found[number] = total


def phase_offsets(agreement: Array, pairs: Array, count: int) -> Array:
    """The constant phase of each patch, so that all agree as well as they can: shape (position,), in radian.

    First along a spanning tree of the strongest overlaps, then by least squares over all of them, weighted by their strength
    (a synchronisation of angles). Patches that nothing links keep phases of their own: the first of each part has 0.

    Args:
        agreement: ``Σ w_i w_j O_i O_j*`` of each pair, shape (pair,), complex.
        pairs: Shape (pair, 2).
        count: Number of patches.
    """
    strong = np.abs(agreement) > 1e-9 * np.abs(agreement).max(initial=0.0)
    agreement, pairs = agreement[strong], pairs[strong]
    if not len(pairs):
        return np.zeros(count)
    strength = np.abs(agreement) / np.abs(agreement).max()
    first, second = pairs.T
    turned = csr_array((np.angle(agreement), (first, second)), shape=(count, count))
    tree = minimum_spanning_tree(csr_array((2 - strength, (first, second)), shape=(count, count)))
    parts, part_of = connected_components(tree, directed=False)
    roots = np.unique(part_of, return_index=True)[1]
    found = np.zeros(count)
    for root in roots[np.bincount(part_of, minlength=parts) > 1]:
        nodes, before = breadth_first_order(tree, root, directed=False)
        _along(found, nodes, before, turned.indptr, turned.indices, turned.data)
    fixed = np.zeros(count)
    fixed[roots] = 1.0
    links = coo_array((strength, (first, second)), shape=(count, count))
    both = (links + links.T).tocsr()
    laplacian = csr_array(_diagonal(both.sum(axis=1) + fixed) - both)
    for _ in range(_ROUNDS):
        left = strength * np.angle(agreement * np.exp(-1j * (found[first] - found[second])))
        found += spsolve(laplacian.tocsc(), np.bincount(first, left, count) - np.bincount(second, left, count))
    return found


def _diagonal(values: Array) -> Any:
    at = np.arange(len(values))
    return csr_array((values, (at, at)), shape=(len(values), len(values)))


@nb.njit(nogil=True, cache=True)
def _along(
    found: Array, nodes: Array, before: Array, starts: Array, columns: Array, angles: Array
) -> None:  # pragma: no cover - compiled
    """Carry the phase from each node of a tree to the next; `angles` are a sparse matrix with rows before columns."""
    for node in nodes[1:]:
        last = before[node]
        low, high = min(node, last), max(node, last)
        angle = 0.0
        for at in range(starts[low], starts[low + 1]):
            if columns[at] == high:
                angle = angles[at]
        found[node] = found[last] + (angle if node == low else -angle)


def stitched(
    patches: Array, order: Array, corners: Array, weights: Array, offsets: Array, shape: tuple[int, int]
) -> tuple[Array, Array, Array]:
    """The weighted mean of all patches with their phases aligned, where any lies.

    Args:
        patches: Shape (…, v, u), complex64.
        order: Where the patches lie in that array, shape (position,); sums are taken in this order.
        corners: First row and column of each patch, shape (position, 2), int64.
        weights: Shape (v, u), float32.
        offsets: Constant phase of each patch in radian, shape (position,).
        shape: Rows and columns of the image.

    Returns:
        The mean, complex64, 1 where nothing lies; the sum of the weights, float32; and how far patches differ: the root of the
        weighted mean of their squared distance from the mean, float32. All of that shape.
    """
    total, light = np.zeros(shape, np.complex128), np.zeros(shape, np.float64)
    squares = np.zeros(shape, np.float64)
    _stitch(total, light, squares, patches, order, corners, weights, np.exp(-1j * offsets))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(light > 0, total / light, 1.0)
        variance = np.where(light > 0, squares / light - np.abs(mean) ** 2, 0.0)
    return mean.astype(np.complex64), light.astype(np.float32), np.sqrt(np.maximum(variance, 0)).astype(np.float32)


@nb.njit(nogil=True, cache=True)
def _stitch(
    total: Array,
    light: Array,
    squares: Array,
    patches: Array,
    order: Array,
    corners: Array,
    weights: Array,
    turns: Array,
) -> None:  # pragma: no cover - compiled
    rows, cols = weights.shape
    for place in range(len(order)):
        top, left = corners[place]
        for r in range(rows):
            for c in range(cols):
                value, weight = patches[order[place], r, c] * turns[place], weights[r, c]
                total[top + r, left + c] += weight * value
                light[top + r, left + c] += weight
                squares[top + r, left + c] += weight * (value.real * value.real + value.imag * value.imag)


def between_pixels(patches: Array, shifts: Array) -> Array:
    """Patches moved by parts of a pixel, by cubic convolution (Keys, IEEE TASSP 29, 1153, 1981), edges repeated.

    Args:
        patches: Shape (position, v, u), complex64.
        shifts: Down and to the right, in pixels, at most 0.5 either way; shape (position, 2).
    """
    found = np.empty_like(patches)
    _move(found, patches, _keys(shifts[:, 0]), _keys(shifts[:, 1]))
    return found


@nb.njit(nogil=True, cache=True)
def _move(found: Array, patches: Array, down: Array, right: Array) -> None:  # pragma: no cover - compiled
    count, rows, cols = patches.shape
    between = np.empty((rows, cols), patches.dtype)
    for place in range(count):
        for r in range(rows):
            for c in range(cols):
                value = patches[place, r, c] * down[place, 2]
                for k in (0, 1, 3, 4):
                    value += patches[place, min(max(r + k - 2, 0), rows - 1), c] * down[place, k]
                between[r, c] = value
        for r in range(rows):
            for c in range(cols):
                value = between[r, c] * right[place, 2]
                for k in (0, 1, 3, 4):
                    value += between[r, min(max(c + k - 2, 0), cols - 1)] * right[place, k]
                found[place, r, c] = value


def _keys(shift: Array) -> Array:
    """Weights of the pixels −2 … 2 away, shape (position, 5), float32; their sum is 1."""
    away = np.abs(np.arange(-2, 3) + shift[:, None])
    near, far = 1.5 * away**3 - 2.5 * away**2 + 1, -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    return np.where(away <= 1, near, np.where(away < 2, far, 0.0)).astype(np.float32)

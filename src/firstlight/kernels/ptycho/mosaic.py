"""One image of many overlapping patches, each of which knows its phase up to a constant alone."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.sparse.linalg import splu
from scipy.spatial import Delaunay, QhullError

Array = Any
Canvas = tuple[Array, Array, Array]
"""Sums of weighted patches (complex128), of weights, and of weighted squares (float64): shape (y, x) each."""

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
    _overlaps(found, _halves(patches), order, corners, weights, pairs)
    return found


def _halves(values: Array) -> Array:
    """Real and imaginary parts side by side along the last axis: loops over them become vector instructions."""
    return values.view(values.real.dtype)


@nb.njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _overlaps(
    found: Array, patches: Array, order: Array, corners: Array, weights: Array, pairs: Array
) -> None:  # pragma: no cover - compiled
    rows, cols = weights.shape
    for number in range(len(pairs)):
        one, other = pairs[number, 0], pairs[number, 1]
        down, right = corners[other, 0] - corners[one, 0], corners[other, 1] - corners[one, 1]
        first, second = patches[order[one]], patches[order[other]]
        left, real, imaginary = max(0, right), np.float32(0), np.float32(0)
        for r in range(max(0, down), min(rows, rows + down)):
            a, b = first[r, 2 * left :], second[r - down, 2 * (left - right) :]
            u, v = weights[r, left:], weights[r - down, left - right :]
            for c in range(min(cols, cols + right) - left):
                weight = u[c] * v[c]
                real += weight * (a[2 * c] * b[2 * c] + a[2 * c + 1] * b[2 * c + 1])
                imaginary += weight * (a[2 * c + 1] * b[2 * c] - a[2 * c] * b[2 * c + 1])
        found[number] = complex(real, imaginary)


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
    solved = splu(laplacian.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    for _ in range(_ROUNDS):
        left = strength * np.angle(agreement * np.exp(-1j * (found[first] - found[second])))
        found += solved.solve(np.bincount(first, left, count) - np.bincount(second, left, count))
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


def blank(shape: tuple[int, int]) -> Canvas:
    """A canvas on which nothing lies."""
    return np.zeros(shape, np.complex128), np.zeros(shape, np.float64), np.zeros(shape, np.float64)


def lay(
    canvas: Canvas, patches: Array, order: Array, corners: Array, weights: Array, turns: Array | None = None
) -> Array:
    """Put patches on a canvas, one after the other.

    Args:
        canvas: Sums of weighted patches, of weights, and of weighted squares; changed in place.
        patches: Shape (…, v, u), complex64.
        order: Where the patches lie in that array, shape (position,); they are put down in this order.
        corners: First row and column of each patch on the canvas, shape (position, 2), int64.
        weights: Shape (v, u), float32.
        turns: By what each patch is multiplied, shape (position,), complex128. None: its phase becomes the one that fits best to what
            lies there already.

    Returns:
        What each was multiplied by.
    """
    total, light, squares = canvas
    used = np.ones(len(order), np.complex128) if turns is None else turns
    _lay(_halves(total), light, squares, _halves(patches), order, corners, weights, used, turns is None)
    return used


@nb.njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _lay(
    total: Array,
    light: Array,
    squares: Array,
    patches: Array,
    order: Array,
    corners: Array,
    weights: Array,
    turns: Array,
    fitted: bool,
) -> None:  # pragma: no cover - compiled
    rows, cols = weights.shape
    for place in range(len(order)):
        top, left = corners[place]
        if fitted:
            real = imaginary = 0.0
            for r in range(rows):
                there, patch = total[top + r, 2 * left :], patches[order[place], r]
                for c in range(cols):
                    weight = weights[r, c]
                    real += weight * (there[2 * c] * patch[2 * c] + there[2 * c + 1] * patch[2 * c + 1])
                    imaginary += weight * (there[2 * c + 1] * patch[2 * c] - there[2 * c] * patch[2 * c + 1])
            size = np.hypot(real, imaginary)
            turns[place] = complex(real, imaginary) / size if size > 0 else 1.0 + 0j
        cosine, sine = turns[place].real, turns[place].imag
        for r in range(rows):
            there, patch = total[top + r, 2 * left :], patches[order[place], r]
            lit, square = light[top + r, left:], squares[top + r, left:]
            for c in range(cols):
                weight, a, b = weights[r, c], patch[2 * c], patch[2 * c + 1]
                there[2 * c] += weight * (a * cosine - b * sine)
                there[2 * c + 1] += weight * (b * cosine + a * sine)
                lit[c] += weight
                square[c] += weight * (a * a + b * b)


def mean_of(canvas: Canvas) -> tuple[Array, Array, Array]:
    """The weighted mean of what lies on a canvas.

    Returns:
        The mean, complex64, 1 where nothing lies; the sum of the weights, float32; and how far patches differ: the root of the
        weighted mean of their squared distance from the mean, float32. All of the canvas' shape.
    """
    total, light, squares = canvas
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(light > 0, total / light, 1.0)
        variance = np.where(light > 0, squares / light - np.abs(mean) ** 2, 0.0)
    return mean.astype(np.complex64), light.astype(np.float32), np.sqrt(np.maximum(variance, 0)).astype(np.float32)


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
    between = np.empty((rows, cols + 4), patches.dtype)
    for place in range(count):
        patch = patches[place]
        a, b, c, d, e = down[place]
        for r in range(rows):
            up2, up, low, low2 = max(r - 2, 0), max(r - 1, 0), min(r + 1, rows - 1), min(r + 2, rows - 1)
            for k in range(cols):
                between[r, k + 2] = (
                    a * patch[up2, k] + b * patch[up, k] + c * patch[r, k] + d * patch[low, k] + e * patch[low2, k]
                )
            between[r, 0] = between[r, 1] = between[r, 2]
            between[r, cols + 2] = between[r, cols + 3] = between[r, cols + 1]
        a, b, c, d, e = right[place]
        for r in range(rows):
            line = between[r]
            for k in range(cols):
                found[place, r, k] = a * line[k] + b * line[k + 1] + c * line[k + 2] + d * line[k + 3] + e * line[k + 4]


def _keys(shift: Array) -> Array:
    """Weights of the pixels −2 … 2 away, shape (position, 5), float32; their sum is 1."""
    away = np.abs(np.arange(-2, 3) + shift[:, None])
    near, far = 1.5 * away**3 - 2.5 * away**2 + 1, -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    return np.where(away <= 1, near, np.where(away < 2, far, 0.0)).astype(np.float32)

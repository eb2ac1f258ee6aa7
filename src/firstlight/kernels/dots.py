"""Lens distortion from an image of a grid of dots.

Dots are found, given their place in the grid, neighbour by neighbour from the middle, and then one model explains where
all of them are seen: an affine grid, seen through the radial polynomial r -> r (1 + k1 r + k2 r^2 + ...) around a center.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.ndimage
import scipy.optimize
import scipy.spatial
from numpy.typing import NDArray

__all__ = ["Distortion", "fit_distortion", "grid_places", "locate_dots"]

Points = NDArray[np.float64]
_LEAST = 12
"""Dots below which nothing is fitted."""
_MISFIT = 0.03
"""Error of the model, in parts of the distance between two dots, beyond which they are no grid."""
_NEAR = 0.3
"""How far a dot may lie from where its neighbour says, in parts of the distance between two."""


class Distortion(NamedTuple):
    """What `undistort` needs, and how well it explains the dots."""

    row: float
    column: float
    coefficients: NDArray[np.float64]
    """(power,): k0 = 1, k1, ...; lengths in pixels."""
    error: float
    """Root mean square distance between dots and model, in pixels."""


def locate_dots(image: NDArray[np.generic]) -> Points:
    """Centers of the dots, dark on bright or bright on dark, weighted by their contrast.

    Args:
        image: (row, col); its background may change slowly.

    Returns:
        (dot, 2): row and column. Dots that touch the rim, or are much smaller or larger than most, are left out.

    Raises:
        ValueError: the image has fewer than twelve dots.
    """
    values = np.nan_to_num(np.asarray(image, np.float64))
    level = values - scipy.ndimage.uniform_filter(values, max(3, min(values.shape) // 8), mode="nearest")
    level = scipy.ndimage.gaussian_filter(level, 0.7)
    low, high = np.percentile(level, [1, 99])
    if not high > low:
        raise ValueError("the image has no contrast: expected a grid of dots")
    contrast = level if abs(high) > abs(low) else -level  # dots are the minority, so they stick out further
    labels, count = scipy.ndimage.label(contrast > 0.5 * max(abs(high), abs(low)))
    index = np.arange(1, count + 1)
    if count < _LEAST:
        raise ValueError(f"the image has {count} dots: expected {_LEAST} or more, with contrast to their background")
    areas = scipy.ndimage.sum_labels(np.ones_like(contrast), labels, index)
    usual = np.median(areas[areas >= min(5.0, areas.max())])
    rim = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    good = (areas > 0.4 * usual) & (areas < 2.5 * usual) & ~np.isin(index, rim)
    if good.sum() < _LEAST:
        raise ValueError(f"the image has {good.sum()} whole dots of one size: expected {_LEAST} or more")
    # the soft rim of a dot belongs to it: without it the center would be drawn to the middle of the pixels
    wide = scipy.ndimage.grey_dilation(labels, size=(5, 5))
    weight = np.clip(contrast - 0.15 * max(abs(high), abs(low)), 0, None)
    kept = index[good]
    # a dot that lies in the rim of another one has no weight left
    kept = kept[scipy.ndimage.sum_labels(weight, wide, kept) > 0]
    return np.array(scipy.ndimage.center_of_mass(weight, wide, kept)).reshape(-1, 2)


def grid_places(points: Points) -> tuple[Points, NDArray[np.int64]]:
    """Give each dot its place in the grid, from the middle outwards.

    Args:
        points: (dot, 2).

    Returns:
        The dots that have a place, (dot, 2), and the places, (dot, 2): steps along both axes of the grid.

    Raises:
        ValueError: there are fewer than twelve dots.
    """
    if len(points) < _LEAST:
        raise ValueError(f"the image has {len(points)} dots: expected {_LEAST} or more")
    tree = scipy.spatial.cKDTree(points)
    start, _ = _nearest(tree, points.mean(axis=0))
    first, second = _steps(points, tree, start)
    places = {start: (0, 0)}
    steps = {start: (first, second)}
    waiting = [start]
    while waiting:
        here = waiting.pop(0)
        for axis in (0, 1):
            for sign in (1, -1):
                step = steps[here][axis]
                found, distance = _nearest(tree, points[here] + sign * step)
                if distance > _NEAR * np.hypot(*step) or found in places:
                    continue
                place = list(places[here])
                place[axis] += sign
                # the step changes slowly across a distorted grid: follow it
                known = list(steps[here])
                known[axis] = 0.5 * (step + sign * (points[found] - points[here]))
                places[found], steps[found] = (place[0], place[1]), (known[0], known[1])
                waiting.append(found)
    chosen = sorted(places)
    return points[chosen], np.array([places[dot] for dot in chosen], np.int64)


def _nearest(tree: scipy.spatial.cKDTree, place: Points) -> tuple[int, float]:
    """The dot next to a place, and its distance."""
    distance, dot = tree.query(place)
    return int(np.asarray(dot)), float(np.asarray(distance))


def _steps(points: Points, tree: scipy.spatial.cKDTree, start: int) -> tuple[Points, Points]:
    """Steps down and to the right from one dot to the next."""
    near = np.asarray(tree.query(points[start], k=5)[1])
    around = points[near[1:]] - points[start]
    down = around[np.argmax(around[:, 0] - np.abs(around[:, 1]))]
    right = around[np.argmax(around[:, 1] - np.abs(around[:, 0]))]
    return down, right


def fit_distortion(points: Points, places: NDArray[np.int64], shape: tuple[int, int], terms: int) -> Distortion:
    """Center and polynomial that explain where the dots of a regular grid are seen.

    Args:
        points: (dot, 2): where they are seen, in pixels.
        places: (dot, 2): their places in the grid.
        shape: rows and columns of the image.
        terms: how many coefficients beside k0.

    Raises:
        ValueError: there are fewer dots than the model needs, they lie in one line, or in no grid.
    """
    if len(points) < max(_LEAST, terms + 8) or np.ptp(places, axis=0).min() < 2:
        raise ValueError(
            f"{len(points)} dots lie in the grid: expected {max(_LEAST, terms + 8)} or more, in three rows"
        )
    scale = max(shape) / 2  # powers of pixels are too unlike each other
    middle = np.array([(shape[0] - 1) / 2, (shape[1] - 1) / 2])
    seen = (points - middle) / scale
    grid = np.column_stack([places, np.ones(len(places))])
    affine = np.linalg.lstsq(grid, seen, rcond=None)[0]
    powers = np.arange(1, terms + 1)

    def misfit(values: Points) -> Points:
        center, factors = values[6:8], values[8:]
        straight = grid @ values[:6].reshape(3, 2) - center
        radius = np.hypot(straight[:, 0], straight[:, 1])[:, None]
        return (center + straight * (1 + radius**powers @ factors[:, None]) - seen).ravel()

    start = np.concatenate([affine.ravel(), np.zeros(2 + terms)])
    found = scipy.optimize.least_squares(misfit, start, method="lm", xtol=1e-14, ftol=1e-14)
    center = middle + scale * found.x[6:8]
    factors = found.x[8:] / scale**powers
    error = scale * float(np.sqrt(np.mean(found.fun**2) * 2))
    pitch = scale * float(np.hypot(*affine[0]))
    if error > _MISFIT * pitch:
        raise ValueError(f"the dots lie {error:.2f} px beside any such grid: expected less than {_MISFIT * pitch:.2f}")
    return Distortion(float(center[0]), float(center[1]), np.concatenate([[1.0], factors]), error)

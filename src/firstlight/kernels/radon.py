"""Direct back-projection onto any plane of the volume, and its exact adjoint.

Slower than `firstlight.kernels.fourier` for whole slices, but it needs no complete scan, adds one projection at a time,
and reconstructs any plane alone: what live slices need. Linear interpolation between columns (and rows, where a plane
is oblique); arithmetic in the precision of the projections.

A plane is nine numbers in voxel coordinates of the volume ``(x, y, z)``, pixel centres at integers, z the detector row:
``origin`` (the pixel 0, 0), ``across`` (the step from one column of the image to the next) and ``down`` (the step from one
row to the next).
"""

from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from firstlight.kernels.angles import angular_weights
from firstlight.kernels.ramp import Window, padded_length, ramp_response

Real = TypeVar("Real", np.float32, np.float64)

_BLOCK = 16  # image rows that stay in the first-level cache while all angles are added


def slice_plane(axis: str, position: float, size: int, rows: int) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Return a plane across the volume at right angles to one of its axes.

    Args:
        axis: "z" (image y x), "y" (image z x) or "x" (image z y).
        position: voxel coordinate along that axis.
        size: width and depth of the volume in voxels.
        rows: detector rows.

    Returns:
        The plane, float64 (3, 3), and the shape (height, width) of its image.

    Raises:
        ValueError: another axis.
    """
    match axis:
        case "z":
            return np.array([[0, 0, position], [1, 0, 0], [0, 1, 0]], np.float64), (size, size)
        case "y":
            return np.array([[0, position, 0], [1, 0, 0], [0, 0, 1]], np.float64), (rows, size)
        case "x":
            return np.array([[position, 0, 0], [0, 1, 0], [0, 0, 1]], np.float64), (rows, size)
        case _:
            raise ValueError(f"axis {axis!r} is unknown. Choose 'x', 'y' or 'z'.")


def backproject_plane(
    filtered: NDArray[Real],
    angles_degrees: ArrayLike,
    plane: ArrayLike,
    shape: tuple[int, int],
    *,
    center: float | ArrayLike | None = None,
    size: int | None = None,
    weights: ArrayLike | None = None,
    out: NDArray[Real] | None = None,
) -> NDArray[Real]:
    """Add the back-projection of filtered projections to the image of a plane.

    Args:
        filtered: shape (angle, row, col), float32 or float64, after `ramp_filter`.
        angles_degrees: shape (angle,).
        plane: nine numbers, see the module.
        shape: (height, width) of the image.
        center: column of the rotation axis, one number or one per detector row; (columns - 1)/2 by default.
        size: width and depth of the volume in voxels, the axis in its middle; the number of columns by default.
        weights: share of each projection in radian, `angular_weights` by default; negative ones take a projection back.
        out: image to add to; a new one of zeros by default.

    Returns:
        Array (height, width) in the type of `filtered`: attenuation per pixel. Rays that miss the detector add nothing.

    Raises:
        ValueError: shapes or types that do not fit each other.
    """
    geometry = _geometry(angles_degrees, plane, center, size, weights, filtered.shape, filtered.dtype)
    image = np.zeros(shape, filtered.dtype) if out is None else out
    if image.shape != tuple(shape) or image.dtype != filtered.dtype:
        raise ValueError(f"out is {image.dtype} {image.shape}, expected {filtered.dtype} {tuple(shape)}.")
    _backproject(image, filtered, *geometry, _steps(shape[1], filtered.shape[2], filtered.dtype))
    return image


def project_plane(
    image: NDArray[Real],
    angles_degrees: ArrayLike,
    plane: ArrayLike,
    shape: tuple[int, int],
    *,
    center: float | ArrayLike | None = None,
    size: int | None = None,
    weights: ArrayLike | None = None,
    out: NDArray[Real] | None = None,
) -> NDArray[Real]:
    """Add the projection of a plane's image to projections: the exact adjoint of `backproject_plane`.

    Args:
        image: shape (height, width), float32 or float64.
        angles_degrees: shape (angle,).
        plane: nine numbers, see the module.
        shape: (rows, columns) of the detector.
        center: as in `backproject_plane`.
        size: as in `backproject_plane`.
        weights: as in `backproject_plane`; ones give line integrals through the plane.
        out: projections to add to; new ones of zeros by default.

    Returns:
        Array (angle, row, col) in the type of `image`.

    Raises:
        ValueError: shapes or types that do not fit each other.
    """
    full = (np.size(angles_degrees), *shape)
    geometry = _geometry(angles_degrees, plane, center, size, weights, full, image.dtype)
    projections = np.zeros(full, image.dtype) if out is None else out
    if projections.shape != full or projections.dtype != image.dtype:
        raise ValueError(f"out is {projections.dtype} {projections.shape}, expected {image.dtype} {full}.")
    _project(projections, image, *geometry, _steps(image.shape[1], shape[1], image.dtype))
    return projections


def direct_fbp(
    sinogram: NDArray[np.floating],
    angles_degrees: ArrayLike,
    *,
    center: float | None = None,
    size: int | None = None,
    window: Window = "ram-lak",
    cutoff: float = 1.0,
) -> NDArray[np.float64]:
    """Reconstruct one slice by filtering and direct back-projection in double precision: the slow reference.

    Args:
        sinogram: shape (angle, col): line integrals.
        angles_degrees: shape (angle,).
        center: column of the rotation axis, (columns - 1)/2 by default.
        size: width and height of the slice, the number of columns by default.
        window: one of `firstlight.kernels.ramp.WINDOWS`.
        cutoff: end of the window as a fraction of the highest frequency.

    Returns:
        float64 array (y, x): attenuation per pixel.
    """
    columns = sinogram.shape[-1]
    length = padded_length(columns)
    spectrum = np.fft.fft(sinogram.astype(np.float64), length) * ramp_response(length, window, cutoff)
    filtered = np.ascontiguousarray(np.fft.ifft(spectrum).real[:, None, :columns])
    plane, shape = slice_plane("z", 0.0, columns if size is None else size, 1)
    return backproject_plane(filtered, angles_degrees, plane, shape, center=center, size=size)


def _steps(width: int, columns: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """0, 1, 2, ... in the precision of the data: keeps the inner loops free of conversions."""
    return np.arange(max(width, columns)).astype(dtype)


def _geometry(
    angles_degrees: ArrayLike,
    plane: ArrayLike,
    center: float | ArrayLike | None,
    size: int | None,
    weights: ArrayLike | None,
    full: tuple[int, ...],
    dtype: np.dtype[Any],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Check and convert: (cosine and sine, weights, center per row, plane, middle of the volume)."""
    if len(full) != 3 or full[1] < 1 or full[2] < 2 or dtype not in (np.float32, np.float64):
        raise ValueError(
            f"projections are {dtype} {full}, expected float32 or float64 (angle, row, col), 2 columns or more."
        )
    angles = np.atleast_1d(np.asarray(angles_degrees, np.float64))
    if angles.shape != (full[0],):
        raise ValueError(f"angles_degrees has shape {angles.shape}, expected ({full[0]},), one per projection.")
    share = angular_weights(angles) if weights is None else np.atleast_1d(np.asarray(weights, np.float64))
    if share.shape != angles.shape:
        raise ValueError(f"weights has shape {share.shape}, expected {angles.shape}, one per projection.")
    axis = np.asarray((full[2] - 1) / 2 if center is None else center, np.float64)
    if axis.ndim > 1 or (axis.ndim == 1 and axis.size != full[1]) or not np.all(np.isfinite(axis)):
        raise ValueError(f"center {center!r} is neither one finite column number nor {full[1]}, one per row.")
    nine = np.asarray(plane, np.float64)
    if nine.size != 9 or not np.all(np.isfinite(nine)):
        raise ValueError(f"plane {plane!r} is not nine finite numbers (origin, across, down, each x y z).")
    turn = np.stack([np.cos(np.deg2rad(angles)), np.sin(np.deg2rad(angles))])
    middle = ((full[2] if size is None else size) - 1) / 2
    # copied: of one row it would stay a view that is read only, for which all is compiled a second time
    return turn, share, np.array(np.broadcast_to(axis, (full[1],))), nine.reshape(3, 3), middle


@numba.njit(nogil=True, cache=True, inline="always")
def _span(start: Any, step: Any, columns: Any, width: Any) -> Any:
    """First and one past the last image column j with 0 <= start + step j <= columns - 1."""
    top = columns - 1.0
    if abs(step) < 1e-12:
        return (0, width) if 0.0 <= start <= top else (0, 0)
    one, other = -start / step, (top - start) / step
    low, high = min(one, other), max(one, other)
    first = min(max(np.ceil(low - 1e-4), 0.0), float(width))  # 1e-4 pixel: float32 rounding on both rims
    last = max(min(np.floor(high + 1e-4), width - 1.0), -1.0)
    return int(first), max(int(last) + 1, int(first))


@numba.njit(nogil=True, cache=True, fastmath=True)
def _gather(target: Any, line: Any, start: Any, step: Any, weight: Any, steps: Any, first: Any, last: Any) -> None:
    """Add weight times the linear interpolation of `line` at start + step j to target[j], first <= j < last."""
    zero, most = steps[0], steps[line.size - 2]
    for j in range(first, last):
        place = start + step * steps[j]
        base = min(max(np.floor(place), zero), most)
        k = np.uint32(base)
        target[j] += weight * (line[k] + (place - base) * (line[k + np.uint32(1)] - line[k]))


@numba.njit(nogil=True, cache=True, fastmath=True)
def _scatter(line: Any, source: Any, start: Any, step: Any, weight: Any, steps: Any, first: Any, last: Any) -> None:
    """Adjoint of `_gather`: same places, same weights."""
    zero, most = steps[0], steps[line.size - 2]
    one = steps[1]
    for j in range(first, last):
        place = start + step * steps[j]
        base = min(max(np.floor(place), zero), most)
        k = np.uint32(base)
        value, part = weight * source[j], place - base
        line[k] += (one - part) * value
        line[k + np.uint32(1)] += part * value


@numba.njit(nogil=True, cache=True)
def _lines(i: Any, turn: Any, axis: Any, plane: Any, middle: Any, rows: Any) -> Any:
    """Detector row, part of the next row, and column of pixel (i, 0), for one angle; row -1 if off the detector."""
    x = plane[0, 0] + i * plane[2, 0] - middle
    y = middle - plane[0, 1] - i * plane[2, 1]
    z = plane[0, 2] + i * plane[2, 2]
    if z < 0.0 or z > rows - 1.0:
        return -1, 0.0, 0.0
    r = min(int(z), max(rows - 2, 0))
    part = z - r
    center = axis[r] if part == 0.0 else (1.0 - part) * axis[r] + part * axis[r + 1]
    return r, part, x * turn[0] + y * turn[1] + center


@numba.njit(nogil=True, cache=True)
def _backproject(
    image: Any, projections: Any, turn: Any, share: Any, axis: Any, plane: Any, middle: Any, steps: Any
) -> None:
    """Gather every projection into the image, a block of image rows at a time."""
    height, width = image.shape
    angles, rows, columns = projections.shape
    if plane[1, 2] != 0.0:
        _oblique(image, projections, turn, share, axis, plane, middle, False)
        return
    real = steps.dtype.type
    for top in range(0, height, _BLOCK):
        for a in range(angles):
            step = plane[1, 0] * turn[0, a] - plane[1, 1] * turn[1, a]
            for i in range(top, min(top + _BLOCK, height)):
                r, part, start = _lines(i, turn[:, a], axis, plane, middle, rows)
                if r < 0:
                    continue
                first, last = _span(start, step, columns, width)
                for extra in range(2):
                    weight = share[a] * (part if extra else 1.0 - part)
                    if weight != 0.0:
                        line = projections[a, r + extra]
                        _gather(image[i], line, real(start), real(step), real(weight), steps, first, last)


@numba.njit(nogil=True, cache=True)
def _project(
    projections: Any, image: Any, turn: Any, share: Any, axis: Any, plane: Any, middle: Any, steps: Any
) -> None:
    """Scatter the image into every projection with the weights of `_backproject`."""
    height, width = image.shape
    angles, rows, columns = projections.shape
    if plane[1, 2] != 0.0:
        _oblique(image, projections, turn, share, axis, plane, middle, True)
        return
    real = steps.dtype.type
    for a in range(angles):
        step = plane[1, 0] * turn[0, a] - plane[1, 1] * turn[1, a]
        for i in range(height):
            r, part, start = _lines(i, turn[:, a], axis, plane, middle, rows)
            if r < 0:
                continue
            first, last = _span(start, step, columns, width)
            for extra in range(2):
                weight = share[a] * (part if extra else 1.0 - part)
                if weight != 0.0:
                    line = projections[a, r + extra]
                    _scatter(line, image[i], real(start), real(step), real(weight), steps, first, last)


@numba.njit(nogil=True, cache=True)
def _oblique(
    image: Any, projections: Any, turn: Any, share: Any, axis: Any, plane: Any, middle: Any, adjoint: Any
) -> None:
    """Planes whose image rows cross detector rows: bilinear, pixel by pixel, either direction."""
    height, width = image.shape
    angles, rows, columns = projections.shape
    for a in range(angles):
        c, s = turn[0, a], turn[1, a]
        for i in range(height):
            for j in range(width):
                z = plane[0, 2] + i * plane[2, 2] + j * plane[1, 2]
                if z < 0.0 or z > rows - 1.0:
                    continue
                r = min(int(z), max(rows - 2, 0))
                v = z - r
                below = min(r + 1, rows - 1)
                x = plane[0, 0] + i * plane[2, 0] + j * plane[1, 0] - middle
                y = middle - plane[0, 1] - i * plane[2, 1] - j * plane[1, 1]
                place = x * c + y * s + (1.0 - v) * axis[r] + v * axis[below]
                if place < 0.0 or place > columns - 1.0:
                    continue
                k = min(int(place), columns - 2)
                u = place - k
                if adjoint:
                    value = share[a] * image[i, j]
                    projections[a, r, k] += (1.0 - v) * (1.0 - u) * value
                    projections[a, r, k + 1] += (1.0 - v) * u * value
                    projections[a, below, k] += v * (1.0 - u) * value
                    projections[a, below, k + 1] += v * u * value
                else:
                    one = (1.0 - u) * projections[a, r, k] + u * projections[a, r, k + 1]
                    two = (1.0 - u) * projections[a, below, k] + u * projections[a, below, k + 1]
                    image[i, j] += share[a] * ((1.0 - v) * one + v * two)

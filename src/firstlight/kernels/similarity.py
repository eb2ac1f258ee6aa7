"""How alike two images or volumes are: structural similarity, signal to noise, differences."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["peak_signal_to_noise", "root_mean_square", "structural_similarity"]

_SIGMA = 1.5
"""Width of the Gaussian neighbourhood in pixel (Wang et al. 2004)."""
_REACH = 5
"""Its radius in pixel: it is cut off at 3.5 sigma."""
_K1, _K2 = 0.01, 0.03


def structural_similarity(a: ArrayLike, b: ArrayLike, *, data_range: float) -> float:
    """Mean structural similarity (Wang et al. 2004): 1 for equal images, near 0 for unrelated ones.

    Args:
        a: any number of axes, each longer than 10, without NaN.
        b: of the same shape.
        data_range: difference between the largest and the smallest possible value.

    Raises:
        ValueError: the shapes differ, a side is too short, or the range is not positive.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    _same(first, second)
    if min(first.shape) <= 2 * _REACH:
        raise ValueError(f"the shape is {first.shape}: expected sides longer than {2 * _REACH}")
    _positive(data_range)
    mean_a, mean_b = _blurred(first), _blurred(second)
    both, squares = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
    covariance = _blurred(first * second) - both
    variances = _blurred(first * first + second * second) - squares
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    return float(np.mean((2 * both + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))))


def _blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian means of all neighbourhoods that lie inside: each side is shorter by twice the radius."""
    place = np.arange(-_REACH, _REACH + 1)
    taps = np.exp(-(place**2) / (2 * _SIGMA**2))
    taps /= taps.sum()
    for axis, length in enumerate(values.shape):
        shape = (*values.shape[:axis], length - 2 * _REACH, *values.shape[axis + 1 :])
        out = np.zeros(shape)
        if axis == values.ndim - 1:
            _add_along(np.ascontiguousarray(values).reshape(-1, length), taps, out.reshape(-1, shape[axis]))
        else:
            before = math.prod(shape[:axis])
            lines = np.ascontiguousarray(values).reshape(before, length, -1)
            _add_across(lines, taps, out.reshape(before, shape[axis], -1))
        values = out
    return values


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def _add_along(lines: Any, taps: Any, out: Any) -> None:
    """Neighbours along the last axis."""
    for n in range(out.shape[0]):
        for t in range(taps.size):
            part = lines[n, t : t + out.shape[1]]
            for i in range(out.shape[1]):
                out[n, i] += taps[t] * part[i]


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def _add_across(lines: Any, taps: Any, out: Any) -> None:
    """Neighbours along the middle one of three axes."""
    for n in range(out.shape[0]):
        for i in range(out.shape[1]):
            for t in range(taps.size):
                part = lines[n, i + t]
                for k in range(out.shape[2]):
                    out[n, i, k] += taps[t] * part[k]


def peak_signal_to_noise(a: ArrayLike, b: ArrayLike, *, data_range: float) -> float:
    """Peak signal to noise ratio in dB: ``20 log10(range / rms)``; infinite for equal images, NaN where a value is not finite.

    Raises:
        ValueError: the shapes differ, or the range is not positive.
    """
    _positive(data_range)
    rms = root_mean_square(a, b)
    if not math.isfinite(rms):
        return math.nan
    return math.inf if rms == 0 else 20 * math.log10(data_range / rms)


def root_mean_square(a: ArrayLike, b: ArrayLike) -> float:
    """The root of the mean square of the difference, in the unit of the values.

    Raises:
        ValueError: the shapes differ.
    """
    first, second = np.asarray(a), np.asarray(b)
    _same(first, second)
    difference = np.subtract(first, second, dtype=np.float64)
    return math.sqrt(float(np.mean(difference * difference)))


def _same(a: NDArray[np.generic], b: NDArray[np.generic]) -> None:
    if a.shape != b.shape:
        raise ValueError(f"the shapes are {a.shape} and {b.shape}: expected the same")


def _positive(data_range: float) -> None:
    if not data_range > 0 or not math.isfinite(data_range):
        raise ValueError(f"data_range is {data_range}: expected a positive number")

"""Least, greatest, mean and spread of values, of what is finite; and cheap looks at frames that can not be right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Moments:
    """Statistics of values that were seen; those that are not finite are only counted."""

    count: int = 0
    low: float = math.inf
    high: float = -math.inf
    mean: float = 0.0
    squares: float = 0.0
    """Sum of the squared differences from the mean."""
    nan: int = 0
    infinite: int = 0

    def __add__(self, other: Moments) -> Moments:
        """Statistics of both (Chan, Golub and LeVeque 1983, 10.1080/00031305.1983.10483115)."""
        nan, infinite = self.nan + other.nan, self.infinite + other.infinite
        count = self.count + other.count
        if not count:
            return Moments(nan=nan, infinite=infinite)
        apart = other.mean - self.mean
        mean = self.mean + apart * other.count / count
        squares = self.squares + other.squares + apart**2 * self.count * other.count / count
        return Moments(count, min(self.low, other.low), max(self.high, other.high), mean, squares, nan, infinite)

    @property
    def std(self) -> float:
        """Standard deviation."""
        return math.sqrt(self.squares / self.count) if self.count else math.nan

    def as_dict(self) -> dict[str, Any]:
        """The numbers by name."""
        known = self.count > 0
        return {
            "min": self.low if known else None,
            "max": self.high if known else None,
            "mean": self.mean if known else None,
            "std": self.std if known else None,
            "values": self.count,
            "nan": self.nan,
            "infinite": self.infinite,
        }


def moments(values: NDArray[Any]) -> Moments:
    """Statistics of an array of numbers; of complex ones, of their magnitudes."""
    if values.dtype.kind == "c":
        values = np.abs(values)
    elif values.dtype.kind == "b" or values.dtype == np.float16:
        values = values.astype(np.float32)
    total = Moments()
    for block in values if values.ndim > 1 else values[np.newaxis]:  # a shift for each, near its own mean
        count, low, high, shift, first, second, nan, infinite = _sums(np.ascontiguousarray(block).reshape(-1))
        if count:
            mean = first / count
            squares = max(second - first * mean, 0.0)
            total += Moments(int(count), low, high, shift + mean, squares, int(nan), int(infinite))
        else:
            total += Moments(nan=int(nan), infinite=int(infinite))
    return total


@numba.njit(nogil=True, cache=True)
def _sums(values: Any) -> Any:
    """Count, extremes, shift, sums of shifted values and their squares, NaN, infinities."""
    count, nan, infinite = 0, 0, 0
    low, high, shift, first, second = np.inf, -np.inf, 0.0, 0.0, 0.0
    for each in values:
        value = float(each)
        if value != value:
            nan += 1
        elif value == np.inf or value == -np.inf:
            infinite += 1
        else:
            if count == 0:
                shift = value
            count += 1
            low, high = min(low, value), max(high, value)
            value -= shift
            first += value
            second += value * value
    return count, low, high, shift, first, second, nan, infinite


def faults(frames: NDArray[Any], *, raw: bool, saturated: float = 1e-3) -> dict[str, list[int]]:
    """Frames that can not be right, by what is wrong with them: ``nan``, ``infinite``, ``zero``, ``saturated``.

    Made so that good frames cost one quick pass. Where a frame is one number, such as a shift, 0 is as good as any.

    Args:
        frames: First dimension: frames.
        raw: True for what a detector gave: frames at the end of their type's range are looked for then.
        saturated: Share of the pixels that must have the largest value of the type.
    """
    if not frames.size:
        return {}
    flat = frames.reshape(len(frames), -1)
    if flat.dtype.kind in "fc":
        return _faults_of_floats(flat)
    if flat.dtype.kind not in "iu":
        return {}
    high = flat.max(axis=1)
    zero = np.flatnonzero(high == 0) if flat.dtype.kind == "u" else np.flatnonzero(~flat.any(axis=1))
    found = {"zero": zero.tolist()} if len(zero) and flat.shape[1] > 1 else {}
    full = np.flatnonzero(high == np.iinfo(flat.dtype).max) if raw else ()
    over = [int(n) for n in full if np.count_nonzero(flat[n] == high[n]) > saturated * flat.shape[1]]
    return found | ({"saturated": over} if over else {})


def _faults_of_floats(flat: NDArray[Any]) -> dict[str, list[int]]:
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.asarray(flat.sum(axis=1))
    found: dict[str, list[int]] = {}
    for n in np.flatnonzero(~np.isfinite(sums)).tolist():
        if np.isnan(flat[n]).any():
            found.setdefault("nan", []).append(n)
        if np.isinf(flat[n]).any():
            found.setdefault("infinite", []).append(n)
    zero = [n for n in np.flatnonzero(sums == 0).tolist() if not flat[n].any() and flat.shape[1] > 1]
    return found | ({"zero": zero} if zero else {})

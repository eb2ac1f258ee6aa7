"""From a result at full resolution to what a screen shows: the part asked for, averaged down, with histogram and levels.

It runs in the run process, on the thread that serves one watcher, so that what crosses to the service is no larger than
a screen. Bound by memory: one pass over the image per averaged row and column offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.core.run import ViewInfo
from firstlight.core.view import Shown

BINS = 128
LOWEST, HIGHEST = 0.5, 99.5
"""Percentiles between which the automatic levels lie."""
SAMPLE = 1 << 17
"""Pixels that histogram and levels are taken from: enough for 0.5 % tails to 1 part in 600."""
LARGEST_SCREEN = 16384
MOST_POINTS = 20_000
"""Places of a scatter plot, at most: every so many of more."""
MOST_BESIDE = 16
"""Planes that are put side by side, at most."""
PLACE = "yx"
"""Last axis of a list of places in a plane: rows are points, not pixels."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a screen can show of a view."""

    width: int = 512
    """Screen pixels across."""
    height: int = 512
    """Screen pixels down."""
    region: tuple[int, int, int, int] | None = None
    """Rows and columns of the full image (row0, row1, col0, col1; the ends are outside), or None for all of it."""
    index: tuple[int, ...] = ()
    """Position along the axes before the last two; the middle where none is given."""
    half: bool = False
    """Send float16: half the bytes, three digits."""
    phase: bool = False
    """Send complex values as they are (complex64); otherwise their magnitude."""
    beside: bool = False
    """Put the planes of the last axis before the image side by side, from left to right, in place of one of them."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Wanted:
        """Read it from a message.

        Raises:
            FirstlightError: A value is not a whole number, or out of range.
        """
        width, height = (_whole(name, given.get(name, 512), 1, LARGEST_SCREEN) for name in ("width", "height"))
        region, index = given.get("region"), given.get("index") or ()
        edges = None if region is None else _region(region)
        if not isinstance(index, (list, tuple)) or len(index) > 30:
            raise FirstlightError(
                "The index is not a list.", field="index", value=index, expected="whole numbers, one per leading axis"
            )
        flags = {name: bool(given.get(name, False)) for name in ("half", "phase", "beside")}
        return cls(width, height, edges, tuple(_whole("index", at, 0, 2**31) for at in index), **flags)

    def fields(self) -> dict[str, Any]:
        """The same as plain values."""
        region = None if self.region is None else list(self.region)
        return {
            "width": self.width,
            "height": self.height,
            "region": region,
            "index": list(self.index),
            "half": self.half,
            "phase": self.phase,
            "beside": self.beside,
        }


def _region(value: Any) -> tuple[int, int, int, int]:
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        raise FirstlightError(
            "The region is not four numbers.", field="region", value=value, expected="[row0, row1, col0, col1] or null"
        )
    row0, row1, column0, column1 = (_whole("region", edge, -(2**31), 2**31) for edge in value)
    return row0, row1, column0, column1


def _whole(name: str, value: Any, low: int, high: int) -> int:
    number = value
    if isinstance(value, float) and value.is_integer():
        number = int(value)
    if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
        raise FirstlightError(
            f"'{name}' is not accepted.", field=name, value=value, expected=f"a whole number from {low} to {high}"
        )
    return number


def picture(name: str, shown: Shown, wanted: Wanted, info: ViewInfo | None = None) -> tuple[dict[str, Any], Array]:
    """The header and the pixels of what a screen shows.

    Args:
        name: The view.
        shown: Its newest version, any number of axes; of more than two, one plane is taken.
        wanted: The screen, and the part it shows.
        info: Unit and pixel size of the view.

    Returns:
        A header as REST describes it (without ``sent``), and pixels of shape (h, w), (n,) for a line, or (n, 2) for places;
        levels and histogram of complex values are those of their magnitude.
    """
    plane, axes = _plane(shown, wanted)
    image = plane.ndim == 2 and axes[-1] != PLACE
    region = _clip(wanted.region, plane.shape) if image else None
    part = plane if region is None else plane[region[0] : region[1], region[2] : region[3]]
    pixels = _scaled(part, wanted) if image else _as_sendable(part[:: -(-len(part) // MOST_POINTS)])
    low, high, levels, histogram = _levels(*(_magnitude(values) for values in (pixels, part)))
    if wanted.half and pixels.dtype == np.float32 and max(abs(low), abs(high)) < 6e4:
        pixels = pixels.astype(np.float16)
    header = {
        "view": name,
        "version": shown.version,
        "shape": list(pixels.shape),
        "dtype": pixels.dtype.name,
        "full_shape": list(plane.shape),
        "region": None if region is None else list(region),
        "axes": list(axes),
        "unit": shown.stream.unit if info is None else info.unit,
        "pixel_size": None if info is None or info.pixel_size is None else list(info.pixel_size),
        "pixel_unit": None if info is None else info.pixel_unit,
        "range": [low, high],
        "levels": levels,
        "histogram": histogram,
        "coverage": 1.0 if shown.coverage is None else shown.coverage,
        "epoch": shown.epoch,
        "id": shown.id,
        "received": shown.received,
        "coarse": shown.coarse,
    }
    return header, pixels


def _plane(shown: Shown, wanted: Wanted) -> tuple[Array, tuple[str, ...]]:
    """One plane with all that is known of it; what has not come is NaN."""
    data = shown.data if shown.data.ndim else shown.data.reshape(1)
    axes = tuple(shown.stream.axes[-data.ndim :])
    leading = data.shape[:-2] if data.ndim > 2 else ()
    index = wanted.index
    at = tuple(min(index[axis], size - 1) if axis < len(index) else size // 2 for axis, size in enumerate(leading))
    covered = shown.covered
    if leading and wanted.beside:
        at = at[:-1]
        plane = np.concatenate(list((data[at] if at else data)[:MOST_BESIDE]), axis=-1)
        covered = None
    else:
        plane = data[at] if leading else data
    if np.iscomplexobj(plane) and not wanted.phase:
        plane = np.abs(plane)
    return _with_holes(plane, covered), axes[len(leading) :]


def _with_holes(plane: Array, covered: Array | None) -> Array:
    """NaN where nothing has come, in a result that is filled in value by value."""
    if covered is None or covered.shape != plane.shape or covered.all():
        return plane
    return np.where(covered, plane, plane.dtype.type(np.nan) if plane.dtype.kind in "fc" else np.nan)


def _magnitude(values: Array) -> Array:
    return np.abs(values) if np.iscomplexobj(values) else values


def _clip(region: tuple[int, int, int, int] | None, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    rows, columns = shape
    row0, row1, column0, column1 = region or (0, rows, 0, columns)
    row0, column0 = min(max(row0, 0), max(rows - 1, 0)), min(max(column0, 0), max(columns - 1, 0))
    return row0, min(max(row1, row0 + 1), rows), column0, min(max(column1, column0 + 1), columns)


def _scaled(part: Array, wanted: Wanted) -> Array:
    factors = [
        max(1, round(size / screen)) for size, screen in zip(part.shape, (wanted.height, wanted.width), strict=True)
    ]
    if factors == [1, 1]:
        return _as_sendable(part)
    if np.iscomplexobj(part):
        mean = area_mean(np.real(part), factors[0], factors[1]) + 1j * area_mean(np.imag(part), factors[0], factors[1])
        return mean.astype(np.complex64)
    return area_mean(part, factors[0], factors[1])


def _as_sendable(part: Array) -> Array:
    """The same in a type that the message knows; not copied where it has one already."""
    if part.dtype.name in ("uint8", "uint16"):
        return np.ascontiguousarray(part)
    if np.iscomplexobj(part):
        return np.ascontiguousarray(part, dtype=np.complex64)
    return np.ascontiguousarray(part, dtype=np.uint8 if part.dtype == bool else np.float32)


def area_mean(image: Array, rows: int, columns: int) -> Array:
    """Means over blocks of pixels; incomplete blocks at the far edges are averaged over what they have.

    Args:
        image: Shape (row, col); NaN stands for pixels that are not known, which do not count.
        rows: Rows of a block.
        columns: Columns of a block.

    Returns:
        float32, shape (ceil(row / rows), ceil(col / columns)); NaN where a block has no known pixel.
    """
    values = image.astype(np.float32, copy=False)
    means = _block_means(values, rows, columns)
    if np.isfinite(means).all():
        return means
    known = np.isfinite(values)
    share = _block_means(known.astype(np.float32), rows, columns)
    sums = _block_means(np.where(known, values, np.float32(0)), rows, columns)
    return np.divide(sums, share, out=np.full_like(sums, np.nan), where=share > 0)


def _block_means(values: Array, rows: int, columns: int) -> Array:
    # adding strided views beats reshape-and-mean five times and reduceat eight times at 2048²
    return _mean_of_groups(_mean_of_groups(values, rows).T, columns).T


def _mean_of_groups(values: Array, size: int) -> Array:
    whole = len(values) // size * size
    total = values[0:whole:size].copy(order="K")
    for offset in range(1, size):
        total += values[offset:whole:size]
    total *= np.float32(1 / size)
    if whole == len(values):
        return total
    return np.concatenate([total, values[whole:].mean(axis=0, keepdims=True, dtype=np.float32)])


def _levels(pixels: Array, part: Array) -> tuple[float, float, list[float], dict[str, Any]]:
    """Range of the part at full resolution; levels and histogram from a sample of what is sent."""
    sample = pixels.reshape(-1)[:: max(1, pixels.size // SAMPLE)].astype(np.float32)
    sample = sample[np.isfinite(sample)]
    if not sample.size:  # nothing has come
        return 0.0, 1.0, [0.0, 1.0], {"low": 0.0, "high": 1.0, "counts": [0] * BINS}
    low, high = _range(part)
    tails = [round(share / 100 * (sample.size - 1)) for share in (LOWEST, HIGHEST)]
    ordered = np.partition(sample, tails)
    first, last = float(sample.min()), float(sample.max())
    # float32 has no room for so many bins between values that are nearly the same
    least = 1e-4 * max(abs(first), abs(last)) or 1.0
    edges = (first, max(last, first + least))
    counts = np.histogram(sample, bins=BINS, range=edges)[0]
    histogram = {"low": edges[0], "high": edges[1], "counts": counts.tolist()}
    return low, high, [float(ordered[tail]) for tail in tails], histogram


def _range(part: Array) -> tuple[float, float]:
    low, high = float(part.min()), float(part.max())
    if np.isfinite(low) and np.isfinite(high):
        return low, high
    known = part[np.isfinite(part)]
    return float(known.min()), float(known.max())

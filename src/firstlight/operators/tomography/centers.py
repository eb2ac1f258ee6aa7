"""The column of the rotation axis, one for all slices or one for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import Operator

Center = Annotated[
    float | tuple[float, ...] | None,
    Field(
        description="Column of the rotation axis, from 0: one number, or one for each detector row. Default: the middle.",
    ),
]


def chosen_centers(center: Center, row: Array | None, count: int, columns: int, size: int) -> Array:
    """The column of the rotation axis for each slice in hand, float64 (slice,).

    Args:
        center: what the user gave, or another step found.
        row: detector row of each slice.
        count: slices in hand.
        columns: of the detector.
        size: width of the slices.

    Raises:
        FirstlightError: there is not one for each row, or one is so far beside the detector that no ray meets the slice.
    """
    given = np.asarray(np.nan if center is None else center, np.float64)
    if given.ndim == 0:
        given = np.full(count, (columns - 1) / 2 if np.isnan(given) else given)
    else:
        given = _of_rows(given, row, count)
    _demand_near(given, columns, size)
    return given


def _of_rows(given: Array, row: Array | None, count: int) -> Array:
    rows = None if row is None else np.asarray(row, np.int64)
    if rows is not None and given.size > rows.max():
        given = given[rows]
    if given.size != count or not np.all(np.isfinite(given)):
        raise _not_one_each(f"{np.isfinite(given).sum()} finite numbers", count)
    return given


def ends_of(center: Center, columns: int) -> tuple[float, float]:
    """The lowest and the highest column of all centers, whichever slices are in hand; the middle where none is known."""
    given = np.asarray(np.nan if center is None else center, np.float64)
    known = given[np.isfinite(given)]
    return (float(known.min()), float(known.max())) if known.size else ((columns - 1) / 2, (columns - 1) / 2)


def beside_detector(ends: tuple[float, float], columns: int, size: int) -> tuple[int, int]:
    """Columns before the first and behind the last one of the detector that slices about these axes reach.

    A filter spreads what the detector saw into them.
    """
    before, after = size / 2 - 0.5 - ends[0], size / 2 + 0.5 + ends[1] - columns
    return max(0, int(np.ceil(before))), max(0, int(np.ceil(after)))


def demand_centers(step: Operator, scan: Scan) -> None:
    """Refuse centers that do not fit a scan, before its first frame. The rows of a part count from 0.

    Raises:
        FirstlightError: there is not one for each row, or one is so far beside the detector that no ray meets the slice.
    """
    given, sizes = step.parameters(), scan.main.sizes
    center, rows, columns = given["center"], sizes.get("row"), sizes.get("col")
    if isinstance(center, tuple) and rows is not None and len(center) != rows:
        raise _not_one_each(f"{len(center)} numbers", rows)
    if center is not None and columns is not None:
        _demand_near(np.atleast_1d(np.asarray(center, np.float64)), columns, given["size"] or columns)


def _demand_near(centers: Array, columns: int, size: int) -> None:
    outside = np.abs(centers - (columns - 1) / 2) > columns / 2 + size
    if outside.any():
        raise FirstlightError(
            "No ray meets a slice about an axis so far beside the detector.",
            field="center",
            value=float(centers[outside][0]),
            expected=f"a column, from 0 to {columns - 1} on the detector",
        )


def _not_one_each(value: str, rows: int) -> FirstlightError:
    return FirstlightError(
        "There is not one center for each row.",
        field="center",
        value=value,
        expected=f"{rows}, one for each row, or a single one",
        next_move="Where only some rows are taken, give the numbers of those.",
    )


def same_center(centers: Array) -> Iterator[tuple[slice, float]]:
    """Runs of neighbouring slices with one center."""
    starts = np.flatnonzero(np.diff(centers, prepend=np.nan) != 0)
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(centers)], strict=True):
        yield slice(start, stop), float(centers[start])

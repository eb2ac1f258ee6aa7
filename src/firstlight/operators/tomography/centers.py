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


def chosen_centers(center: Center, row: Array | None, count: int, columns: int) -> Array:
    """The column of the rotation axis for each slice in hand, float64 (slice,).

    Raises:
        FirstlightError: there is not one for each row.
    """
    given = np.asarray(np.nan if center is None else center, np.float64)
    if given.ndim == 0:
        value = (columns - 1) / 2 if np.isnan(given) else float(given)
        return np.full(count, value)
    rows = None if row is None else np.asarray(row, np.int64)
    if rows is not None and given.size > rows.max():
        given = given[rows]
    if given.size != count or not np.all(np.isfinite(given)):
        raise _not_one_each(f"{np.isfinite(given).sum()} finite numbers", count)
    return given


def demand_center_each(step: Operator, scan: Scan) -> None:
    """Refuse a step's list of centers that is not as long as the scan is high: the rows of a part count from 0.

    Raises:
        FirstlightError: there are more or fewer numbers than rows.
    """
    center, rows = step.parameters()["center"], scan.main.sizes.get("row")
    if isinstance(center, tuple) and rows is not None and len(center) != rows:
        raise _not_one_each(f"{len(center)} numbers", rows)


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

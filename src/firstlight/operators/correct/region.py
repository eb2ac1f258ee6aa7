"""Ranges of rows and columns that a user gives."""

from __future__ import annotations

from firstlight.core.errors import AxesError

Range = tuple[int, int]
"""First place of a range, and first place behind it; negative ones count from the end."""


def whole_range(name: str, chosen: Range | None, size: int) -> slice:
    """The places of a range; all without one.

    Raises:
        AxesError: the range is empty or leaves the frame.
    """
    if chosen is None:
        return slice(0, size)
    first, stop = (place + size if place < 0 else place for place in chosen)
    if not 0 <= first < stop <= size:
        raise AxesError(
            "The region is empty or leaves the frame.",
            field=name,
            value=chosen,
            expected=f"first < stop, both from 0 to {size}",
        )
    return slice(first, stop)

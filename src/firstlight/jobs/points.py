"""A region of any form: the points of a recorded scan that are worked on, as a boolean array."""

from __future__ import annotations

import numpy as np

from firstlight.connectors.recorded.source import RecordedSource
from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.core.source import Source


def at_points(source: Source, wanted: Array) -> Source:
    """The same source, which leaves out the frames of all other points: they count as excluded, and the scan keeps its shape.

    The source is opened once to learn its shape.

    Args:
        source: A recorded scan.
        wanted: True at the points that are worked on, in the shape of the scan, such as (scan_y, scan_x).

    Raises:
        FirstlightError: The array is of another type or shape, or no point is wanted; or the source is not recorded.
        SourceError: The source can not be opened.
    """
    if wanted.dtype != bool:
        raise FirstlightError(
            "A region of points says for each whether it is worked on.",
            field="only",
            value=f"an array of {wanted.dtype}",
            expected="an array of bool, or positions by axis",
        )
    if not isinstance(source, RecordedSource):
        raise FirstlightError(
            "Single points can be chosen of a recorded file alone.",
            field="only",
            value=f"an array, for the source '{source.use}'",
            expected='positions by axis, such as {"scan_y": "10:20"}',
        )
    try:
        main = source.open().main
        shape = tuple(main.size(label) for label in main.arrival_axes)
    finally:
        source.close()
    if wanted.shape != shape or not wanted.any():
        raise FirstlightError(
            "The region does not fit the scan, or is empty.",
            field="only",
            value=f"{int(wanted.sum())} points of {wanted.shape}",
            expected=f"at least one point of the scan, {' x '.join(main.arrival_axes)} = {shape}",
        )
    unwanted = np.flatnonzero(~wanted).tolist()
    return source.model_copy(update={"ignore": tuple(sorted({*source.ignore, *unwanted}))})

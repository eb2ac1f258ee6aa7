"""Where gathered frames came from, once the axis along which they arrived lies inside a chunk.

Frames that were lost are left out of a gathered array, so that a step sees measured data alone. The positions of those
that are there travel as a coordinate, by which results are put back to their places.
"""

from __future__ import annotations

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import Chunk, Stream


def position_name(label: str) -> str:
    """Name of the coordinate with the positions along an axis; no step can ask for it."""
    return f"{label}.position"


def positions_of(chunk: Chunk, label: str) -> Ids | None:
    """The positions along a frame axis of a chunk; None if it is whole."""
    found = chunk.coords.get(position_name(label))
    return None if found is None or not len(chunk) else np.asarray(found[0], np.int64)


def expanded(chunk: Chunk, stream: Stream) -> Chunk:
    """The chunk with every frame axis as long as the stream says: what was lost is NaN (0 for integers)."""
    data = chunk.data
    for number, label in enumerate(chunk.axes, 1):
        places, size = positions_of(chunk, label), stream.sizes.get(label)
        if places is not None and size is not None and data.shape[number] == len(places) < size:
            data = _spread(data, number, places, size)
    return chunk if data is chunk.data else chunk.with_data(data, chunk.axes)


def _spread(data: Array, axis: int, places: Ids, size: int) -> Array:
    shape = (*data.shape[:axis], size, *data.shape[axis + 1 :])
    full = np.full(shape, np.nan if data.dtype.kind in "fc" else 0, data.dtype)
    inside = (places >= 0) & (places < size)
    np.moveaxis(full, axis, 0)[places[inside]] = np.moveaxis(data, axis, 0)[inside]
    return full

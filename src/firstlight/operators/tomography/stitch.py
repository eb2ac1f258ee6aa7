"""Join frames that were taken beside or above each other."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import Operator, operator
from firstlight.kernels.stitch import join_tiles

Direction = Literal["horizontal", "vertical"]


@operator(
    "tile row col -> row col",
    sentence="Tiles were joined ({direction}); in each the next one begins at {offset:pixel}.",
)
def stitch(
    frames: Array,
    *,
    direction: Direction = "horizontal",
    offset: float | None = None,
    size: Annotated[int, Field(ge=1, le=1_000_000)] | None = None,
) -> Array:
    """Join tiles, taken beside or above each other, to one frame; in the overlap each fades out towards its rim.

    Works frame by frame, live too, and before phase retrieval.

    Args:
        frames: shape (frame, tile, row, col).
        direction: `horizontal` (tiles follow each other along columns) or `vertical` (along rows).
        offset: Pixels from the beginning of one tile to that of the next; may be a fraction, or negative:
            `offset: {from: find_overlap}`.
        size: Columns (or rows) of the result. Default: as many as the tiles cover where `offset` is a number, else as many as they
            have together.

    Returns:
        float32 of shape (frame, row, col). What no tile has seen repeats the nearest pixel.

    Raises:
        FirstlightError: the offset is not known, or larger than a tile.
    """
    tiles, length = frames.shape[1], frames.shape[2 if direction == "vertical" else 3]
    if offset is None or not abs(offset) <= length:
        raise FirstlightError(
            "'stitch' needs to know where each tile begins.",
            field="offset",
            value=offset,
            expected=f"at most {length} pixels",
            next_move="Give it, or put 'find_overlap' before it and write 'offset: {from: find_overlap}'.",
        )
    wide = size or _covered(tiles, length, offset)
    sideways = frames if direction == "horizontal" else frames.swapaxes(2, 3)
    joined = np.empty((len(sideways), sideways.shape[2], wide), np.float32)
    for frame, out in zip(sideways, joined, strict=True):
        join_tiles(frame, offset, wide, out)
    return joined if direction == "horizontal" else np.ascontiguousarray(joined.swapaxes(1, 2))


def _covered(tiles: int, length: int, offset: float | None) -> int:
    """Pixels that the tiles cover; all they have where that is not known yet."""
    return tiles * length if offset is None else length + ceil(abs(offset) * (tiles - 1) - 1e-9)


@stitch.hook("calibrate")
def _calibrate(step: Operator, scan: Scan) -> Operator:
    """The size is settled before the offset is found: it can not change while the data flow."""
    values = step.parameters()
    label = "row" if values["direction"] == "vertical" else "col"
    tiles, length = scan.main.sizes.get("tile"), scan.main.sizes.get(label)
    if values["size"] is not None or tiles is None or length is None:
        return step
    return step.model_copy(update={"size": _covered(tiles, length, values["offset"])})


@stitch.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    values = step.parameters()
    label = "row" if values["direction"] == "vertical" else "col"
    tiles, length = known.get("tile"), known.get(label)
    if values["size"] is None and tiles is not None and length is not None:
        return {label: _covered(tiles, length, values["offset"])}
    return {label: values["size"]}


@stitch.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

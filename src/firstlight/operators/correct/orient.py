"""Turn and mirror frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.quarter_turns import transposed_frames

Orientation = Literal["identity", "fliplr", "flipud", "rot180", "transpose", "rot90_ccw", "rot90_cw", "antitranspose"]

ORIENTATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda a: a,
    "fliplr": lambda a: a[..., ::-1],
    "flipud": lambda a: a[..., ::-1, :],
    "rot180": lambda a: a[..., ::-1, ::-1],
    "transpose": lambda a: a.swapaxes(-1, -2),
    "rot90_ccw": lambda a: a.swapaxes(-1, -2)[..., ::-1, :],
    "rot90_cw": lambda a: a.swapaxes(-1, -2)[..., ::-1],
    "antitranspose": lambda a: a.swapaxes(-1, -2)[..., ::-1, ::-1],
}
"""What each of them does to the last two axes."""
_TURNED: dict[str, dict[str, bool]] = {
    "transpose": {},
    "rot90_ccw": {"up": True},
    "rot90_cw": {"left": True},
    "antitranspose": {"up": True, "left": True},
}
"""How rows that have become columns are mirrored afterwards."""


@operator("row col -> row col", sentence="Frames were oriented ({to}).")
def orient(frames: Array, *, to: Orientation) -> Array:
    """Turn frames by quarter turns, and mirror them: the eight ways in which a detector can be mounted.

    Args:
        frames: shape (frame, row, col).
        to: `fliplr` mirrors left and right, `flipud` up and down; `rot90_cw` turns clockwise as the frame is seen with row
            0 on top; `transpose` exchanges rows and columns, `antitranspose` does so about the other diagonal.

    Returns:
        Array of the type of `frames`, shape (frame, row, col), the two lengths exchanged by quarter turns.
    """
    if to in _TURNED:
        return transposed_frames(frames, **_TURNED[to])
    return np.ascontiguousarray(ORIENTATIONS[to](frames))


@orient.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    labels = ("col", "row") if step.parameters()["to"] in _TURNED else ("row", "col")
    return {"row": known.get(labels[0]), "col": known.get(labels[1])}


@orient.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return given


@orient.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit

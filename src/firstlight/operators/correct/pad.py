"""Frames with a rim around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import AxesError
from firstlight.core.operator import Operator, operator
from firstlight.kernels.rims import padded

Rim = Annotated[int, Field(ge=0, le=20_000)]


@operator("row col -> row col")
def pad(
    frames: Array,
    *,
    rows: tuple[Rim, Rim] = (0, 0),
    columns: tuple[Rim, Rim] = (0, 0),
    method: Literal["edge", "mirror", "constant"] = "edge",
    value: Annotated[float, Field(ge=-1e30, le=1e30)] = 0.0,
) -> Array:
    """Put rows and columns around every frame. A rotation axis moves to the right by the columns on the left.

    Args:
        frames: shape (frame, row, col).
        rows: Rows above and below.
        columns: Columns on the left and on the right.
        method: What they hold: the outermost pixels (`edge`), the frame mirrored at its rim (`mirror`), or `constant`.
        value: The constant; it must fit the type of the frames.

    Returns:
        Array of the type of `frames`, shape (frame, rows more, columns more).

    Raises:
        AxesError: there is more to mirror than the frame has.
    """
    _demand_mirror(frames, rows, columns, method)
    return padded(frames, rows, columns, mirror=method == "mirror", value=value if method == "constant" else None)


@pad.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    chosen = step.parameters()
    sizes: dict[str, int | None] = {}
    for label, name in (("row", "rows"), ("col", "columns")):
        size = known.get(label)
        sizes[label] = None if size is None else size + sum(chosen[name])
    return sizes


@pad.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return given


@pad.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


def _demand_mirror(frames: Array, rows: tuple[int, int], columns: tuple[int, int], method: str) -> None:
    _, height, width = frames.shape
    if method == "mirror" and (max(rows) > height or max(columns) > width):
        raise AxesError(
            "A mirrored rim is wider than the frame.",
            field="rows" if max(rows) > height else "columns",
            value=rows if max(rows) > height else columns,
            expected=f"at most {height} rows and {width} columns",
        )


@pad.device("cuda")
def _on_cuda(
    frames: Any,
    *,
    rows: tuple[int, int] = (0, 0),
    columns: tuple[int, int] = (0, 0),
    method: str = "edge",
    value: float = 0.0,
) -> Any:
    from firstlight.kernels.cuda.frames import pad_frames

    _demand_mirror(frames, rows, columns, method)
    constant = value if method == "constant" else None
    return pad_frames(frames, rows, columns, mirror=method == "mirror", value=constant)

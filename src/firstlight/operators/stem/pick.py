"""The pattern of one scan point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.fold import Fold
from firstlight.core.held import Held

from .scan_map import ScanMap


@dataclass(slots=True)
class Picked:
    """The pattern, once it has come."""

    pattern: Array
    frame: int
    """Its id."""
    found: bool = False


class Pick(Fold[Picked]):
    """Show the diffraction pattern of one scan point."""

    use: ClassVar[str] = "pick"
    signature: ClassVar[Any] = "[*] row col -> row col"
    tolerance: ClassVar[float] = 0.0

    scan_y: Annotated[int, Field(ge=0)]
    """Line of the scan, from 0."""
    scan_x: Annotated[int, Field(ge=0)]
    """Point of the line, from 0."""

    def dtype(self, given: str) -> str:
        """That of the frames."""
        return given

    def unit(self, scan: Scan) -> str | None:
        """That of the frames."""
        return scan.main.unit

    def empty(self, scan: Scan) -> Picked:
        """The state before the frame comes.

        Raises:
            FirstlightError: The point lies outside the scan.
        """
        grid = ScanMap.empty(scan, (), self.use, "uint8")
        for name, value, length in (("scan_y", self.scan_y, grid.lines), ("scan_x", self.scan_x, grid.points)):
            if value >= length:
                raise FirstlightError(
                    "The point lies outside the scan.", field=name, value=value, expected=f"0 to {length - 1}"
                )
        frame = grid.first + self.scan_y * grid.points + self.scan_x
        return Picked(np.zeros((scan.main.size("row"), scan.main.size("col")), scan.main.dtype), frame)

    def add(self, state: Picked, chunk: Chunk, *held: Held) -> None:
        """Take the frame, if it is in this chunk."""
        for place in np.flatnonzero(chunk.ids == state.frame):
            frames, _ = bring_last(chunk.data[place : place + 1], chunk.axes, ("row", "col"))
            np.copyto(state.pattern, frames[-1])
            state.found = True

    def ready(self, state: Picked) -> bool:
        """True once the frame has come."""
        return state.found

    def result(self, state: Picked) -> dict[str, Array]:
        """The pattern, shape (row, col)."""
        return {"data": state.pattern.copy()}

    def merge(self, state: Picked, other: Picked) -> Picked:
        """That of whoever has it."""
        found = other if other.found else state
        return Picked(found.pattern.copy(), found.frame, found.found)

    def save(self, state: Picked) -> dict[str, Any]:
        """The state as arrays and plain values."""
        return {"pattern": state.pattern.copy(), "frame": state.frame, "found": state.found}

    def load(self, saved: dict[str, Any], scan: Scan) -> Picked:
        """The state that `save` wrote."""
        return Picked(np.array(saved["pattern"]), int(saved["frame"]), bool(saved["found"]))

"""Three planes of a volume, at right angles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.errors import AxesError
from firstlight.core.fold import Fold
from firstlight.core.held import Held

Place = Annotated[int, Field(ge=0)]


@dataclass(slots=True)
class Planes:
    """The three planes so far, and where they lie."""

    xy: Array
    xz: Array
    yz: Array
    at: tuple[int, int, int]
    first: int
    """Id of the slice at z = 0."""
    newest: Array
    """Shape (z,): epoch of each slice, -1 for none."""


class OrthogonalViews(Fold[Planes]):
    """Cut a volume along three planes, while its slices come: `xy` at a height z, `xz` at y, and `yz` at x.

    Only the planes are kept, never the volume. For views, for a look at the whole of a reconstruction, and for small files.
    """

    use: ClassVar[str] = "orthogonal_views"
    signature: ClassVar[Any] = "[z] y x -> xy: y x, xz: z x, yz: z y"
    tolerance: ClassVar[float] = 0.0

    z: Place | None = None
    """Slice of the plane `xy`. Default: the middle."""
    y: Place | None = None
    """Row of the slices that makes `xz`. Default: the middle."""
    x: Place | None = None
    """Column of the slices that makes `yz`. Default: the middle."""

    def unit(self, scan: Scan) -> str | None:
        """That of the slices."""
        return scan.main.unit

    def sizes(self, known: Any, scan: Scan) -> dict[str, int | None]:
        """As many slices as there are."""
        return {"z": known.get("z")}

    def empty(self, scan: Scan) -> Planes:
        """The state before the first slice."""
        depth, height, width = (scan.main.size(label) for label in ("z", "y", "x"))
        at = (_inside("z", self.z, depth), _inside("y", self.y, height), _inside("x", self.x, width))
        xy, xz, yz = (
            np.full(shape, np.nan, np.float32) for shape in ((height, width), (depth, width), (depth, height))
        )
        return Planes(xy, xz, yz, at, scan.main.first, np.full(depth, -1, np.int64))

    def add(self, state: Planes, chunk: Chunk, *held: Held) -> None:
        """Take from each slice what lies in the planes; a later epoch replaces an earlier one."""
        slices, _ = bring_last(chunk.data, chunk.axes, ("y", "x"))
        place = chunk.ids - state.first
        taken = (place >= 0) & (place < len(state.newest))
        taken[taken] &= state.newest[place[taken]] <= chunk.epoch
        slices, place = slices[taken], place[taken]
        z, y, x = state.at
        state.xz[place], state.yz[place] = slices[:, y], slices[:, :, x]
        for picture in slices[place == z]:
            state.xy[:] = picture
        state.newest[place] = chunk.epoch

    def ready(self, state: Planes) -> bool:
        """True once a slice has come."""
        return bool((state.newest >= 0).any())

    def coverage(self, state: Planes) -> float:
        """Share of the slices that have come."""
        return float((state.newest >= 0).mean())

    def result(self, state: Planes) -> dict[str, Array]:
        """Three planes in float32; NaN where nothing has come."""
        return {"xy": state.xy.copy(), "xz": state.xz.copy(), "yz": state.yz.copy()}

    def merge(self, state: Planes, other: Planes) -> Planes:
        """The slices of both."""
        newer = other.newest > state.newest
        xz, yz = (
            np.where(newer[:, None], theirs, mine) for mine, theirs in ((state.xz, other.xz), (state.yz, other.yz))
        )
        xy = other.xy if newer[state.at[0]] else state.xy
        return Planes(xy, xz, yz, state.at, state.first, np.maximum(state.newest, other.newest))


def _inside(name: str, place: int | None, size: int) -> int:
    """A position along an axis, the middle by default.

    Raises:
        AxesError: There is no such position.
    """
    if place is None:
        return size // 2
    if place >= size:
        raise AxesError("The plane lies outside the volume.", field=name, value=place, expected=f"0 to {size - 1}")
    return place

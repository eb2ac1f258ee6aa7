"""Put slices together to one volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.fold import Fold
from firstlight.core.held import Held

_SLICE = ("y", "x")


@dataclass(slots=True)
class Volume:
    """The slices that came, and which."""

    values: Array
    """Shape (z, y, x), NaN where nothing came."""
    first: int
    """Id of the slice at position 0."""
    newest: Array
    """Shape (z,): epoch of each slice, -1 for none."""


class Assemble(Fold[Volume]):
    """Put all slices together to one volume in memory, for a step that wants a second volume whole.

    Such as `inputs: [one, other_volume]` of fourier_shell_correlation, where `other_volume` assembles what `other` reconstructs.
    """

    use: ClassVar[str] = "assemble"
    signature: ClassVar[Any] = "[z] y x -> z y x"
    tolerance: ClassVar[float] = 0.0

    def unit(self, scan: Scan) -> str | None:
        """That of the slices."""
        return scan.main.unit

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> Mapping[str, int | None]:
        """As many slices as there are."""
        return {"z": known.get("z")}

    def workspace(self, scan: Scan, frames: int) -> int:
        """The volume, and the copy that is given out."""
        return 8 * int(np.prod([scan.main.size(label) for label in ("z", *_SLICE)]))

    def empty(self, scan: Scan) -> Volume:
        """The state before the first slice."""
        depth, height, width = (scan.main.size(label) for label in ("z", *_SLICE))
        return Volume(
            np.full((depth, height, width), np.nan, np.float32), scan.main.first, np.full(depth, -1, np.int64)
        )

    def add(self, state: Volume, chunk: Chunk, *held: Held) -> None:
        """Put the slices of a chunk at their places; a later epoch replaces an earlier one."""
        slices, _ = bring_last(chunk.data, chunk.axes, _SLICE)
        place = chunk.ids - state.first
        inside = (place >= 0) & (place < len(state.newest))
        inside[inside] &= state.newest[place[inside]] <= chunk.epoch
        state.values[place[inside]] = slices[inside]
        state.newest[place[inside]] = chunk.epoch

    def ready(self, state: Volume) -> bool:
        """True once a slice has come."""
        return bool((state.newest >= 0).any())

    def coverage(self, state: Volume) -> float:
        """Share of the slices that have come."""
        return float((state.newest >= 0).mean())

    def result(self, state: Volume) -> dict[str, Array]:
        """The volume, float32 of shape (z, y, x); NaN where a slice is missing."""
        return {"data": state.values.copy()}

    def merge(self, state: Volume, other: Volume) -> Volume:
        """The slices of both."""
        newer = other.newest > state.newest
        values = np.where(newer[:, None, None], other.values, state.values)
        return Volume(values, state.first, np.maximum(state.newest, other.newest))

"""Histogram, percentiles and Otsu's threshold of everything that comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.kernels import tally


@dataclass(slots=True)
class Tally:
    """Counts per bin of one part in 2048, from the smallest to the largest float."""

    counts: Array


class Histogram(Fold[Tally]):
    """Count the values of all frames or slices: percentiles, Otsu's threshold, and a histogram between the percentiles.

    `low` and `high` serve `rescale`, `otsu` serves `segment`: `low: {from: histogram.low}`. Values are told apart to one part
    in 2048; values that are not finite do not count. Memory is 8 MiB, whatever comes.
    """

    use: ClassVar[str] = "histogram"
    signature: ClassVar[Any] = "[*] -> low: , high: , otsu: , counts: bin, edges: edge"
    cites: ClassVar[tuple[str, ...]] = ("10.1109/TSMC.1979.4310076",)
    tolerance: ClassVar[float] = 0.0

    low: Annotated[float, Field(ge=0, le=100)] = 0.1
    """Percentile that `low` gives; the first bin begins there, and what lies below counts in it."""
    high: Annotated[float, Field(ge=0, le=100)] = 99.9
    """Percentile that `high` gives; the last bin ends there, and what lies above counts in it."""
    bins: Annotated[int, Field(ge=2, le=65_536)] = 256
    """Bins of the histogram, equal in width."""
    leave_out: float | None = None
    """A value that does not count, such as the 0 outside a circular mask."""

    def dtype(self, given: str) -> str:
        """Double precision; counts too, exact up to 2^53."""
        return "float64"

    def unit(self, scan: Scan) -> str | None:
        """That of the values."""
        return scan.main.unit

    def sizes(self, known: Mapping[str, int | None], scan: Scan) -> Mapping[str, int | None]:
        """One edge more than bins."""
        return {"bin": self.bins, "edge": self.bins + 1}

    def workspace(self, scan: Scan, frames: int) -> int:
        """The counts."""
        return tally.BINS * 8

    def empty(self, scan: Scan) -> Tally:
        """The state before the first frame."""
        return Tally(tally.empty_tally())

    def add(self, state: Tally, chunk: Chunk, *held: Held) -> None:
        """Count the values of a chunk."""
        tally.add_to_tally(state.counts, chunk.data, self.leave_out)

    def ready(self, state: Tally) -> bool:
        """True once something counts."""
        return bool(state.counts.any())

    def result(self, state: Tally) -> dict[str, Array]:
        """Percentiles, Otsu's threshold, counts (bin,) and edges (edge,); NaN and 0 before the first value."""
        low, high = tally.percentiles(state.counts, (min(self.low, self.high), max(self.low, self.high)))
        if not low < high:
            high = float(np.nextafter(np.float32(low), np.float32(np.inf)))
        counts, edges = tally.rebinned(state.counts, low, high, self.bins)
        found = {
            "low": low,
            "high": high,
            "otsu": tally.otsu_threshold(counts, edges),
            "counts": counts,
            "edges": edges,
        }
        return {name: np.array(value, np.float64) for name, value in found.items()}

    def merge(self, state: Tally, other: Tally) -> Tally:
        """The counts of both."""
        return Tally(state.counts + other.counts)

    def adapt(self, state: Tally, old: Self) -> Tally:
        """Counts serve any percentile; what was left out can not come back, but from now on another value is."""
        return state

    def save(self, state: Tally) -> dict[str, Any]:
        """The bins that hold something."""
        used = np.flatnonzero(state.counts)
        return {"bins": used, "counts": state.counts[used]}

    def load(self, saved: dict[str, Any], scan: Scan) -> Tally:
        """The state that `save` wrote."""
        state = self.empty(scan)
        state.counts[np.asarray(saved["bins"], np.int64)] = saved["counts"]
        return state

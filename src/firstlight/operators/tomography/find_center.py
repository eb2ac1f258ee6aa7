"""Find the column of the rotation axis while projections come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array, Ids, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.errors import AxesError, ChangeRefused
from firstlight.core.fold import Fold
from firstlight.core.held import Held
from firstlight.kernels.center import Center, center_by_correlation, center_by_sinogram

from .angles import projection_angles

_AGREE = 1.0
"""Columns that the two methods may differ and still confirm each other."""
_CERTAIN = 0.995
"""Correlation of an aligned pair above which the sample was inside the frame, and the far slower method is not asked."""
_NO_ANSWER = 0.1
"""Confidence of Vo's method below which its minimum is one among many."""


@dataclass(slots=True)
class Sinograms:
    """A few rows of the newest projection in each small range of angles."""

    rows: Array
    """Shape (slot, row kept, col)."""
    angle: Array
    """Shape (slot,), in degree within one turn."""
    epoch: Ids
    id: Ids
    """Shape (slot,): place of the frame in each slot; epoch -1: none yet."""
    found: Center | None = None
    """The answer, until another frame comes."""


class FindCenter(Fold[Sinograms]):
    """Find the column of the rotation axis, with a confidence between 0 and 1.

    Two methods: the correlation of projections half a turn apart, and Vo's Fourier transform of the sinogram. Only a few
    rows are kept, of the newest projection in each small range of angles, so that memory is bounded however long the
    sample turns and the answer follows an axis that drifts. Needs half a turn; before that the answer is NaN with
    confidence 0, which means: no version yet.
    """

    use: ClassVar[str] = "find_center"
    signature: ClassVar[Any] = "[angle] row col -> center: , confidence: "
    cites: ClassVar[tuple[str, ...]] = ("10.1364/OE.22.019078", "10.1364/OL.33.000156")
    tolerance: ClassVar[float] = 1e-6

    method: Literal["auto", "correlation", "vo"] = "auto"
    """`correlation` of opposite projections (fast, sample inside the frame), `vo` (sinogram, stands a sample wider than
    the detector), or `auto`: the correlation where it is certain, else Vo's method."""
    rows: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Detector rows to look at. Default: five, spread over the middle four fifths of the frame."""
    projections: Annotated[int, Field(ge=64, le=20_000)] = 1440
    """Projections of one turn that are kept at most."""
    low: Annotated[float, Field(ge=0)] | None = None
    """Lowest column that Vo's method tries. Default: a quarter of the width left of the middle."""
    high: Annotated[float, Field(ge=0)] | None = None
    """Highest column that Vo's method tries. Default: a quarter of the width right of the middle."""

    def dtype(self, given: str) -> str:
        """Double precision."""
        return "float64"

    def _rows(self, height: int) -> Ids:
        """The rows to keep."""
        if self.rows is None:
            return np.unique((np.linspace(0.1, 0.9, 5) * height).astype(np.int64))
        chosen = np.unique(np.asarray(self.rows, np.int64))
        if chosen.size == 0 or chosen[-1] >= height:
            raise AxesError(
                "A row to look at does not exist.",
                field="rows",
                value=self.rows,
                expected=f"rows from 0 to {height - 1}",
            )
        return chosen

    def workspace(self, scan: Scan, frames: int) -> int:
        """The rows kept."""
        return self.projections * len(self._rows(scan.main.size("row"))) * scan.main.size("col") * 4

    def empty(self, scan: Scan) -> Sinograms:
        """The state before the first frame."""
        kept, columns = len(self._rows(scan.main.size("row"))), scan.main.size("col")
        slots = self.projections
        return Sinograms(
            np.zeros((slots, kept, columns), np.float32),
            np.zeros(slots),
            np.full(slots, -1, np.int64),
            np.zeros(slots, np.int64),
        )

    def digest(self, chunk: Chunk) -> Chunk:
        """Keep the rows that are looked at."""
        frames, _ = bring_last(chunk.data, chunk.axes, ("row", "col"))
        kept = np.nan_to_num(frames[:, self._rows(frames.shape[1])].astype(np.float32), posinf=0.0, neginf=0.0)
        return chunk.with_data(kept, ("row", "col"))

    def add(self, state: Sinograms, chunk: Chunk, *held: Held) -> None:
        """Put the rows of a digested chunk into their slots."""
        turned = np.mod(projection_angles(chunk.coords.get("angle"), self.use, len(chunk)), 360.0)
        slots = np.minimum((turned / 360.0 * self.projections).astype(np.int64), self.projections - 1)
        for index, slot in enumerate(slots.tolist()):
            if (chunk.epoch, int(chunk.ids[index])) > (int(state.epoch[slot]), int(state.id[slot])):
                state.rows[slot] = chunk.data[index]
                state.angle[slot] = turned[index]
                state.epoch[slot], state.id[slot] = chunk.epoch, chunk.ids[index]
        state.found = None

    def _half_turn(self, state: Sinograms) -> tuple[Array, Ids] | None:
        """Angles that grow through the covered part of the turn, and their slots; None before half a turn."""
        slots = np.flatnonzero(state.epoch == state.epoch.max(initial=-1)) if (state.epoch >= 0).any() else np.empty(0)
        slots = slots.astype(np.int64)
        if slots.size < 8:
            return None
        slots = slots[np.argsort(state.angle[slots], kind="stable")]
        angles = state.angle[slots]
        gap = np.diff(angles, append=angles[0] + 360.0)
        widest = int(np.argmax(gap))
        start = (widest + 1) % slots.size
        if 360.0 - gap[widest] + 1.5 * float(np.median(gap)) < 180.0:
            return None
        slots, angles = np.roll(slots, -start), np.roll(angles, -start)
        return np.mod(angles - angles[0], 360.0), slots

    def ready(self, state: Sinograms) -> bool:
        """True once half a turn has come, so that there is an answer."""
        return self._half_turn(state) is not None

    def coverage(self, state: Sinograms) -> float:
        """Share of half a turn that has come."""
        angles = np.sort(state.angle[(state.epoch >= 0) & (state.epoch == state.epoch.max(initial=-1))])
        if angles.size < 2:
            return 0.0
        gap = np.diff(angles, append=angles[0] + 360.0)
        return 1.0 if self.ready(state) else float(min(1.0, (360.0 - gap.max()) / 180.0))

    def result(self, state: Sinograms) -> dict[str, Array]:
        """Column of the axis and confidence, two scalars; NaN and 0 before half a turn has come."""
        if state.found is None:
            state.found = self._find(state)
        return {"center": np.array(state.found.value), "confidence": np.array(state.found.confidence)}

    def _find(self, state: Sinograms) -> Center:
        half_turn = self._half_turn(state)
        if half_turn is None:
            return Center(float("nan"), 0.0)
        angles, slots = half_turn
        frames = state.rows[slots]
        try:
            if self.method == "vo":
                return self._by_sinograms(frames, angles)
            correlation = center_by_correlation(frames, angles)
            if self.method == "correlation" or correlation.confidence >= _CERTAIN:
                return correlation
            return _better(correlation, self._by_sinograms(frames, angles))
        except ValueError:  # a hole in the angles where the method needs a projection: later ones may fill it
            return Center(float("nan"), 0.0)

    def _by_sinograms(self, frames: Array, angles: Array) -> Center:
        """Vo's method row by row: the median weighted by confidence, which rows of air do not move."""
        found = [
            center_by_sinogram(np.ascontiguousarray(frames[:, row]), angles, low=self.low, high=self.high)
            for row in range(frames.shape[1])
        ]
        value, weight = np.array(found).T
        if weight.sum() <= 0:
            return Center(float(np.median(value)), 0.0)
        order = np.argsort(value)
        share = np.cumsum(weight[order]) / weight.sum()
        middle = float(value[order][np.searchsorted(share, 0.5)])
        agree = float(weight[np.abs(value - middle) <= _AGREE].sum() / weight.sum())
        return Center(middle, float(np.average(weight, weights=weight) * agree))

    def adapt(self, state: Sinograms, old: Self) -> Sinograms:
        """Another method or range works on the rows at hand; other rows are not there any more."""
        if (self.rows, self.projections) != (old.rows, old.projections):
            raise ChangeRefused(
                "The rows that 'find_center' looks at can not change while it runs: the others were not kept.",
                field="rows",
                value=self.rows,
                next_move="Stop the run and start it with the new rows.",
            )
        state.found = None
        return state

    def merge(self, state: Sinograms, other: Sinograms) -> Sinograms:
        """The newer of both in each slot."""
        newer = (other.epoch > state.epoch) | ((other.epoch == state.epoch) & (other.id > state.id))
        return Sinograms(
            np.where(newer[:, None, None], other.rows, state.rows),
            np.where(newer, other.angle, state.angle),
            np.where(newer, other.epoch, state.epoch),
            np.where(newer, other.id, state.id),
        )

    def save(self, state: Sinograms) -> dict[str, Any]:
        """The slots that are filled."""
        slots = np.flatnonzero(state.epoch >= 0)
        parts = {"rows": state.rows, "angle": state.angle, "epoch": state.epoch, "id": state.id}
        return {"slots": slots, **{name: values[slots] for name, values in parts.items()}}

    def load(self, saved: dict[str, Any], scan: Scan) -> Sinograms:
        """The state that `save` wrote."""
        state = self.empty(scan)
        slots = np.asarray(saved["slots"], np.int64)
        state.rows[slots], state.angle[slots] = saved["rows"], saved["angle"]
        state.epoch[slots], state.id[slots] = saved["epoch"], saved["id"]
        return state


def _better(correlation: Center, sinogram: Center) -> Center:
    """The sinogram's answer, unless it is no answer; trusted more where the correlation confirms it.

    A pair of projections of a sample wider than the detector looks alike in the wrong place too.
    """
    if abs(correlation.value - sinogram.value) <= _AGREE:
        return Center(sinogram.value, max(correlation.confidence, sinogram.confidence))
    chosen = sinogram if sinogram.confidence > _NO_ANSWER else correlation
    return Center(chosen.value, chosen.confidence / 2)

"""A few detector rows of the newest projection in each small range of angles: what every search for the axis looks at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array, Ids, bring_last
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.errors import AxesError, ChangeRefused
from firstlight.core.fold import Fold
from firstlight.core.held import Held

from .angles import projection_angles

HALF_TURN = 180.0


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
    found: Any = None
    """The answer, until another frame comes."""
    height: int = 0
    """Rows of the detector."""
    planned: float | None = None
    """Degrees that all projections of the scan cover, where their angles are known before."""


class KeptRows(Fold[Sinograms]):
    """Keeps rows of projections, bounded in memory however long the sample turns; what they say is up to the step."""

    rows: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Detector rows to look at. Default: some, spread over the middle of the frame."""
    projections: Annotated[int, Field(ge=64, le=20_000)] = 1440
    """Projections of one turn that are kept at most."""

    def spread(self, height: int) -> Array:
        """The rows to look at where the user named none."""
        return np.linspace(0.1, 0.9, 5) * height

    def dtype(self, given: str) -> str:
        """Double precision."""
        return "float64"

    def chosen_rows(self, height: int) -> Ids:
        """The rows to keep."""
        if self.rows is None:
            return np.unique(self.spread(height).astype(np.int64))
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
        return self.projections * len(self.chosen_rows(scan.main.size("row"))) * scan.main.size("col") * 4

    def empty(self, scan: Scan) -> Sinograms:
        """The state before the first frame."""
        kept, columns = len(self.chosen_rows(scan.main.size("row"))), scan.main.size("col")
        slots = self.projections
        return Sinograms(
            np.zeros((slots, kept, columns), np.float32),
            np.zeros(slots),
            np.full(slots, -1, np.int64),
            np.zeros(slots, np.int64),
            height=scan.main.size("row"),
            planned=degrees_of(scan),
        )

    def digest(self, chunk: Chunk) -> Chunk:
        """Keep the rows that are looked at."""
        frames, _ = bring_last(chunk.data, chunk.axes, ("row", "col"))
        kept = np.nan_to_num(frames[:, self.chosen_rows(frames.shape[1])].astype(np.float32), posinf=0.0, neginf=0.0)
        return chunk.with_data(kept, ("row", "col"))

    def add(self, state: Sinograms, chunk: Chunk, *held: Held) -> None:
        """Put the rows of a digested chunk into their slots."""
        turned = np.mod(projection_angles(chunk.coords.get("angle"), self.use, len(chunk), part=True), 360.0)
        slots = np.minimum((turned / 360.0 * self.projections).astype(np.int64), self.projections - 1)
        for index, slot in enumerate(slots.tolist()):
            if (chunk.epoch, int(chunk.ids[index])) > (int(state.epoch[slot]), int(state.id[slot])):
                state.rows[slot] = chunk.data[index]
                state.angle[slot] = turned[index]
                state.epoch[slot], state.id[slot] = chunk.epoch, chunk.ids[index]
        state.found = None

    def needed(self, state: Sinograms) -> float:
        """Degrees that projections must cover before there is an answer."""
        return HALF_TURN

    def turn(self, state: Sinograms) -> tuple[Array, Ids] | None:
        """Angles that grow through the covered part of the turn, and their slots; None before it is large enough."""
        slots = np.flatnonzero(state.epoch == state.epoch.max(initial=-1)) if (state.epoch >= 0).any() else np.empty(0)
        slots = slots.astype(np.int64)
        if slots.size < 8:
            return None
        slots = slots[np.argsort(state.angle[slots], kind="stable")]
        angles = state.angle[slots]
        degrees, start = covered(angles)
        if degrees < self.needed(state):
            return None
        slots, angles = np.roll(slots, -start), np.roll(angles, -start)
        return np.mod(angles - angles[0], 360.0), slots

    def ready(self, state: Sinograms) -> bool:
        """True once half a turn has come, so that there is an answer."""
        return self.turn(state) is not None

    def coverage(self, state: Sinograms) -> float:
        """Share of what is needed of the turn that has come."""
        if self.ready(state):
            return 1.0
        return min(1.0, seen(state) / self.needed(state))

    def adapt(self, state: Sinograms, old: Self) -> Sinograms:
        """Another method or range works on the rows at hand; other rows are not there any more."""
        if (self.rows, self.projections) != (old.rows, old.projections):
            raise ChangeRefused(
                f"The rows that '{self.use}' looks at can not change while it runs: the others were not kept.",
                field="rows",
                value=self.rows,
                next_move="Stop the run and start it with the new rows.",
            )
        state.found = None
        return state

    def merge(self, state: Sinograms, other: Sinograms) -> Sinograms:
        """The newer of both in each slot."""
        newer = (other.epoch > state.epoch) | ((other.epoch == state.epoch) & (other.id > state.id))
        return replace(
            state,
            rows=np.where(newer[:, None, None], other.rows, state.rows),
            angle=np.where(newer, other.angle, state.angle),
            epoch=np.where(newer, other.epoch, state.epoch),
            id=np.where(newer, other.id, state.id),
            found=None,
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


def covered(angles: Array, steps: float = 1.5) -> tuple[float, int]:
    """Degrees of a turn that projections cover, and which of them is behind the widest gap.

    Args:
        angles: shape (angle,), rising, within one turn; two or more.
        steps: Usual steps between angles that are added to those from first to last: 1 is what the projections stand for,
            some more lets rounding pass.
    """
    gap = np.diff(angles, append=angles[0] + 360.0)
    widest = int(np.argmax(gap))
    return float(360.0 - gap[widest] + steps * np.median(gap)), (widest + 1) % angles.size


def seen(state: Sinograms, steps: float = 1.5) -> float:
    """Degrees of a turn that have come, of the newest epoch."""
    angles = np.sort(state.angle[(state.epoch >= 0) & (state.epoch == state.epoch.max(initial=-1))])
    return covered(angles, steps)[0] if angles.size > 1 else 0.0


def degrees_of(scan: Scan) -> float | None:
    """Degrees of a turn that all projections of a scan cover, where their angles are known before it is played."""
    known = angles_of(scan)
    return None if known is None or known.size < 2 else covered(np.sort(np.mod(known, 360.0)))[0]


def angles_of(scan: Scan) -> Array | None:
    """The angle of every projection, float64 (angle,) in degree, where they are known before it is played."""
    frames = scan.main.frames
    if "angle" not in scan.coords or frames is None:
        return None
    known = np.asarray(scan.coords["angle"], np.float64).reshape(-1)
    found = known if known.size == frames else known[scan.main.first :][:frames]  # a part of a scan keeps its ids
    return found if found.size == frames and np.isfinite(found).all() else None

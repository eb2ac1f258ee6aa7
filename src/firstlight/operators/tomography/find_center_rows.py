"""Find a rotation axis that is tilted against the detector's columns."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan
from firstlight.core.held import Held
from firstlight.kernels.center import Center, center_by_correlation, center_by_sinogram
from firstlight.kernels.straight import straight_line

from .find_center import doubts
from .kept_rows import KeptRows, Sinograms
from .opposite_frames import LEAST_ROWS, OppositeFrames, opposite_frames


class _Line(NamedTuple):
    """The axis as a line: its column in row 0, how many columns it moves from row to row, and how far to trust both."""

    at_top: float
    slope: float
    confidence: float


class FindCenterRows(KeptRows):
    """Find the rotation axis where it is tilted within the detector's plane: by how much, and its column in each row.

    Two projections half a turn apart are turned until one is the mirror image of the other. Where the angles are not known
    before the scan is played, or the frame has few rows, the axis is searched in some rows, and a straight line put
    through them: right for a sample that changes little along the axis; where rows differ it gives too little tilt.

    Straighten the frames by `rotate` with `angle: {from: find_center_rows.roll}`, behind which the axis is at `middle`; for a
    tilt below a pixel over the sample's width, `center` (one column for each row) in fbp does. The tilt is in degree, positive
    where the axis moves to the right as rows go down; the roll is its opposite.
    """

    use: ClassVar[str] = "find_center_rows"
    signature: ClassVar[Any] = "[angle] row col -> center: row, tilt: , confidence: , roll: , middle: "
    cites: ClassVar[tuple[str, ...]] = ("10.1364/OE.22.019078",)
    tolerance: ClassVar[float] = 1e-6
    sentence: ClassVar[str] = "The tilt of the rotation axis was found (method '{method}')."

    count: Annotated[int, Field(ge=2, le=200)] = 15
    """Rows that are looked at one by one, spread over the frame, where `rows` does not name them."""
    method: Literal["auto", "correlation", "vo"] = "auto"
    """`correlation` of opposite projections row by row (sample inside the frame), `vo` row by row (stands a sample wider than
    the detector), or `auto`: whole projections where that can be, else `correlation`."""

    def spread(self, height: int) -> Array:
        """The rows to look at where the user named none."""
        return np.linspace(0.03, 0.97, self.count) * height

    def empty(self, scan: Scan) -> Sinograms:
        """The state before the first frame."""
        whole = opposite_frames(scan) if self.method == "auto" and self.rows is None else None
        return super().empty(scan) if whole is None else whole

    def digest(self, chunk: Chunk) -> Chunk:
        """Nothing: what is kept depends on the scan."""
        return chunk

    def add(self, state: Sinograms, chunk: Chunk, *held: Held) -> None:
        """Keep the rows or the frames that are looked at."""
        if isinstance(state, OppositeFrames):
            state.take(chunk)
        else:
            super().add(state, super().digest(chunk), *held)

    def ready(self, state: Sinograms) -> bool:
        """True once half a turn has come, or two projections half a turn apart."""
        return bool(state.complete().size) if isinstance(state, OppositeFrames) else super().ready(state)

    def coverage(self, state: Sinograms) -> float:
        """Share of what is needed that has come."""
        return float((state.epoch >= 0).mean()) if isinstance(state, OppositeFrames) else super().coverage(state)

    def result(self, state: Sinograms) -> dict[str, Array]:
        """A column for each row, tilt, confidence, roll, and the column in the middle; NaN and 0 before there is an answer."""
        line = self._line(state)
        column = line.at_top + line.slope * np.arange(state.height)
        tilt = np.rad2deg(np.arctan(line.slope))
        middle = line.at_top + line.slope * (state.height - 1) / 2
        return {
            "center": column,
            "tilt": np.array(tilt),
            "confidence": np.array(line.confidence),
            "roll": np.array(-tilt),
            "middle": np.array(middle),
        }

    def remarks(self, state: Sinograms) -> tuple[str, ...]:
        """Why the axis should be looked at."""
        line = self._line(state)
        if not np.isfinite(line.slope):
            return ("there are no projections half a turn apart",)
        if isinstance(state, OppositeFrames) or self.method != "auto" or state.height < LEAST_ROWS:
            return doubts(line.confidence)
        return (
            *doubts(line.confidence),
            "the tilt comes from single rows, because the angles were not known before: where the sample changes along the"
            " axis the true one is larger",
        )

    def chosen(self, state: Sinograms) -> dict[str, Any]:
        """The method that `auto` took."""
        method = "correlation of whole opposite projections" if isinstance(state, OppositeFrames) else "correlation"
        return {"method": method} if self.method == "auto" else {}

    def _line(self, state: Sinograms) -> _Line:
        if state.found is None:
            state.found = _of_frames(state) if isinstance(state, OppositeFrames) else self._of_rows(state)
        return state.found

    def _of_rows(self, state: Sinograms) -> _Line:
        turn = self.turn(state)
        if turn is None:
            return _Line(float("nan"), float("nan"), 0.0)
        angles, slots = turn
        frames = state.rows[slots]
        try:
            found = [self._of_row(np.ascontiguousarray(frames[:, n]), angles) for n in range(frames.shape[1])]
        except ValueError:  # a hole in the angles where the method needs a projection: later ones may fill it
            return _Line(float("nan"), float("nan"), 0.0)
        columns, trust = np.array(found).T
        return _Line(*straight_line(self.chosen_rows(state.height).astype(np.float64), columns, trust))

    def _of_row(self, sinogram: Array, angles: Array) -> Center:
        if self.method == "vo":
            return center_by_sinogram(sinogram, angles)
        return center_by_correlation(sinogram, angles, pairs=31)


def _of_frames(state: OppositeFrames) -> _Line:
    center, roll, confidence = state.axis()
    slope = -float(np.tan(np.deg2rad(roll)))
    return _Line(center - slope * (state.height - 1) / 2, slope, confidence)

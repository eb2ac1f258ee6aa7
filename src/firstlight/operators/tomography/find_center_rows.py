"""Find the rotation axis for every detector row: an axis that is tilted against the detector's columns."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.kernels.center import Center, center_by_correlation, center_by_sinogram
from firstlight.kernels.straight import straight_line

from .kept_rows import KeptRows, Sinograms


class FindCenterRows(KeptRows):
    """Find the column of the rotation axis for each detector row, where the axis is tilted within the detector's plane.

    The axis is searched in some rows, and a straight line put through what was found, by the confidence of each and without
    those that lie far off. Gives one column for each row (`center: {from: find_center_rows}` of fbp takes them), the tilt
    in degree (positive: the axis moves to the right as rows go down) and a confidence between 0 and 1.
    """

    use: ClassVar[str] = "find_center_rows"
    signature: ClassVar[Any] = "[angle] row col -> center: row, tilt: , confidence: "
    cites: ClassVar[tuple[str, ...]] = ("10.1364/OE.22.019078",)
    tolerance: ClassVar[float] = 1e-6
    sentence: ClassVar[str] = "The rotation axis was found row by row (method '{method}'), as a straight line."

    count: Annotated[int, Field(ge=2, le=200)] = 15
    """Rows that are looked at, spread over the frame, where `rows` does not name them."""
    method: Literal["correlation", "vo"] = "correlation"
    """`correlation` of opposite projections (fast, sample inside the frame) or `vo` (stands a sample wider than the detector)."""

    def spread(self, height: int) -> Array:
        """The rows to look at where the user named none."""
        return np.linspace(0.03, 0.97, self.count) * height

    def result(self, state: Sinograms) -> dict[str, Array]:
        """A column for each row, the tilt and the confidence; NaN and 0 before half a turn has come."""
        if state.found is None:
            state.found = self._find(state)
        at_top, slope, confidence = state.found
        column = at_top + slope * np.arange(state.height)
        return {"center": column, "tilt": np.array(np.rad2deg(np.arctan(slope))), "confidence": np.array(confidence)}

    def _find(self, state: Sinograms) -> tuple[float, float, float]:
        turn = self.turn(state)
        if turn is None:
            return float("nan"), float("nan"), 0.0
        angles, slots = turn
        frames = state.rows[slots]
        try:
            found = [self._of_row(np.ascontiguousarray(frames[:, n]), angles) for n in range(frames.shape[1])]
        except ValueError:  # a hole in the angles where the method needs a projection: later ones may fill it
            return float("nan"), float("nan"), 0.0
        columns, trust = np.array(found).T
        return straight_line(self.chosen_rows(state.height).astype(np.float64), columns, trust)

    def _of_row(self, sinogram: Array, angles: Array) -> Center:
        if self.method == "vo":
            return center_by_sinogram(sinogram, angles)
        return center_by_correlation(sinogram, angles, pairs=31)

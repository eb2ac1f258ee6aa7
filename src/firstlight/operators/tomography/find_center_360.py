"""Find the rotation axis of a scan over a full turn that sees half of the sample at a time."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.kernels.overlap import HalfAcquisition, find_half_acquisition

from .kept_rows import KeptRows, Sinograms


class FindCenter360(KeptRows):
    """Find the rotation axis near either side of the detector from a full turn (half acquisition, extended field of view).

    A projection half a turn later is the mirror image of this one. Where the two overlap is searched over both sides, in
    a few rows of every projection. Gives the column of the axis, the overlap in columns, the side (-1: the axis lies left of the
    middle, 1: right of it) and a confidence between 0 and 1. Needs a full turn; before that NaN with confidence 0.
    """

    use: ClassVar[str] = "find_center_360"
    signature: ClassVar[Any] = "[angle] row col -> center: , overlap: , side: , confidence: "
    cites: ClassVar[tuple[str, ...]] = ("10.1364/OE.418448",)
    tolerance: ClassVar[float] = 1e-6
    sentence: ClassVar[str] = "The rotation axis and the overlap of the two half turns were found by correlation."

    least: Annotated[int, Field(ge=4)] | None = None
    """Smallest overlap tried, in columns. Default: a fiftieth of the width, at least 8."""

    def needed(self, state: Sinograms) -> float:
        """A full turn."""
        return 360.0

    def result(self, state: Sinograms) -> dict[str, Array]:
        """Four scalars; NaN and 0 before a full turn has come."""
        if state.found is None:
            state.found = self._find(state)
        return {name: np.array(value, np.float64) for name, value in state.found._asdict().items()}

    def _find(self, state: Sinograms) -> HalfAcquisition:
        turn = self.turn(state)
        if turn is None:
            return HalfAcquisition(float("nan"), float("nan"), 0, 0.0)
        angles, slots = turn
        return find_half_acquisition(state.rows[slots], angles, least=self.least)

"""Find the column of the rotation axis while projections come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.kernels.center import Center, center_by_correlation, center_by_sinogram
from firstlight.kernels.center_mass import center_by_mass
from firstlight.kernels.center_metric import center_by_metric
from firstlight.kernels.dead_columns import without_dead_columns

from .kept_rows import HALF_TURN, KeptRows, Sinograms, seen

_AGREE = 1.0
"""Columns that the two methods may differ and still confirm each other."""
_CERTAIN = 0.995
"""Correlation of an aligned pair above which the sample was inside the frame, and the far slower method is not asked."""
_BOTH_HALVES = 300.0
"""Degrees from which on Vo's method is asked for the first and for the last half turn."""
_SPARE = 0.5
"""Steps between angles by which a half turn may begin early, so that rounding does not make it too short."""
_NO_ANSWER = 0.1
"""Confidence below which an answer is one among many."""
_DOUBTFUL = 0.3
"""Confidence below which a user should look."""
_PART = 0.9
"""Share of the angles of a scan over less than half a turn that must have come."""
_SMALL_PART = 60.0
"""Degrees from which on centres of mass tell the axis, where nobody says how far the sample will turn."""


class _Answer(NamedTuple):
    """The axis, and what found it."""

    axis: Center
    method: str = ""


_NONE = _Answer(Center(float("nan"), 0.0))


class FindCenter(KeptRows):
    """Find the column of the rotation axis, with a confidence between 0 and 1.

    Only a few rows are kept, of the newest projection in each small range of angles, so that memory is bounded however
    long the sample turns and the answer follows an axis that drifts. Needs half a turn; before that the answer is NaN
    with confidence 0, which means: no version yet. A recorded scan over less is searched by centres of mass, which needs all
    of the sample inside the frame.
    """

    use: ClassVar[str] = "find_center"
    signature: ClassVar[Any] = "[angle] row col -> center: , confidence: "
    cites: ClassVar[tuple[str, ...]] = (
        "10.1364/OE.22.019078",
        "10.1364/OL.33.000156",
        "10.1364/JOSAA.23.001048",
        "10.1109/23.55866",
    )
    tolerance: ClassVar[float] = 1e-6
    sentence: ClassVar[str] = "The rotation axis was found with the method '{method}'."

    method: Literal["auto", "correlation", "phase_correlation", "vo", "entropy", "sharpness", "center_of_mass"] = "auto"
    """`correlation` of opposite projections (fast, sample inside the frame), `phase_correlation` (the same by phases alone:
    fine detail has the vote), `vo` (sinogram, stands a sample wider than the detector), `entropy` or `sharpness` of a slice
    reconstructed about many columns (slow), `center_of_mass` of the projections (sample inside the frame; less than half a turn
    will do), or `auto`: the correlation where it is certain, else Vo's method; centres of mass below half a turn."""
    low: Annotated[float, Field(ge=0)] | None = None
    """Lowest column that `vo`, `entropy` and `sharpness` try. Default: a quarter of the width left of the middle."""
    high: Annotated[float, Field(ge=0)] | None = None
    """Highest column that `vo`, `entropy` and `sharpness` try. Default: a quarter of the width right of the middle."""

    def needed(self, state: Sinograms) -> float:
        """Half a turn, or what a scan that covers less has of it."""
        if self.method not in ("auto", "center_of_mass"):
            return HALF_TURN
        if state.planned is not None:
            return HALF_TURN if state.planned >= HALF_TURN else _PART * state.planned
        return _SMALL_PART if self.method == "center_of_mass" else HALF_TURN

    def ready(self, state: Sinograms) -> bool:
        """True once there is an answer."""
        return super().ready(state) and bool(np.isfinite(self._answer(state).axis.value))

    def result(self, state: Sinograms) -> dict[str, Array]:
        """Column of the axis and confidence, two scalars; NaN and 0 before enough of a turn has come."""
        found = self._answer(state).axis
        return {"center": np.array(found.value), "confidence": np.array(found.confidence)}

    def remarks(self, state: Sinograms) -> tuple[str, ...]:
        """Why there is no axis, or why it should be looked at."""
        found = self._answer(state).axis
        if np.isfinite(found.value):
            return doubts(found.confidence)
        if seen(state) >= HALF_TURN:
            return ("the projections do not tell where the axis is",)
        short = f"the projections cover only {seen(state, 1.0):.3g}° of the 180° that are needed to see the axis from both sides"
        if super().ready(state):
            more = "their centres of mass do not tell it either: the sample reaches beyond the frame, moves, or air is not 0"
        elif self.method in ("auto", "center_of_mass"):
            more = "the rest did not come"
        else:
            more = f"method '{self.method}' can not do with less: 'center_of_mass' can, where all of the sample is inside the frame"
        return (f"{short}, and {more}",)

    def chosen(self, state: Sinograms) -> dict[str, Any]:
        """The method that `auto` took."""
        method = self._answer(state).method
        return {"method": method} if self.method == "auto" and method else {}

    def _answer(self, state: Sinograms) -> _Answer:
        if state.found is None:
            state.found = self._find(state)
        return state.found

    def _find(self, state: Sinograms) -> _Answer:
        turn = self.turn(state)
        if turn is None:
            return _NONE
        angles, slots = turn
        frames = without_dead_columns(state.rows[slots])
        if self.method == "center_of_mass" or seen(state) < HALF_TURN:
            found = self._by_sinograms(frames, angles, center_by_mass)
            return _Answer(found, "center_of_mass") if found.confidence > _NO_ANSWER else _NONE
        try:
            if self.method not in ("auto", "correlation", "phase_correlation"):
                return _Answer(self._by_sinograms(frames, angles, self._of_row), self.method)
            correlation = center_by_correlation(frames, angles, whiten=self.method == "phase_correlation")
            if self.method != "auto" or correlation.confidence >= _CERTAIN:
                return _Answer(correlation, "correlation")
            return _better(correlation, self._by_sinograms(frames, angles, self._of_row))
        except ValueError:  # a hole in the angles where the method needs a projection: later ones may fill it
            return _NONE

    def _of_row(self, sinogram: Array, angles: Array) -> Center:
        if self.method in ("entropy", "sharpness"):
            return center_by_metric(sinogram, angles, metric=self.method, low=self.low, high=self.high)
        first = center_by_sinogram(sinogram, angles, low=self.low, high=self.high)
        late = angles >= angles[-1] - 180.0 - _SPARE * float(np.median(np.diff(angles)))
        if angles[-1] < _BOTH_HALVES or late.all():
            return first
        second = center_by_sinogram(sinogram[late], angles[late], low=self.low, high=self.high)
        return _mean(first, second)  # a sample that wobbles moves the axis of a half turn, of a full one hardly

    def _by_sinograms(self, frames: Array, angles: Array, method: Callable[[Array, Array], Center]) -> Center:
        """A method row by row: the median weighted by confidence, which rows of air do not move."""
        found = [method(np.ascontiguousarray(frames[:, row]), angles) for row in range(frames.shape[1])]
        value, weight = np.array(found).T
        if weight.sum() <= 0:
            return Center(float(np.median(value)), 0.0)
        value, weight = value[weight > 0], weight[weight > 0]
        order = np.argsort(value)
        share = np.cumsum(weight[order]) / weight.sum()
        middle = float(value[order][np.searchsorted(share, 0.5)])
        agree = float(weight[np.abs(value - middle) <= _AGREE].sum() / weight.sum())
        return Center(middle, float(np.average(weight, weights=weight) * agree))


def doubts(confidence: float) -> tuple[str, ...]:
    """What to say of an axis that was found with a confidence."""
    if confidence >= _DOUBTFUL:
        return ()
    return (
        f"the axis is doubtful (confidence {confidence:.2g} of 1): others fit the projections nearly as well."
        " Compare slices about several, and give the best yourself",
    )


def _better(correlation: Center, sinogram: Center) -> _Answer:
    """The sinogram's answer (Vo's), unless it is no answer; trusted more where the correlation confirms it.

    A pair of projections of a sample wider than the detector looks alike in the wrong place too.
    """
    if abs(correlation.value - sinogram.value) <= _AGREE:
        both = Center(_mean(correlation, sinogram).value, max(correlation.confidence, sinogram.confidence))
        return _Answer(both, "correlation and vo")
    chosen, method = (sinogram, "vo") if sinogram.confidence > _NO_ANSWER else (correlation, "correlation")
    return _Answer(Center(chosen.value, chosen.confidence / 2), method)


def _mean(one: Center, other: Center) -> Center:
    """The mean of two answers, by how far each is trusted."""
    total = one.confidence + other.confidence
    if total <= 0:
        return one
    return Center((one.value * one.confidence + other.value * other.confidence) / total, total / 2)

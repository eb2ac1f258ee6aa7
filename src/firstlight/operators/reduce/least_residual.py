"""Which values of swept parameters let a volume fit the data best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan, Stream
from firstlight.core.errors import AxesError
from firstlight.core.fold import Fold
from firstlight.core.held import Held

from .swept import Combination, named, parts

_ALIKE = 0.01
"""Share of what is left by which values must differ to tell the best."""
_JUMP = 3.0
"""How many times more than between its neighbours and the next ones the least lies below them, where that is no slope."""


@dataclass(slots=True)
class Curves:
    """What is left of the data at the end of each convergence curve so far."""

    stream: Stream
    left: dict[Combination, dict[tuple[int, ...], float]] = field(
        default_factory=dict[Combination, "dict[tuple[int, ...], float]"]
    )


class LeastResidual(Fold[Curves]):
    """Find the values of swept parameters with which an iterative reconstruction comes closest to the measured data.

    No sample explains projections that are placed wrongly: with a wrong tilt, roll or center more of the data is left over.
    Unlike numbers taken from pictures this compares geometries that leave different parts of the sample unknown.
    """

    use: ClassVar[str] = "least_residual"
    signature: ClassVar[Any] = "[*] -> residual: "

    def after(self, scan: Scan) -> dict[str, Stream]:
        """One number for each combination of values.

        Raises:
            AxesError: Nothing is swept in what comes.
        """
        stream = scan.main
        if not any(label in stream.marks for label in stream.axes[:-1]):
            raise AxesError(
                "There is no sweep to compare.",
                field="axes",
                value=" ".join(stream.axes),
                expected="the residual of an iterative step with a swept parameter, such as 'tilt: {sweep: 28:32:0.5}'",
            )
        grid = {label: len(values) for label, values in stream.marks.items()}
        plain = replace(stream, axes=tuple(grid), sizes=grid, dtype="float32", arrival=0, unit=None, first=0)
        return {"residual": plain}

    def empty(self, scan: Scan) -> Curves:
        """Before the first curve."""
        return Curves(scan.main)

    def add(self, state: Curves, chunk: Chunk, *held: Held) -> None:
        """Keep where each curve ends."""
        for combination, other, curve in parts(state.stream, chunk, 1):
            known = curve[np.isfinite(curve)]
            state.left.setdefault(combination, {})[other] = float(known[-1]) if known.size else float("nan")

    def ready(self, state: Curves) -> bool:
        """True once a curve has come."""
        return bool(state.left)

    def result(self, state: Curves) -> dict[str, Array]:
        """What is left by swept parameter, the mean over all other axes; NaN where no curve has come."""
        shape = tuple(len(values) for values in state.stream.marks.values())
        found = np.full(shape, np.nan, np.float32)
        for each, left in state.left.items():
            found[each] = np.mean([left[other] for other in sorted(left)])
        return {"residual": found}

    def remarks(self, state: Curves) -> tuple[str, ...]:
        """Why no value can be told the best."""
        left = self.result(state)["residual"]
        if not np.isfinite(left).any():
            return ("no value can be told the best: what is left of the data is no number with any",)
        least, most = float(np.nanmin(left)), float(np.nanmax(left))
        if left.size > 1 and most - least < _ALIKE * most:
            return (
                f"all values leave nearly the same of the data ({least:.4g} to {most:.4g}): they do not tell the best",
            )
        if _won_by_exactness(left, list(state.stream.marks.values())):
            return (
                f"exactly 0 leaves least ({least:.4g}), and the values beside it no less than others: it needs no interpolation"
                " between detector rows, and wins by that. No value can be told the best; smooth the projections a little,"
                " sweep around 0 without it, or take find_center_rows for a roll",
            )
        return ()

    def findings(self, state: Curves) -> dict[str, Any]:
        """What all values leave, and those that leave least, if that says anything."""
        left = self.result(state)["residual"]
        best: dict[str, Any] = {}
        if not self.remarks(state):
            place = tuple(int(at) for at in np.unravel_index(int(np.nanargmin(left)), left.shape))
            best = {"best": named(state.stream, place)}
        marks: Mapping[str, Any] = state.stream.marks
        return {
            **best,
            "sweep": {
                "metric": "residual",
                "parameters": {label: list(values) for label, values in marks.items()},
                "metrics": {"residual": left.tolist()},
                "best_by": {"residual": best["best"]} if best else {},
            },
        }


def _won_by_exactness(left: Array, values: list[tuple[Any, ...]]) -> bool:
    """True if exactly 0 of one swept parameter leaves far less than the values beside it, while these are like the next ones.

    A true least has slopes on both sides.
    """
    if left.ndim != 1 or left.size < 5 or not np.isfinite(left).all():
        return False
    order = np.argsort(values[0])
    rising, place = left[order], int(np.argmin(left[order]))
    if values[0][order[place]] != 0 or not 2 <= place < left.size - 2:
        return False
    beside, beyond = rising[[place - 1, place + 1]], rising[[place - 2, place + 2]]
    return bool((beside - rising[place]).min() > _JUMP * np.abs(beyond - beside).max())

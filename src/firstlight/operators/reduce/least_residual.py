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
        """Where the best value says nothing: all leave the same."""
        left = self.result(state)["residual"]
        if not np.isfinite(left).any():
            return ()
        least, most = float(np.nanmin(left)), float(np.nanmax(left))
        if left.size < 2 or most - least >= _ALIKE * most:
            return ()
        return (f"all values leave nearly the same of the data ({least:.4g} to {most:.4g}): they do not tell the best",)

    def findings(self, state: Curves) -> dict[str, Any]:
        """The values that leave least, and what all leave."""
        left = self.result(state)["residual"]
        if not np.isfinite(left).any():
            return {}
        best = tuple(int(at) for at in np.unravel_index(int(np.nanargmin(left)), left.shape))
        marks: Mapping[str, Any] = state.stream.marks
        return {
            "best": named(state.stream, best),
            "sweep": {
                "metric": "residual",
                "parameters": {label: list(values) for label, values in marks.items()},
                "metrics": {"residual": left.tolist()},
                "best_by": {"residual": named(state.stream, best)},
            },
        }

"""Examples of the steps that every technique shares, and of the first ones of tomography and 4D-STEM."""

from collections.abc import Callable

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import Gap
from firstlight.testing import ArrangeExample, FoldExample, OperatorExample, cut

from ..scenes import RNG, arranging, flats, folding, frames_and_gaps, per_frame, scan, sinograms

OPERATORS: dict[str, Callable[[], OperatorExample]] = {
    "bin": lambda: per_frame("bin", "uint16", parameters={"rows": 2, "columns": 3}),
    "crop": lambda: per_frame("crop", parameters={"rows": (1, 5), "columns": (2, -2)}),
    "fbp": sinograms,
    "flat_field": lambda: per_frame("flat_field", "uint16", held=flats()),
    "minus_log": lambda: per_frame("minus_log"),
    "remove_outliers": lambda: per_frame("remove_outliers", parameters={"threshold": 5.0}),
    "virtual_detector": lambda: per_frame("virtual_detector", "uint16", parameters={"outer": 3.0}),
    "center_of_mass": lambda: per_frame("center_of_mass", "uint16"),
}


FOLDS: dict[str, Callable[[], FoldExample]] = {
    "find_center": lambda: folding("find_center", "float32"),
    "latest": lambda: folding("latest"),
    "live_slices": lambda: folding("live_slices", "float32", projections=24, center=7.5),
    "mean": lambda: folding("mean"),
    "median": lambda: folding("median", frames=7),
    "sum": lambda: folding("sum"),
}


def joining() -> ArrangeExample:
    step = registry.get("operators", "join")(window=6)
    first, other = step.arguments
    values = cut(RNG.random((20, 2)).astype(np.float32), ("xy",), size=4, stream="positions")
    return ArrangeExample(
        step,
        scan(),
        [
            *frames_and_gaps(first),
            *[(other, c) for c in values],
            (other, Gap(0, 20, 23, "no encoder", stream="positions")),
        ],
    )


ARRANGEMENTS: dict[str, Callable[[], ArrangeExample]] = {
    "join": joining,
    "sort": lambda: arranging("sort", window=4),
    "window": lambda: arranging("window", frames=6, reorder=2),
}

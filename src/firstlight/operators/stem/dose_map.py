"""Dose at each scan point."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.one_pass import Sums, Wanted
from firstlight.core.operator import Operator, operator
from firstlight.core.units import Nanometre
from firstlight.kernels.masks import sum_under_masks

Step = Annotated[Nanometre, Field(gt=0)]


@operator("row col -> ", sentence="The dose was mapped ({counts_per_electron} counts per electron).")
def dose_map(
    frames: Array,
    *,
    counts_per_electron: Annotated[float, Field(gt=0)] = 1.0,
    step_y: Step | None = None,
    step_x: Step | None = None,
) -> Array:
    """Count the electrons that each scan point has got, for each area: what damages the sample, and where.

    Electrons that miss the detector are not counted.

    Args:
        frames: shape (frame, row, col), integers or floats.
        counts_per_electron: What the detector counts for an electron.
        step_y: Distance of two scan lines in nm. Default: as the scan says.
        step_x: Distance of two points of a line in nm. Default: as the scan says.

    Returns:
        Shape (frame,), float64, electrons per nm².

    Raises:
        FirstlightError: a step of the scan is not known.
    """
    whole = np.ones((1, frames.shape[1], frames.shape[2]), bool)
    return sum_under_masks(frames, whole)[:, 0] / (counts_per_electron * _area(step_y, step_x))


def _area(step_y: float | None, step_x: float | None) -> float:
    """Of a scan point, in nm²."""
    if step_y is None or step_x is None:
        raise FirstlightError(
            "'dose_map' needs the distance of scan points, which the scan does not tell.",
            field="step_y" if step_y is None else "step_x",
            expected="a length in nm",
            next_move="Give step_y and step_x.",
        )
    return step_y * step_x


@dose_map.hook("calibrate")
def _calibrate(step: Operator, scan: Scan) -> Operator:
    found = {
        name: scan.calibration[name].to("nm")
        for name in ("step_y", "step_x")
        if getattr(step, name) is None and name in scan.calibration
    }
    return step.model_copy(update=found) if found else step


@dose_map.hook("wanted")
def _wanted(step: Operator, size: tuple[int, int]) -> Wanted:
    return Wanted(masks=np.ones((1, *size), bool))


@dose_map.hook("finish")
def _finish(step: Operator, sums: Sums, size: tuple[int, int]) -> Array:
    given = step.parameters()
    found = np.zeros((0, 1)) if sums.masks is None else sums.masks
    return found[:, 0] / (given["counts_per_electron"] * _area(given["step_y"], given["step_x"]))


@dose_map.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return "float64"


@dose_map.hook("unit")
def _unit(step: Operator, scan: Scan) -> str:
    return "1/nm^2"

"""What every step of phase retrieval asks: energy, distance and pixel size, from the user or from the scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import Operator, OperatorFunction
from firstlight.core.units import KeV, Micrometre, Millimetre, Quantity
from firstlight.kernels.frame_filter import FrameFilter, workspace_bytes
from firstlight.kernels.phase import gap_of

Energy = Annotated[KeV, Field(gt=0, le=1000)]
Distance = Annotated[Millimetre, Field(gt=0)]
PixelSize = Annotated[Micrometre, Field(gt=0)]
Ratio = Annotated[float, Field(gt=0)]
Gap = Annotated[int, Field(ge=0, le=20_000)]

MICROMETRE_IN_MM = 1e-3
MICROMETRE_IN_CM = 1e-4

UNITS = {"energy": "keV", "distance": "mm", "pixel": "um"}


def known(step: str, **values: float | None) -> tuple[float, ...]:
    """The values of named quantities, all of which must be known.

    Raises:
        FirstlightError: one is not.
    """
    for name, value in values.items():
        if value is None:
            raise FirstlightError(
                f"'{step}' needs the {name}, which neither the job nor the scan gives.",
                field=name,
                expected=f"a number in {UNITS[name]}",
                next_move=f"Add '{name}: … {UNITS[name]}' to the step.",
            )
    return tuple(float(value) for value in values.values() if value is not None)


def finite(frames: Array) -> Array:
    """Transmission without NaN and infinity, which would spread over the whole frame: they count as open beam."""
    values = frames if frames.dtype.kind == "f" else frames.astype(np.float32)
    if np.isfinite(values.sum(dtype=np.float64)):
        return values
    return np.nan_to_num(values, nan=1.0, posinf=1.0, neginf=1.0)


def filtered(frames: Array, chosen: FrameFilter, offset: float = 0.0, factor: float = 1.0) -> Array:
    """The frames less `offset`, through a filter, times `factor`: where they are, on the host or on a device."""
    if isinstance(frames, np.ndarray):
        result = chosen(finite(frames) - np.float32(offset) if offset else finite(frames))
        return result if factor == 1.0 else result * np.float32(factor)
    from firstlight.kernels.cuda.frame_filter import filter_frames

    return filter_frames(frames, chosen, offset=offset, factor=factor)


Reach = Callable[[Operator], int | None]
"""How far the filter of a step reaches, in pixels; None: as far as the frame."""


def add_optics(function: OperatorFunction, *names: str, reach: Reach = lambda step: None) -> None:
    """Let a step take `names` from the scan where the user gave none, tell the scan what the user gave, and check both.

    Its workspace follows from the size of its padded frames. Its body is that for CUDA too, since `filtered` and what is
    made of it work where the frames are.
    """

    @function.hook("calibrate")
    def calibrate(step: Operator, scan: Scan) -> Operator:
        values = step.parameters()
        found = {
            name: scan.calibration[name].to(UNITS[name])
            for name in names
            if values[name] is None and name in scan.calibration
        }
        known(step.use, **{name: found.get(name, values[name]) for name in names})
        return step.model_copy(update=found) if found else step

    @function.hook("calibration")
    def calibration(step: Operator, scan: Scan) -> Mapping[str, Quantity]:
        values: dict[str, Any] = step.parameters()
        given = {name: Quantity(values[name], UNITS[name]) for name in names if values[name] is not None}
        return {**scan.calibration, **given}

    @function.hook("workspace")
    def workspace(step: Operator, scan: Scan, frames: int) -> int:
        shape = (scan.main.size("row"), scan.main.size("col"))
        return workspace_bytes(shape, gap_of(shape, step.parameters()["gap"], reach(step)))

    @function.hook("device_workspace")
    def device_workspace(step: Operator, scan: Scan, frames: int) -> int:
        from firstlight.kernels.cuda import frame_filter

        shape = (scan.main.size("row"), scan.main.size("col"))
        return frame_filter.workspace_bytes(shape, gap_of(shape, step.parameters()["gap"], reach(step)), frames)

    function.device("cuda")(function.__wrapped__)  # the body works where the frames are

"""What every step against stripes shares: sinogram by sinogram, gaps kept, unit and memory as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, OperatorFunction
from firstlight.kernels.columns import fill_gaps

VO = "10.1364/OE.26.028396"
"""Vo, Atwood and Drakopoulos 2018."""

_VALUE = 4
"""Bytes of a float32."""


def odd(size: int) -> int:
    """Refuse a window without a middle.

    Raises:
        ValueError: `size` is even.
    """
    if size % 2 == 0:
        raise ValueError(f"a window of {size} has no middle: use {size - 1} or {size + 1}")
    return size


Columns = Annotated[int, Field(ge=3, le=999), AfterValidator(odd)]
"""Width of a window over columns."""
Ratio = Annotated[float, Field(gt=0, le=1000)]
"""How far beyond the noise a stripe must be."""
Share = Annotated[float, Field(ge=0, le=0.8)]
"""A share of the values of a column."""
Blocks = Annotated[int, Field(ge=1, le=1000)]
"""Parts into which the angles are cut."""


Method = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""Gives what becomes of a finite sinogram (angle, col): its second argument, filled, or another array."""


def each_sinogram(sinograms: Array, method: Method) -> Array:
    """Apply a method to each sinogram.

    Args:
        sinograms: shape (row, angle, col). What is not finite counts as the value before it in its column, and comes
            out as NaN.
        method: for one sinogram.

    Returns:
        float32 of the same shape.
    """
    out = np.empty(sinograms.shape, np.float32)
    for place, sinogram in enumerate(sinograms):
        filled, gaps = fill_gaps(np.ascontiguousarray(sinogram, np.float32))
        target = out[place]
        result = method(filled, target)
        if result is not target:
            target[:] = result
        if gaps is not None:
            target[gaps] = np.nan
    return out


DeviceMethod = Callable[[Any], Any]
"""Gives what becomes of finite sinograms (row, angle, col) on a device: a new array."""

DEVICE_BYTES = 4 << 30
"""Memory that the rows of a block that are done together may take on a device, where more than one fits."""


def each_on_cuda(sinograms: Any, method: DeviceMethod, planes: int) -> Any:
    """Apply a method to sinograms on a device, as many rows together as its memory is to hold.

    Args:
        sinograms: device array (row, angle, col); gaps are treated as by `each_sinogram`.
        method: for finite sinograms.
        planes: memory that a sinogram takes on its way, in sinograms.

    Returns:
        float32 device array of the same shape.
    """
    from firstlight.kernels.cuda.columns import fill_gaps, restore_gaps

    def without_gaps(part: Any) -> Any:
        found = method(fill_gaps(part)[0])
        restore_gaps(part, found)
        return found

    return by_rows_on_cuda(sinograms, without_gaps, planes)


def by_rows_on_cuda(sinograms: Any, method: DeviceMethod, planes: int) -> Any:
    """The same for a method that takes sinograms as they are, with their gaps."""
    from firstlight.kernels.cuda.arrays import empty, stream

    rows, angles, columns = sinograms.shape
    if not rows * angles * columns:
        return empty(sinograms.shape)
    step = _together(planes, angles, columns)
    if rows <= step:
        return method(sinograms)
    out = empty(sinograms.shape)
    for first in range(0, rows, step):
        part = slice(first, min(first + step, rows))
        out[part].copy_to_device(method(sinograms[part]), stream=stream())
    return out


def _together(planes: int, angles: int, columns: int) -> int:
    return max(1, DEVICE_BYTES // (_VALUE * planes * angles * columns))


def work_on_cuda(function: OperatorFunction, planes: int, method: Callable[..., Any]) -> None:
    """Give a step its body for CUDA.

    Args:
        function: the step.
        planes: memory that a sinogram takes on its way, in sinograms.
        method: of finite sinograms and the step's parameters.
    """

    @function.device("cuda")
    def on_cuda(sinograms: Any, **given: Any) -> Any:
        return each_on_cuda(sinograms, lambda finite: method(finite, **given), planes)

    keep_on_device(function, planes)


def keep_on_device(function: OperatorFunction, planes: int, whole: int = 0) -> None:
    """Tell which memory a step needs on a device, beside input and output.

    Args:
        function: the step.
        planes: sinograms, for each row that is done together.
        whole: copies of the whole block.
    """

    @function.hook("device_workspace")
    def device_workspace(step: Operator, scan: Scan, frames: int) -> int:
        angles, columns = scan.main.size("angle"), scan.main.size("col")
        held = min(frames, _together(planes, angles, columns)) * planes + whole * frames
        return held * _VALUE * angles * columns


def keep_unit(function: OperatorFunction, planes: int, whole: int = 0) -> None:
    """Tell that a step keeps the unit of its values, and which memory it needs beside input and output.

    Args:
        function: the step.
        planes: sinograms, while it works on one.
        whole: copies of the whole block.
    """

    @function.hook("unit")
    def unit(step: Operator, scan: Scan) -> str | None:
        return scan.main.unit

    @function.hook("workspace")
    def workspace(step: Operator, scan: Scan, frames: int) -> int:
        return (planes + whole * frames) * _VALUE * scan.main.size("angle") * scan.main.size("col")

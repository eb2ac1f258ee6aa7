"""Reconstruct slices by conjugate gradients for least squares (CGLS)."""

from __future__ import annotations

from functools import partial
from typing import Any

from firstlight.core.arrays import Array
from firstlight.core.operator import Coordinate, operator
from firstlight.kernels import iterate

from .on_cuda import iterated, workspace_of_iterations
from .slices import OUTPUTS, Center, Damping, Iterations, Pixel, Size, Start, Stop, Task, register_hooks, solve_slices


@operator(
    OUTPUTS,
    cites=["10.1137/1.9781611971484", "10.1109/TMI.1982.4307572"],
    sentence="Slices were reconstructed with {iterations} iterations of conjugate gradients for least squares ({damping:damping}).",
)
def cgls(
    sinograms: Array,
    *,
    iterations: Iterations = 20,
    damping: Damping = 0.0,
    center: Center = None,
    circle: bool = True,
    start: Start = "zero",
    stop: Stop = 0.0,
    size: Size = None,
    pixel: Pixel = None,
    angle: Coordinate = None,
    row: Coordinate = None,
) -> tuple[Array, Array]:
    """Reconstruct slices by conjugate gradients for least squares (CGLS).

    The fastest way to small residuals; noise grows with the iterations, so stop early, or give some damping.

    Args:
        sinograms: shape (slice, angle, col): minus the logarithm of the transmission; NaN and infinity count as 0.
        iterations: How many times the estimate is improved at most.
        damping: Weight of the size of the image, in pixel: minimises |A x - b|² + |damping x|² (Tikhonov).
        center: Column of the rotation axis, from 0: one number, or one for each detector row. Default: the middle.
        circle: Keep what lies outside the inscribed circle at 0.
        start: Begin with zeros, or with filtered back-projection.
        stop: Stop a slice when |A x - b| / |b| falls below this; 0 never stops early.
        size: Width and height of the slices in pixel. Default: the number of columns.
        pixel: Pixel size at the sample. Default: that of the scan, where it is known.
        angle: shape (angle,): projection angles in degree, in any order and spacing.
        row: shape (slice,): detector row of each slice, for a center given for each row.

    Returns:
        `volume`, float32 (slice, y, x), attenuation per cm (per pixel without pixel size); `residual`, float32 (slice,
        iteration): |A x - b| / |b| after each iteration, NaN once the slice has stopped.

    Raises:
        FirstlightError: angles are missing, in radian, or do not fit the sinograms; a center for each row does not fit.
    """
    task = Task(
        "cgls",
        iterations=iterations,
        stop=stop,
        circle=circle,
        start=start,
        center=center,
        size=size,
        pixel=pixel,
        angle=angle,
        row=row,
    )
    return solve_slices(sinograms, task, partial(iterate.cgls, damping=damping))


register_hooks(cgls)
cgls.hook("device_workspace")(workspace_of_iterations)


@cgls.device("cuda")
def _on_cuda(sinograms: Any, **given: Any) -> tuple[Any, Array]:
    return iterated("cgls", sinograms, {"angle": None, "row": None, **given})

"""Reconstruct slices by SART with ordered subsets of the projections."""

from __future__ import annotations

from functools import partial

from firstlight.core.arrays import Array
from firstlight.core.operator import Coordinate, operator
from firstlight.kernels import iterate

from .slices import (
    OUTPUTS,
    Center,
    Iterations,
    Pixel,
    Relaxation,
    Size,
    Start,
    Stop,
    Subsets,
    Task,
    register_hooks,
    solve_slices,
)


@operator(
    OUTPUTS,
    cites=["10.1109/TMI.2003.812253", "10.1109/TMI.1982.4307572"],
    sentence="Slices were reconstructed with {iterations} iterations of SART with {subsets} ordered subsets ({relaxation:relaxation}).",
)
def os_sart(
    sinograms: Array,
    *,
    iterations: Iterations = 20,
    subsets: Subsets = 10,
    relaxation: Relaxation = 1.0,
    center: Center = None,
    nonnegative: bool = False,
    circle: bool = True,
    start: Start = "zero",
    stop: Stop = 0.0,
    size: Size = None,
    pixel: Pixel = None,
    angle: Coordinate = None,
    row: Coordinate = None,
) -> tuple[Array, Array]:
    """Reconstruct slices by SART with ordered subsets of the projections.

    Between SIRT (one subset) and SART (as many as projections): about as many times faster than SIRT as there are subsets.

    Args:
        sinograms: shape (slice, angle, col): minus the logarithm of the transmission; NaN and infinity count as 0.
        iterations: How many times the estimate is improved at most.
        subsets: Groups of projections, each spread over the scan.
        relaxation: Length of each step, between 0 and 2.
        center: Column of the rotation axis, from 0: one number, or one for each detector row. Default: the middle.
        nonnegative: Set negative values to 0 in each iteration.
        circle: Keep what lies outside the inscribed circle at 0.
        start: Begin with zeros, or with filtered back-projection.
        stop: Stop a slice when |A x - b| / |b| falls below this; 0 never stops early.
        size: Width and height of the slices in pixel. Default: the number of columns.
        pixel: Pixel size at the sample. Default: that of the scan, where it is known.
        angle: shape (angle,): projection angles in degree, in any order and spacing.
        row: shape (slice,): detector row of each slice, for a center given for each row.

    Returns:
        `volume`, float32 (slice, y, x), attenuation per cm (per pixel without pixel size); `residual`, float32 (slice,
        iteration): |A x - b| / |b| as each subset is visited, NaN once the slice has stopped.

    Raises:
        FirstlightError: angles are missing, in radian, or do not fit the sinograms; a center for each row does not fit.
    """
    task = Task(
        "os_sart",
        iterations=iterations,
        stop=stop,
        nonnegative=nonnegative,
        circle=circle,
        start=start,
        center=center,
        size=size,
        pixel=pixel,
        angle=angle,
        row=row,
    )
    return solve_slices(sinograms, task, partial(iterate.sart, relaxation=relaxation, subsets=subsets))


register_hooks(os_sart)

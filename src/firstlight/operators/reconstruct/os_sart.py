"""Reconstruct slices by SART with ordered subsets of the projections."""

from __future__ import annotations

from functools import partial

from firstlight.core.arrays import Array
from firstlight.core.operator import Coordinate, operator
from firstlight.kernels import iterate

from ..tomography.centers import Center
from ..tomography.per_length import Pixel
from .known_images import Initial, Mask
from .slices import (
    OUTPUTS,
    Circle,
    Iterations,
    Nonnegative,
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
    nonnegative: Nonnegative = False,
    circle: Circle = True,
    mask: Mask = None,
    start: Start = "zero",
    initial: Initial = None,
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
        angle: shape (angle,): projection angles in degree, in any order and spacing.
        row: shape (slice,): detector row of each slice, for a center given for each row.

    Returns:
        `volume`, float32 (slice, y, x), attenuation per cm (per pixel without pixel size); `residual`, float32 (slice,
        iteration): |A x - b| / |b| as each subset is visited, NaN once the slice has stopped.

    Raises:
        FirstlightError: angles are missing, in radian, or do not fit the sinograms; a center for each row, a mask or a
            first estimate does not fit.
    """
    return solve_slices(
        sinograms, Task.of("os_sart", locals()), partial(iterate.sart, relaxation=relaxation, subsets=subsets)
    )


register_hooks(os_sart)

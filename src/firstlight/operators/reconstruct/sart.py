"""Reconstruct slices by the simultaneous algebraic technique (SART): one projection at a time."""

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
    Task,
    register_hooks,
    solve_slices,
)


@operator(
    OUTPUTS,
    cites=["10.1177/016173468400600107", "10.1109/TMI.1982.4307572"],
    sentence="Slices were reconstructed with {iterations} iterations of SART ({relaxation:relaxation}).",
)
def sart(
    sinograms: Array,
    *,
    iterations: Iterations = 5,
    relaxation: Relaxation = 0.5,
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
    """Reconstruct slices by the simultaneous algebraic technique (SART): one projection at a time.

    Few iterations suffice, each of which visits every projection once, far apart ones in turn.

    Args:
        sinograms: shape (slice, angle, col): minus the logarithm of the transmission; NaN and infinity count as 0.
        relaxation: Length of each step, between 0 and 2; small values for noisy data.
        angle: shape (angle,): projection angles in degree, in any order and spacing.
        row: shape (slice,): detector row of each slice, for a center given for each row.

    Returns:
        `volume`, float32 (slice, y, x), attenuation per cm (per pixel without pixel size); `residual`, float32 (slice,
        iteration): |A x - b| / |b| as each projection is visited, NaN once the slice has stopped.

    Raises:
        FirstlightError: angles are missing, in radian, or do not fit the sinograms; a center for each row, a mask or a
            first estimate does not fit.
    """
    return solve_slices(sinograms, Task.of("sart", locals()), partial(iterate.sart, relaxation=relaxation))


register_hooks(sart)

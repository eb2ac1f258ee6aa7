"""Reconstruct slices with total variation by the primal-dual hybrid gradient method (Chambolle and Pock)."""

from __future__ import annotations

from functools import partial

from firstlight.core.arrays import Array
from firstlight.core.operator import Coordinate, operator
from firstlight.kernels import variation

from ..tomography.centers import Center
from ..tomography.per_length import Pixel
from .known_images import Initial, Mask
from .slices import (
    OUTPUTS,
    Circle,
    Iterations,
    Nonnegative,
    Size,
    Start,
    Stop,
    Strength,
    Task,
    register_hooks,
    solve_slices,
)


@operator(
    OUTPUTS,
    cites=["10.1007/s10851-010-0251-1", "10.1088/0031-9155/57/10/3065", "10.1109/TMI.1982.4307572"],
    sentence="Slices were reconstructed with total-variation regularisation ({strength:strength}) by {iterations} iterations of the primal-dual hybrid gradient method.",
)
def pdhg_tv(
    sinograms: Array,
    *,
    iterations: Iterations = 300,
    strength: Strength = 1e-3,
    center: Center = None,
    nonnegative: Nonnegative = True,
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
    """Reconstruct slices with total variation by the primal-dual hybrid gradient method (Chambolle and Pock).

    Minimises ½|A x - b|² + λ TV(x): even regions with sharp borders, for few, noisy or missing projections. The three steps with total variation find the same minimum.

    Args:
        sinograms: shape (slice, angle, col): minus the logarithm of the transmission; NaN and infinity count as 0.
        angle: shape (angle,): projection angles in degree, in any order and spacing.
        row: shape (slice,): detector row of each slice, for a center given for each row.

    Returns:
        `volume`, float32 (slice, y, x), attenuation per cm (per pixel without pixel size); `residual`, float32 (slice,
        iteration): |A x - b| / |b| after each iteration, NaN once the slice has stopped.

    Raises:
        FirstlightError: angles are missing, in radian, or do not fit the sinograms; a center for each row, a mask or a
            first estimate does not fit.
    """
    return solve_slices(sinograms, Task.of("pdhg_tv", locals()), partial(variation.pdhg_tv, strength=strength))


register_hooks(pdhg_tv)

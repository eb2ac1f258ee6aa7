"""Reconstruct slices by conjugate gradients for least squares (CGLS)."""

from __future__ import annotations

from functools import partial
from typing import Any

from firstlight.core.arrays import Array
from firstlight.core.operator import Coordinate, operator
from firstlight.kernels import iterate

from ..tomography.centers import Center
from ..tomography.per_length import Pixel
from .known_images import Initial, Mask
from .on_cuda import iterated, workspace_of_iterations
from .slices import OUTPUTS, Circle, Damping, Iterations, Size, Start, Stop, Task, register_hooks, solve_slices


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
    """Reconstruct slices by conjugate gradients for least squares (CGLS).

    The fastest way to small residuals; noise grows with the iterations, so stop early, or give some damping.

    Args:
        sinograms: shape (slice, angle, col): minus the logarithm of the transmission; NaN and infinity count as 0.
        damping: Weight of the size of the image, in pixel: minimises |A x - b|² + |damping x|² (Tikhonov).
        angle: shape (angle,): projection angles in degree, in any order and spacing.
        row: shape (slice,): detector row of each slice, for a center given for each row.

    Returns:
        `volume`, float32 (slice, y, x), attenuation per cm (per pixel without pixel size); `residual`, float32 (slice,
        iteration): |A x - b| / |b| after each iteration, NaN once the slice has stopped.

    Raises:
        FirstlightError: angles are missing, in radian, or do not fit the sinograms; a center for each row, a mask or a
            first estimate does not fit.
    """
    return solve_slices(sinograms, Task.of("cgls", locals()), partial(iterate.cgls, damping=damping))


register_hooks(cgls)
cgls.hook("device_workspace")(workspace_of_iterations)


@cgls.device("cuda")
def _on_cuda(sinograms: Any, **given: Any) -> tuple[Any, Array]:
    return iterated("cgls", sinograms, {"angle": None, "row": None, **given})

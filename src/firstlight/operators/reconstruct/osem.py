"""Reconstruct slices by expectation maximisation with ordered subsets (OSEM)."""

from __future__ import annotations

from functools import partial

from firstlight.core.arrays import Array
from firstlight.core.operator import Coordinate, operator
from firstlight.kernels import iterate

from ..tomography.centers import Center
from ..tomography.per_length import Pixel
from .known_images import Initial, Mask
from .slices import OUTPUTS, Circle, Iterations, Size, Stop, Subsets, Task, register_hooks, solve_slices


@operator(
    OUTPUTS,
    cites=["10.1109/42.363108", "10.1109/TMI.1982.4307572"],
    sentence="Slices were reconstructed with {iterations} iterations of expectation maximisation with {subsets} ordered subsets (OSEM).",
)
def osem(
    sinograms: Array,
    *,
    iterations: Iterations = 5,
    subsets: Subsets = 10,
    center: Center = None,
    circle: Circle = True,
    mask: Mask = None,
    initial: Initial = None,
    stop: Stop = 0.0,
    size: Size = None,
    pixel: Pixel = None,
    angle: Coordinate = None,
    row: Coordinate = None,
) -> tuple[Array, Array]:
    """Reconstruct slices by expectation maximisation with ordered subsets (OSEM).

    About as many times faster than MLEM as there are subsets; values below 0 count as 0.

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
    return solve_slices(sinograms, Task.of("osem", locals()), partial(iterate.mlem, subsets=subsets))


register_hooks(osem)

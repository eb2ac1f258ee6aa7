"""Reconstruct slices with total variation by alternating directions (ADMM, split Bregman)."""

from __future__ import annotations

from functools import partial

from firstlight.core.arrays import Array
from firstlight.core.operator import Coordinate, operator
from firstlight.kernels import variation

from .slices import OUTPUTS, Center, Iterations, Pixel, Size, Start, Stop, Strength, Task, register_hooks, solve_slices


@operator(
    OUTPUTS,
    cites=["10.1137/080725891", "10.1109/TMI.1982.4307572"],
    sentence="Slices were reconstructed with total-variation regularisation ({strength:strength}) by {iterations} iterations of the alternating direction method of multipliers.",
)
def admm_tv(
    sinograms: Array,
    *,
    iterations: Iterations = 50,
    strength: Strength = 1e-3,
    center: Center = None,
    nonnegative: bool = True,
    circle: bool = True,
    start: Start = "zero",
    stop: Stop = 0.0,
    size: Size = None,
    pixel: Pixel = None,
    angle: Coordinate = None,
    row: Coordinate = None,
) -> tuple[Array, Array]:
    """Reconstruct slices with total variation by alternating directions (ADMM, split Bregman).

    Minimises ½|A x - b|² + λ TV(x): even regions with sharp borders, for few, noisy or missing projections. The three steps with total variation find the same minimum.

    Args:
        sinograms: shape (slice, angle, col): minus the logarithm of the transmission; NaN and infinity count as 0.
        iterations: How many times the estimate is improved at most.
        strength: λ as a part of max|Aᵀb|, so that it means the same in any unit; 1e-4 keeps more detail, 1e-2 smooths more.
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
        iteration): |A x - b| / |b| after each iteration, NaN once the slice has stopped.

    Raises:
        FirstlightError: angles are missing, in radian, or do not fit the sinograms; a center for each row does not fit.
    """
    task = Task(
        "admm_tv",
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
    return solve_slices(sinograms, task, partial(variation.admm_tv, strength=strength))


register_hooks(admm_tv)

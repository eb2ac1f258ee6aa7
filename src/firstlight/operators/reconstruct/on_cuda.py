"""Bodies for CUDA devices: sinograms and slices stay on the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator
from firstlight.kernels.angles import angular_weights

from ..tomography.angles import projection_angles
from ..tomography.centers import beside_detector, chosen_centers, ends_of
from ..tomography.per_length import per_length
from .slices import circle_mask, first_slices, mask_of


def iterated(step: str, sinograms: Any, given: dict[str, Any]) -> tuple[Any, Array]:
    """Reconstruct slices with the method of `kernels.cuda.iterate` that is called as the step.

    Args:
        step: its name.
        sinograms: device array (slice, angle, col).
        given: all parameters and coordinates of the step.

    Returns:
        Slices, device array (slice, y, x), and convergence curves, float32 (slice, iteration).

    Raises:
        FirstlightError: angles or centers that do not fit.
    """
    from firstlight.kernels.cuda import iterate
    from firstlight.kernels.cuda.arrays import on_device
    from firstlight.kernels.cuda.convolve import CudaRamp
    from firstlight.kernels.cuda.project import CudaProjector

    count, angles, columns = sinograms.shape
    theta = projection_angles(given["angle"], step, angles)
    size = given["size"] or columns
    centers = chosen_centers(given["center"], given["row"], count, columns, size)
    values = iterate.finite(sinograms)
    initial = first_slices(given["initial"], given["row"], (count, size, size), given["pixel"])
    if initial is not None:
        initial = on_device(initial, np.float32)
    elif given["start"] == "fbp":
        back = CudaProjector(theta, columns, size, centers, weights=angular_weights(theta), hat=True)
        initial = back.backproject(CudaRamp(columns, "hann")(values))
    mask = mask_of(size, given["mask"], circle=given["circle"])
    mask = np.ones((size, size), np.float32) if mask is None else mask[..., 0]
    own = {name: given[name] for name in ("relaxation", "damping") if name in given}
    limits = iterate.Limits(given["iterations"], given["stop"], bool(given.get("nonnegative")))
    projector = CudaProjector(theta, columns, size, centers)
    method = {"sirt": iterate.sirt, "cgls": iterate.cgls}[step]
    slices, curves = method(projector, values, mask, limits, initial=initial, **own)
    return _per_length(slices, given["pixel"]), curves


def backprojected(sinograms: Any, given: dict[str, Any]) -> Any:
    """Filter and back-project: device array (slice, y, x).

    Args:
        sinograms: device array (slice, angle, col).
        given: all parameters and coordinates of the step `backproject`.

    Raises:
        FirstlightError: angles or centers that do not fit.
    """
    from firstlight.kernels.cuda import iterate
    from firstlight.kernels.cuda.convolve import CudaRamp
    from firstlight.kernels.cuda.project import CudaProjector

    count, angles, columns = sinograms.shape
    theta = projection_angles(given["angle"], "backproject", angles)
    size = given["size"] or columns
    centers = chosen_centers(given["center"], given["row"], count, columns, size)
    values = iterate.finite(sinograms)
    if given["filter"] != "none":
        beside = beside_detector(ends_of(given["center"], columns), columns, size)
        chosen = {name: given[name] for name in ("cutoff", "padding")}
        values = CudaRamp(columns, given["filter"], beside=beside, **chosen)(values)
        centers, columns = centers + beside[0], values.shape[2]
    projector = CudaProjector(theta, columns, size, centers, weights=angular_weights(theta), hat=True)
    slices = projector.backproject(values)
    if given["circle"]:
        iterate.masked(slices, circle_mask(size)[..., 0])
    return _per_length(slices, given["pixel"])


def workspace_of_filter(step: Operator, scan: Scan, frames: int) -> int:
    """Sinograms without what is no number, and those filtered, as far as the slices reach."""
    angles, columns, given = scan.main.size("angle"), scan.main.size("col"), step.parameters()
    wide = columns + sum(beside_detector(ends_of(given["center"], columns), columns, given["size"] or columns))
    return 4 * frames * angles * (columns + wide)


def workspace_of_iterations(step: Operator, scan: Scan, frames: int) -> int:
    """At most six sinograms (data, weights, residual, rays of a direction) and five images of each slice, beside the result."""
    columns = scan.main.size("col")
    size = step.parameters()["size"] or columns
    return 4 * frames * (6 * scan.main.size("angle") * columns + 5 * size * size)


def _per_length(slices: Any, pixel: float | None) -> Any:
    from firstlight.kernels.cuda.iterate import scaled

    return slices if pixel is None else scaled(slices, per_length(pixel))

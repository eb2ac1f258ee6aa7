"""Bodies for CUDA devices: slices stay on the device from the first iteration to the last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.kernels.angles import angular_weights
from firstlight.kernels.ramp import RampFilter, ramp_filter

from ..tomography.angles import projection_angles
from .slices import MICROMETRE_IN_CM, chosen_centers, circle_mask, finite


def _device_of(step: str) -> Any:
    """The module of the device's kernels.

    Raises:
        FirstlightError: there is no device.
    """
    from firstlight.kernels.cuda import project as project_cuda

    if not project_cuda.present():
        raise FirstlightError(
            f"'{step}' finds no CUDA device.", field="device", value="cuda", expected="a CUDA device, or 'cpu'"
        )
    return project_cuda


def iterated(step: str, method: str, sinograms: Array, given: dict[str, Any]) -> tuple[Array, Array]:
    """Reconstruct slices with a method of `kernels.cuda.project`.

    Args:
        step: which step asks, for messages.
        method: name of the method there.
        sinograms: shape (slice, angle, col).
        given: all parameters and coordinates of the step.

    Returns:
        Slices, float32 (slice, y, x), and convergence curves, float32 (slice, iteration).

    Raises:
        FirstlightError: no device; angles or centers that do not fit.
    """
    kernels = _device_of(step)
    count, angles, columns = sinograms.shape
    theta = projection_angles(given["angle"], step, angles)
    size = given["size"] or columns
    centers = chosen_centers(given["center"], given["row"], count, columns)
    values = finite(sinograms).astype(np.float32, copy=False)
    initial = None
    if given["start"] == "fbp":
        lines = ramp_filter(np.ascontiguousarray(values), "hann")
        projector = kernels.CudaProjector(theta, columns, size, centers, weights=angular_weights(theta), hat=True)
        initial = projector.backproject(kernels.on_device(lines)).copy_to_host()
    mask = circle_mask(size)[..., 0] if given["circle"] else np.ones((size, size), np.float32)
    own = {name: given[name] for name in ("relaxation", "nonnegative", "damping") if name in given}
    run: Callable[..., tuple[Array, Array]] = getattr(kernels, method)
    projector = kernels.CudaProjector(theta, columns, size, centers)
    slices, curves = run(projector, values, mask, initial, iterations=given["iterations"], stop=given["stop"], **own)
    return _scaled(slices, given["pixel"]), curves


def backprojected(sinograms: Array, given: dict[str, Any]) -> Array:
    """Filter on the host, back-project on the device: float32 (slice, y, x).

    Args:
        sinograms: shape (slice, angle, col).
        given: all parameters and coordinates of the step `backproject`.

    Raises:
        FirstlightError: no device; angles or centers that do not fit.
    """
    kernels = _device_of("backproject")
    count, angles, columns = sinograms.shape
    theta = projection_angles(given["angle"], "backproject", angles)
    values = finite(sinograms)
    if given["filter"] != "none":
        ramp = RampFilter(columns, given["filter"], cutoff=given["cutoff"], padding=given["padding"])
        values = ramp(values)
    size = given["size"] or columns
    centers = chosen_centers(given["center"], given["row"], count, columns)
    projector = kernels.CudaProjector(theta, columns, size, centers, weights=angular_weights(theta), hat=True)
    slices = projector.backproject(kernels.on_device(values)).copy_to_host()
    if given["circle"]:
        slices *= circle_mask(size)[..., 0]
    return _scaled(slices, given["pixel"])


def _scaled(slices: Array, pixel: float | None) -> Array:
    if pixel is not None:
        slices *= np.float32(1.0 / (pixel * MICROMETRE_IN_CM))
    return slices

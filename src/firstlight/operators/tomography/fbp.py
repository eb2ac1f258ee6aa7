"""Filtered back-projection of whole slices."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Coordinate, Operator, operator
from firstlight.kernels.fourier import FourierFBP
from firstlight.kernels.ramp import Padding, Window

from .angles import projection_angles
from .centers import Center, chosen_centers, demand_centers, ends_of
from .finite import finite
from .per_length import Pixel, per_length, unit_of, with_pixel

SLICES = 8
"""Slices that the kernel works on side by side."""


@operator(
    "angle col -> z=row y x",
    cites=["10.1137/18M120885X", "10.1137/1.9780898719277"],
    sentence="Slices were reconstructed by filtered back-projection with the filter '{filter}' and the rotation axis at {center:column}.",
)
def fbp(
    sinograms: Array,
    *,
    center: Center = None,
    filter: Window = "ram-lak",  # the word of the field
    cutoff: Annotated[float, Field(gt=0, le=1)] = 1.0,
    padding: Padding = "zero",
    size: Annotated[int, Field(ge=1)] | None = None,
    circle: bool = True,
    pixel: Pixel = None,
    angle: Coordinate = None,
    row: Coordinate = None,
) -> Array:
    """Reconstruct slices from line integrals of the attenuation, for any list of angles.

    The result is quantitative: attenuation per cm where the pixel size is known, otherwise per pixel. Slices are seen
    from above with row 0 at the top (largest y). Over a full turn, what only one of two opposite projections has seen gets
    half its value: join the halves first (`stitch_half_acquisition`) where the sample reaches beyond the nearer side.

    Args:
        sinograms: shape (slice, angle, col): minus the logarithm of the transmission; NaN and infinity count as 0.
        center: Column of the rotation axis, from 0: one number, or one for each detector row. Default: the middle.
        filter: Window of the ramp filter; ram-lak is the sharpest, hann and parzen the smoothest.
        cutoff: Where the window ends, as a fraction of the highest frequency.
        padding: What lies outside the detector: `zero`, or `edge` for a sample wider than the detector.
        size: Width and height of the slices in pixel. Default: the number of columns.
        circle: Set what lies outside the inscribed circle to 0; reconstructing the corners takes longer.
        pixel: Pixel size at the sample. Default: that of the scan, where it is known.
        angle: shape (angle,): projection angles in degree, in any order and spacing.
        row: shape (slice,): detector row of each slice; needed where `center` has one number for each row of the
            detector and only some rows are given.

    Returns:
        float32 of shape (slice, y, x).

    Raises:
        FirstlightError: angles are missing, in radian, or do not fit the sinograms; a center does not fit.
    """
    count, angles, columns = sinograms.shape
    theta = projection_angles(angle, "fbp", angles)
    centers = chosen_centers(center, row, count, columns, size or columns)
    plan = _plans.get(theta, columns, ends_of(center, columns), size, filter, cutoff, padding, circle)
    slices = plan.reconstruct(finite(sinograms), center=centers)
    if pixel is not None:
        slices *= np.float32(per_length(pixel))
    return slices


class _Plans:
    """The plans used last; a plan serves several threads at once, and is made by one of them."""

    def __init__(self, room: int = 4) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._plans: OrderedDict[Hashable, FourierFBP] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, theta: Array, columns: int, center: tuple[float, float], *rest: Any) -> FourierFBP:
        key = (hashlib.blake2b(theta.tobytes()).digest(), theta.size, columns, center, *rest)
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._plans:
                    self._plans.move_to_end(key)
                    return self._plans[key]
            size, window, cutoff, padding, circle = rest
            plan = FourierFBP(
                theta, columns, center=center, size=size, window=window, cutoff=cutoff, padding=padding, circle=circle
            )
            with self._lock:
                self._plans[key] = plan
                while len(self._plans) > self._room:
                    self._making.pop(self._plans.popitem(last=False)[0], None)
            return plan

    def clear(self) -> None:
        with self._lock:
            self._plans.clear()
            self._making.clear()


_plans = _Plans()


@fbp.hook("close")
def _close(step: Operator) -> None:
    """Plans hold some hundred bytes for each pixel of a sinogram."""
    _plans.clear()


@fbp.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    size = step.parameters()["size"] or known.get("col")
    return {"y": size, "x": size}


@fbp.hook("calibrate")
def _calibrate(step: Operator, scan: Scan) -> Operator:
    demand_centers(step, scan)
    return with_pixel(step, scan)


fbp.hook("unit")(unit_of)


@fbp.hook("workspace")
def _workspace(step: Operator, scan: Scan, frames: int) -> int:
    """Spectrum and grid of one thread for the slices it does side by side (see `FourierFBP.workspace_bytes`), about."""
    angles, columns = scan.main.size("angle"), scan.main.size("col")
    size = step.parameters()["size"] or columns
    lanes = SLICES if frames > 4 else 4 if frames > 2 else 2
    return 4 * lanes * (angles * columns * 103 // 100 + 5 * size * (size + 8) // 4) + 2**23


@fbp.hook("shared")
def _shared(step: Operator, scan: Scan) -> int:
    """Phases and weights of every sample (complex64), and the tables of the grid."""
    return 9 * scan.main.size("angle") * scan.main.size("col")


@fbp.hook("block")
def _block(step: Operator) -> int:
    """How many slices at once go fastest, or a multiple of it."""
    return SLICES


@fbp.hook("device_workspace")
def _device_workspace(step: Operator, scan: Scan, frames: int) -> int:
    from firstlight.kernels.cuda.fourier_fbp import workspace_bytes

    columns = scan.main.size("col")
    size = step.parameters()["size"] or columns
    return workspace_bytes(frames, scan.main.size("angle"), max(columns, size) * 21 // 20, size * 4 // 3)


@fbp.device("cuda")
def _on_cuda(sinograms: Any, **given: Any) -> Any:
    from firstlight.kernels.cuda.fourier_fbp import reconstruct

    count, angles, columns = sinograms.shape
    theta = projection_angles(given.get("angle"), "fbp", angles)
    centers = chosen_centers(given["center"], given.get("row"), count, columns, given["size"] or columns)
    rest = (given[name] for name in ("size", "filter", "cutoff", "padding", "circle"))
    plan = _plans.get(theta, columns, ends_of(given["center"], columns), *rest)
    return reconstruct(plan, sinograms, center=centers, factor=per_length(given["pixel"]))

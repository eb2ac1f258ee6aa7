"""Direct back-projection of whole slices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Coordinate, Operator, operator
from firstlight.kernels.angles import angular_weights
from firstlight.kernels.lanes import WIDTHS, groups, one_by_one, side_by_side
from firstlight.kernels.project import ParallelProjector
from firstlight.kernels.ramp import Padding, RampFilter, Window

from ..tomography.angles import projection_angles
from ..tomography.centers import Center, beside_detector, chosen_centers, ends_of, same_center
from ..tomography.finite import finite
from ..tomography.per_length import Pixel, per_length, unit_of
from .on_cuda import backprojected, workspace_of_filter
from .slices import Circle, Size, calibrated, circle_mask


@operator(
    "angle col -> z=row y x",
    cites=["10.1137/1.9780898719277"],
    sentence="Slices were reconstructed by direct back-projection with linear interpolation (filter {filter}).",
)
def backproject(
    sinograms: Array,
    *,
    center: Center = None,
    filter: Window | Literal["none"] = "ram-lak",  # the word of the field
    cutoff: Annotated[float, Field(gt=0, le=1)] = 1.0,
    padding: Padding = "zero",
    size: Size = None,
    circle: Circle = True,
    pixel: Pixel = None,
    angle: Coordinate = None,
    row: Coordinate = None,
) -> Array:
    """Reconstruct slices by adding each filtered projection along its rays, pixel by pixel.

    Slower than `fbp` for many projections, and without its grid in Fourier space: the reference, and the choice for few
    projections or for projections that are filtered already (`filter: none`).

    Args:
        sinograms: shape (slice, angle, col): minus the logarithm of the transmission; NaN and infinity count as 0.
        filter: Window of the ramp filter; `none` adds the projections up as they are.
        cutoff: Where the window ends, as a fraction of the highest frequency.
        padding: What lies outside the detector: `zero`, or `edge` for a sample wider than the detector.
        circle: Set what lies outside the inscribed circle to 0.
        angle: shape (angle,): projection angles in degree, in any order and spacing.
        row: shape (slice,): detector row of each slice, for a center given for each row.

    Returns:
        float32 (slice, y, x): attenuation per cm (per pixel without pixel size).

    Raises:
        FirstlightError: angles are missing, in radian, or do not fit the sinograms; a center for each row does not fit.
    """
    count, angles, columns = sinograms.shape
    theta = projection_angles(angle, "backproject", angles)
    values = finite(sinograms)
    side = size or columns
    centers = chosen_centers(center, row, count, columns, side)
    if filter != "none":
        beside = beside_detector(ends_of(center, columns), columns, side)
        values = RampFilter(columns, filter, cutoff=cutoff, padding=padding, beside=beside)(values)
        centers, columns = centers + beside[0], values.shape[2]
    slices = np.empty((count, side, side), np.float32)
    weights = angular_weights(theta)
    for chosen, axis in same_center(centers):
        projector = ParallelProjector(theta, columns, side, center=axis, weights=weights, hat=True)
        for part, lanes in groups(chosen.stop - chosen.start):
            place = slice(chosen.start + part.start, chosen.start + part.stop)
            image = projector.backproject(side_by_side(values[place], lanes))
            if circle:
                image *= circle_mask(side)
            one_by_one(image, slices[place])
    if pixel is not None:
        slices *= np.float32(per_length(pixel))
    return slices


backproject.hook("calibrate")(calibrated)
backproject.hook("unit")(unit_of)


@backproject.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    size = step.parameters()["size"] or known.get("col")
    return {"y": size, "x": size}


@backproject.hook("workspace")
def _workspace(step: Operator, scan: Scan, frames: int) -> int:
    """Filtered sinograms of the block as far as the slices reach, and those and the images of sixteen slices side by side."""
    angles, columns, given = scan.main.size("angle"), scan.main.size("col"), step.parameters()
    size = given["size"] or columns
    columns += sum(beside_detector(ends_of(given["center"], columns), columns, size))
    return 4 * (frames * angles * columns + WIDTHS[-1] * (size * size + angles * columns))


@backproject.hook("block")
def _block(step: Operator) -> int:
    """How many slices at once go fastest."""
    return WIDTHS[-1]


backproject.hook("device_workspace")(workspace_of_filter)


@backproject.device("cuda")
def _on_cuda(sinograms: Any, **given: Any) -> Any:
    return backprojected(sinograms, {"angle": None, "row": None, **given})

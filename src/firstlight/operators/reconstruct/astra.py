"""Algorithms of the ASTRA toolbox, where it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import MissingExtra
from firstlight.core.operator import Coordinate, Operator, operator
from firstlight.kernels.pause import pause

from ..tomography.angles import projection_angles
from ..tomography.centers import Center, chosen_centers
from ..tomography.finite import finite
from ..tomography.per_length import Pixel, per_length, unit_of
from .slices import Circle, Iterations, Nonnegative, Size, calibrated, circle_mask

Algorithm = Literal["SIRT", "SART", "CGLS", "SIRT_CUDA", "SART_CUDA", "CGLS_CUDA", "EM_CUDA"]


@operator(
    "angle col -> z=row y x",
    cites=["10.1364/OE.24.025129"],
    sentence="Slices were reconstructed with {iterations} iterations of {algorithm} of the ASTRA toolbox.",
)
def astra(
    sinograms: Array,
    *,
    algorithm: Algorithm = "SIRT",
    iterations: Iterations = 50,
    center: Center = None,
    nonnegative: Nonnegative = False,
    circle: Circle = True,
    size: Size = None,
    pixel: Pixel = None,
    angle: Coordinate = None,
    row: Coordinate = None,
) -> Array:
    """Reconstruct slices with an algorithm of the ASTRA toolbox (extra `astra`, GPL).

    Those without CUDA run on one core, slice by slice; `sirt`, `sart` and `cgls` give the same many times faster.

    Args:
        sinograms: shape (slice, angle, col): minus the logarithm of the transmission; NaN and infinity count as 0.
        algorithm: Name of the algorithm there; those that end in _CUDA need a CUDA device.
        iterations: How many times; for SART, how many times every projection is visited.
        nonnegative: Set negative values to 0 in each iteration (not with CGLS).
        angle: shape (angle,): projection angles in degree, in any order and spacing.
        row: shape (slice,): detector row of each slice, for a center given for each row.

    Returns:
        float32 (slice, y, x): attenuation per cm (per pixel without pixel size).

    Raises:
        MissingExtra: the toolbox is not installed.
        FirstlightError: angles are missing, in radian, or do not fit the sinograms; a center for each row does not fit.
    """
    library = _library()
    count, angles, columns = sinograms.shape
    theta = np.deg2rad(projection_angles(angle, "astra", angles))
    side = size or columns
    slices = np.empty((count, side, side), np.float32)
    rounds = iterations * (angles if algorithm.startswith("SART") else 1)
    mask = circle_mask(side)[..., 0] if circle else None
    values = finite(sinograms).astype(np.float32, copy=False)
    for place, axis in enumerate(chosen_centers(center, row, count, columns, side)):
        pause(place, count)
        vectors = _vectors(theta, (columns - 1) / 2 - float(axis))
        slices[place] = _run(library, algorithm, rounds, values[place], vectors, side, nonnegative, mask)
    if pixel is not None:
        slices *= np.float32(per_length(pixel))
    return slices


def _library() -> Any:
    try:
        import astra as library
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "astra", "astra", "The step 'astra'") from missing
    return library


def _vectors(theta: Array, shift: float) -> Array:
    """ASTRA's ``parallel_vec``: direction of the ray, middle of the detector, from one pixel to the next; x right, y up."""
    c, s = np.cos(theta), np.sin(theta)
    return np.stack([s, -c, shift * c, shift * s, c, s], axis=1)


def _run(
    library: Any,
    algorithm: str,
    rounds: int,
    sinogram: Array,
    vectors: Array,
    side: int,
    nonnegative: bool,
    mask: Array | None,
) -> Array:
    """One slice; what ASTRA holds of it is freed again."""
    geometry = library.create_proj_geom("parallel_vec", sinogram.shape[1], vectors)
    volume = library.create_vol_geom(side, side)
    data = [library.data2d.create("-sino", geometry, sinogram), library.data2d.create("-vol", volume, 0)]
    settings = library.astra_dict(algorithm)
    settings.update(ProjectionDataId=data[0], ReconstructionDataId=data[1], option={})
    projector = None
    if not algorithm.endswith("_CUDA"):
        projector = library.create_projector("linear", geometry, volume)
        settings["ProjectorId"] = projector
    if nonnegative and not algorithm.startswith("CGLS"):
        settings["option"]["MinConstraint"] = 0.0
    if mask is not None:
        data.append(library.data2d.create("-vol", volume, mask))
        settings["option"]["ReconstructionMaskId"] = data[2]
    number = library.algorithm.create(settings)
    try:
        library.algorithm.run(number, rounds)
        return library.data2d.get(data[1])
    finally:
        library.algorithm.delete(number)
        library.data2d.delete(data)
        if projector is not None:
            library.projector.delete(projector)


astra.hook("calibrate")(calibrated)
astra.hook("unit")(unit_of)


@astra.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    size = step.parameters()["size"] or known.get("col")
    return {"y": size, "x": size}

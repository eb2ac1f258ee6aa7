"""Algorithms of TIGRE, where it is installed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import FirstlightError
from firstlight.core.operator import Coordinate, Operator, operator
from firstlight.kernels.pause import pause

from ..tomography.angles import projection_angles
from ..tomography.per_length import per_length, with_pixel
from . import arrangement as at
from .arrangement import motion_of, rays_for, region_of
from .slices import Iterations, Nonnegative, Relaxation, finite
from .tigre_geometry import fields_of
from .volumes import register_hooks

Algorithm = Literal["fbp", "fdk", "sirt", "sart", "ossart", "ossart_tv", "cgls", "fista", "asd_pocs"]
Window = Literal["ram-lak", "shepp-logan", "cosine", "hamming", "hann"]

_SINGLE_PASS = ("fbp", "fdk")
_BLOCKS = ("ossart", "ossart_tv")


@operator(
    "angle row col -> z y x",
    cites=["10.1088/2057-1976/2/5/055010"],
    sentence="Volumes were reconstructed with {algorithm} of the TIGRE toolbox (iterative algorithms: {iterations} iterations).",
)
def tigre(
    projections: Array,
    *,
    algorithm: Algorithm = "ossart",
    iterations: Iterations = 20,
    nonnegative: Nonnegative = False,
    blocksize: Annotated[int, Field(ge=1)] = 20,
    relaxation: Relaxation = 1.0,
    smoothing: Annotated[float, Field(gt=0)] | None = None,
    filter: Window = "ram-lak",
    center: at.AxisColumn = None,
    center_row: at.AxisRow = None,
    source_distance: at.SourceDistance = None,
    source_x: at.SourceX = 0.0,
    source_z: at.SourceZ = 0.0,
    tilt: at.Tilt = 0.0,
    roll: at.Roll = 0.0,
    detector_roll: at.DetectorRoll = 0.0,
    detector_pitch: at.DetectorPitch = 0.0,
    detector_yaw: at.DetectorYaw = 0.0,
    region_z: at.RegionZ = None,
    region_y: at.RegionY = None,
    region_x: at.RegionX = None,
    height: at.Height = None,
    size: at.Width = None,
    pixel: at.Voxel = None,
    angle: Coordinate = None,
) -> Array:
    """Reconstruct a volume with an algorithm of TIGRE 2 or newer (BSD), which needs a CUDA device.

    Parallel beam on an upright axis, cone beam and laminography in cone beam.

    Args:
        projections: shape (block, angle, row, col): minus the logarithm of the transmission; NaN and infinity count as 0.
        algorithm: Name of the algorithm there. `fbp` (parallel beam) and `fdk` (cone beam) take angles as evenly spread over
            half a turn or a whole one.
        iterations: How many times (not for `fbp` and `fdk`).
        nonnegative: Set negative values to 0 in each iteration (not with `cgls`).
        blocksize: Projections that `ossart` and `ossart_tv` take at a time.
        relaxation: Length of each step, between 0 and 2, of `sirt`, `sart`, `ossart`, `ossart_tv` and `asd_pocs`.
        smoothing: TIGRE's weight of total variation: `tvlambda` of `fista` and `ossart_tv` (which smooths less the larger
            it is), `alpha` of `asd_pocs`. Default: TIGRE's, 0.1, 50 and 0.002.
        filter: Window of the ramp of `fbp` and `fdk`.
        angle: shape (angle,): projection angles in degree, in any order.

    Returns:
        float32 (block, z, y, x): attenuation per cm (per pixel without pixel size).

    Raises:
        FirstlightError: TIGRE is not installed, older than version 2, or finds no CUDA device; angles are missing, in
            radian, or do not fit; a geometry that TIGRE or the algorithm does not know.
    """
    given = dict(locals())
    count, angles, rows, columns = projections.shape
    theta = projection_angles(angle, "tigre", angles)
    rays = rays_for(theta, motion_of(given, rows, columns, "tigre"), np.arange(angles), "tigre")
    region = region_of((region_z, region_y, region_x), height, size, rows, columns)
    fields = fields_of(rays, region, rows, columns)
    _check_single_pass(given)
    library = _library()
    volumes = np.empty((count, *region.shape), np.float32)
    for place, values in enumerate(finite(projections)):
        pause(place, count)
        scan = np.ascontiguousarray(values, np.float32)
        volumes[place] = _run(library, given, scan, fields)[:, ::-1]  # y of TIGRE's images rises with its index
    if pixel is not None:
        volumes *= np.float32(per_length(pixel))
    return volumes


def _library() -> Any:
    """TIGRE, with a device to compute on; without one it would end the process."""
    try:
        import tigre as library
        import tigre.algorithms
        from tigre.utilities.gpu import getGpuNames
    except ImportError as missing:
        old = "tigre" in sys.modules
        raise FirstlightError(
            f"The step 'tigre' needs TIGRE, which {'is older than version 2' if old else 'is not installed'}: {missing}",
            field="use",
            value="tigre",
            expected="TIGRE 2 or newer",
            next_move="Run: conda install -c ccpi tigre, or build it from its repository. PyPI's pytigre is too old.",
        ) from missing
    if not getGpuNames():
        raise FirstlightError(
            "TIGRE finds no CUDA device, and computes on nothing else.",
            field="use",
            value="tigre",
            next_move="Run it on a machine with one, or take 'sirt_volume', 'cgls_volume', 'fista_tv_volume' or "
            "'backproject_volume', which need none.",
        )
    return library


def _check_single_pass(given: Mapping[str, Any]) -> None:
    """Which geometries TIGRE's filtered back-projections are meant for."""
    algorithm = given["algorithm"]
    parallel, tilted = given["source_distance"] is None, bool(np.any(np.asarray(given["tilt"])))
    if algorithm in _SINGLE_PASS and (tilted or parallel != (algorithm == "fbp")):
        raise FirstlightError(
            f"'{algorithm}' of TIGRE is for {'parallel' if algorithm == 'fbp' else 'cone'} beam on an upright axis.",
            field="algorithm",
            value=algorithm,
            next_move="Take 'fbp' for parallel beam, 'fdk' for cone beam, 'backproject_volume' or 'ossart' on a tilted axis.",
        )


def _run(library: Any, given: dict[str, Any], scan: Array, fields: dict[str, Any]) -> Array:
    """One volume by TIGRE, per voxel, (z, y, x) in its order."""
    geometry = library.geometry(mode=fields["mode"], nVoxel=fields["nVoxel"])
    for name, value in fields.items():
        if name != "angles":
            setattr(geometry, name, value)
    method = getattr(library.algorithms, given["algorithm"])
    if given["algorithm"] in _SINGLE_PASS:
        geometry.filter = given["filter"].replace("-", "_")
        return method(scan, geometry, fields["angles"], filter=geometry.filter)
    keywords = _keywords(library, given, geometry, fields["angles"])
    return method(scan, geometry, fields["angles"], given["iterations"], verbose=False, **keywords)


def _keywords(library: Any, given: dict[str, Any], geometry: Any, angles: Array) -> dict[str, Any]:
    """What the algorithm is told besides."""
    algorithm, smoothing = given["algorithm"], given["smoothing"]
    if algorithm == "cgls":
        return {}
    told: dict[str, Any] = {"noneg": given["nonnegative"]}
    if algorithm == "fista":
        told["hyper"] = _lipschitz(library, geometry, angles)
    else:
        told["lmbda"] = given["relaxation"]
    if algorithm in _BLOCKS:
        told["blocksize"] = min(given["blocksize"], len(angles))
    if smoothing is not None and algorithm in ("fista", "ossart_tv", "asd_pocs"):
        told["alpha" if algorithm == "asd_pocs" else "tvlambda"] = smoothing
    return told


def _lipschitz(library: Any, geometry: Any, angles: Array) -> float:
    """2 |A|², at most twice the largest sum of a row times that of a column; TIGRE's default is that of its own example."""
    ones = np.ones(geometry.nVoxel, np.float32)
    rows = library.Ax(ones, geometry, angles)
    columns = library.Atb(np.ones_like(rows), geometry, angles, "matched")
    return 2.0 * float(rows.max()) * float(columns.max())


register_hooks(tigre)


@tigre.hook("calibrate")
def _calibrated(step: Operator, scan: Scan) -> Operator:
    """With the pixel size of the scan; what can not run is said in the plan, not when the last projection has come."""
    _check_single_pass(step.parameters())
    if find_spec("tigre") is None:
        _library()
    return with_pixel(step, scan)

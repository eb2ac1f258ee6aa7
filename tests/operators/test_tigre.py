"""The step over TIGRE: its geometry anywhere, its algorithms where it runs (on the CPU too: tools/tigre_on_the_cpu)."""

import importlib.util
import sys
import warnings
from types import ModuleType

import numpy as np
import pytest

from firstlight.core.errors import FirstlightError
from firstlight.kernels.ellipsoids import ray_integrals
from firstlight.kernels.geometry import Motion, Region, rays_of
from firstlight.operators.reconstruct.backproject_volume import backproject_volume
from firstlight.operators.reconstruct.cgls_volume import cgls_volume
from firstlight.operators.reconstruct.tigre import tigre
from firstlight.operators.reconstruct.tigre_geometry import fields_of

from .scenes import relative_rms
from .test_general_backproject import BODY, COLUMNS, PIXEL, ROWS, TRUTH, TURN

REGION = Region((1.0, 2.0, 0.0), (1.0, 2.0, 1.0), (18, 12, 26), COLUMNS, ROWS)
LEANING = {
    "tilt": 20.0,
    "roll": 5.0,
    "detector_roll": -4.0,
    "detector_pitch": 6.0,
    "detector_yaw": -7.0,
    "source_x": 3.0,
    "source_z": -4.0,
}
WAYS = {
    "parallel": {"center": 15.2, "center_row": 8.7},
    "parallel, moving": {"center": 13.5 + np.sin(TURN), "center_row": 9.5 + np.cos(3 * TURN)},
    "cone": {"center": 12.1, "center_row": 10.2, "source_distance": 120.0},
    "laminography": {"center": 12.1, "center_row": 10.2, "source_distance": 120.0, "tilt": 30.0},
    "leaning": {"center": 12.1, "center_row": 10.2, "source_distance": 120.0, **LEANING},
    "cone, moving": {
        "center": 13.5 + np.sin(TURN),
        "center_row": 9.5,
        "source_distance": 120 + np.cos(TURN),
        "roll": 2,
    },
}
INNER = np.s_[4:16]


def place(way):
    return rays_of(TURN, Motion(**WAYS[way]))


def each(fields, name):
    """A field as one row (or number) for each projection."""
    value = np.asarray(fields[name], float)
    return value if value.shape[:1] == TURN.shape else np.broadcast_to(value, (TURN.size, *value.shape))


def turn(x=0.0, y=0.0, z=0.0):
    """Rz Ry Rx, right-handed."""
    (a, b), (c, d), (e, f) = ((np.cos(v), np.sin(v)) for v in (x, y, z))
    about_x, about_y = np.array([[1, 0, 0], [0, a, -b], [0, b, a]]), np.array([[c, 0, d], [0, 1, 0], [-d, 0, c]])
    return np.array([[e, -f, 0], [f, e, 0], [0, 0, 1]]) @ about_y @ about_x


@pytest.mark.parametrize("way", WAYS)
def test_tigre_sees_the_rays_that_we_see(way):
    """By TIGRE's definition (its computeDeltas): positions in voxels of its image, turned back into ours."""
    rays, fields = place(way), fields_of(place(way), REGION, ROWS, COLUMNS)
    inverse = np.linalg.inv(REGION.frame())
    row, col = 3, 5
    for k in range(TURN.size):
        off_row, off_col = each(fields, "offDetector")[k]
        pitch_row, pitch_col = fields["dDetector"]
        yaw, pitch, roll = each(fields, "rotDetector")[k]
        on_detector = np.array([0.0, (col - (COLUMNS - 1) / 2) * pitch_col, (row - (ROWS - 1) / 2) * pitch_row])
        behind = each(fields, "DSD")[k] - each(fields, "DSO")[k]
        pixel = turn(x=yaw, y=pitch, z=roll) @ on_detector + [-behind, off_col, off_row]
        source = np.array([each(fields, "DSO")[k], 0.0, 0.0])
        if rays.parallel:
            source[1:] = pixel[1:]
        alpha, theta, psi = fields["angles"][k].astype(float)
        stand = turn(z=alpha) @ turn(y=theta) @ turn(z=psi)
        corner = each(fields, "offOrigin")[k][::-1] - fields["sVoxel"][::-1] / 2
        ends = [(stand @ end - corner) / fields["dVoxel"][::-1] - 0.5 for end in (source, pixel)]
        for end in ends:
            end[1] = REGION.shape[1] - 1 - end[1]
        ours = rays.corner[k] + row * rays.down[k] + col * rays.across[k]
        before = ours - rays.source[k] if rays.parallel else rays.source[k]
        wanted = [(inverse @ [*point, 1.0])[:3] for point in (before, ours)]
        way_there, way_wanted = ends[1] - ends[0], wanted[1] - wanted[0]
        way_there, way_wanted = way_there / np.linalg.norm(way_there), way_wanted / np.linalg.norm(way_wanted)
        np.testing.assert_allclose(way_there, way_wanted, atol=1e-5)
        np.testing.assert_allclose(np.cross(ends[0] - wanted[0], way_wanted), 0, atol=2e-4)
        if not rays.parallel:
            np.testing.assert_allclose(ends[0], wanted[0], atol=2e-4)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"algorithm": "sirt", "tilt": 20.0}, "parallel beam, TIGRE knows no tilt"),
        ({"algorithm": "sirt", "detector_yaw": 1.0}, "no rotation of the detector"),
        ({"algorithm": "sirt", "source_distance": 0.1}, "within the volume"),
        ({"algorithm": "fdk"}, "'fdk' of TIGRE is for cone beam"),
        ({"algorithm": "fbp", "source_distance": 0.6}, "'fbp' of TIGRE is for parallel beam"),
        ({"algorithm": "fdk", "source_distance": 0.6, "tilt": 20.0}, "upright axis"),
    ],
)
def test_what_tigre_does_not_know_is_refused(given, words):
    with pytest.raises(FirstlightError, match=words):
        tigre(np.zeros((1, TURN.size, ROWS, COLUMNS), np.float32), angle=TURN, pixel=PIXEL, **given)


def device():
    """What TIGRE computes on; None where it is not installed or finds nothing."""
    if importlib.util.find_spec("tigre") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports numpy.matlib
        from tigre.utilities.gpu import getGpuNames
    return (getGpuNames() or [None])[0]


ON = device()
runs = pytest.mark.skipif(ON is None, reason="TIGRE is not installed, or finds no CUDA device (tools/tigre_on_the_cpu)")


@pytest.mark.skipif(importlib.util.find_spec("tigre") is not None, reason="TIGRE is installed")
def test_without_tigre_the_error_says_how_to_get_it():
    with pytest.raises(FirstlightError, match="conda install -c ccpi tigre"):
        tigre(np.zeros((1, TURN.size, ROWS, COLUMNS), np.float32), angle=TURN)


@pytest.mark.parametrize(
    ("parts", "words"),
    [(("algorithms",), "older than version 2"), (("algorithms", "utilities", "utilities.gpu"), "finds no CUDA device")],
)
def test_a_tigre_that_can_not_run_is_said_before_it_ends_the_process(monkeypatch, parts, words):
    for name in [name for name in sys.modules if name.partition(".")[0] == "tigre"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("tigre", *(f"tigre.{part}" for part in parts)):
        module = ModuleType(name)
        module.__path__, module.getGpuNames = [], list  # no module beside these, and no device
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(FirstlightError, match=words):
        tigre(np.zeros((1, TURN.size, ROWS, COLUMNS), np.float32), angle=TURN)


def taken(way, body=BODY, rows=ROWS, columns=COLUMNS):
    """Exact projections, and what the step is told; the source's distance is in millimetre there."""
    rays, told = place(way), {name: tuple(v) if np.ndim(v) else v for name, v in WAYS[way].items()}
    data = ray_integrals(
        body, rays.source, rays.corner, rays.across, rays.down, (rows, columns), parallel=rays.parallel
    )
    if not rays.parallel:
        told["source_distance"] = (np.array(WAYS[way]["source_distance"]) * PIXEL * 1e-3).tolist()
    return data[None], {"angle": TURN, "pixel": PIXEL, **told}


def near_the_truth(volumes, rms, mean):
    found = volumes[0] * PIXEL * 1e-4  # per voxel
    assert relative_rms(found[INNER], TRUTH[INNER]) < rms
    assert found[INNER].mean() == pytest.approx(TRUTH[INNER].mean(), rel=mean)


@runs
@pytest.mark.parametrize(("way", "algorithm"), [("parallel", "fbp"), ("parallel, moving", "fbp"), ("cone", "fdk")])
def test_filtered_back_projection_is_ours(way, algorithm):
    data, told = taken(way)
    found = tigre(data, algorithm=algorithm, **told)
    assert relative_rms(found[:, 4:16], backproject_volume(data, **told)[:, 4:16]) < 0.05
    near_the_truth(found, 0.12, 0.06)


@runs
@pytest.mark.parametrize("way", ["parallel", "parallel, moving", "cone"])
@pytest.mark.parametrize(
    ("algorithm", "given", "rms"),
    [
        ("sirt", {"iterations": 30}, 0.2),
        ("sart", {"iterations": 2, "relaxation": 0.5}, 0.12),
        ("ossart", {"iterations": 6, "blocksize": 10}, 0.14),
        ("ossart_tv", {"iterations": 3, "blocksize": 10, "smoothing": 200.0}, 0.3),
        ("cgls", {"iterations": 8}, 0.15),
        ("fista", {"iterations": 12}, 0.2),
    ],
)
def test_iterative_algorithms_find_the_body(way, algorithm, given, rms):
    data, told = taken(way)
    near_the_truth(tigre(data, algorithm=algorithm, **given, **told), rms, 0.02)


@runs
@pytest.mark.slow
def test_total_variation_with_constraints_finds_the_body():
    data, told = taken("cone")
    near_the_truth(tigre(data, algorithm="asd_pocs", iterations=3, **told), 0.12, 0.02)


@runs
@pytest.mark.parametrize("way", ["leaning", "laminography", "cone, moving"])
def test_any_geometry_in_cone_beam(way):
    data, told = taken(way)
    found = tigre(data, algorithm="cgls", iterations=15, **told)
    wanted = cgls_volume(data, iterations=15, **told)[0]
    assert relative_rms(found[:, 4:16], wanted[:, 4:16]) < 0.12
    near_the_truth(found, 0.16, 0.06)


@runs
def test_constraints_regions_and_pixel_size():
    data, told = taken("cone")
    given = {"algorithm": "ossart", "iterations": 2, "blocksize": 20, "nonnegative": True}
    volumes = tigre(data - 0.05, **given, **told)
    assert volumes.min() == 0
    part = tigre(data, algorithm="fdk", region_z=(4, 16, 2), **told)
    np.testing.assert_allclose(part, tigre(data, algorithm="fdk", **told)[:, 4:16:2], atol=1e-4 * part.max())
    twice = tigre(data, algorithm="fdk", **{**told, "pixel": 2 * PIXEL, "source_distance": 2 * told["source_distance"]})
    np.testing.assert_allclose(2 * twice[:, 4:16:2], part, atol=1e-4 * part.max())


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(ON in (None, "the CPU"), reason="TIGRE is not installed")
@pytest.mark.parametrize(("way", "algorithm"), [("parallel", "fbp"), ("cone", "fdk"), ("leaning", "cgls")])
def test_on_a_device(way, algorithm):
    """The same as above; a GPU rounds the weights of its texture to 1/256."""
    data, told = taken(way)
    near_the_truth(tigre(data, algorithm=algorithm, iterations=6, **told), 0.16, 0.06)

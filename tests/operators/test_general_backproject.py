"""Volumes in any geometry, as steps: quantitative, in any order and split, regions, numbers for each projection."""

import numpy as np
import pytest

from firstlight.connectors.phantom.source import PhantomSource
from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.errors import FirstlightError
from firstlight.core.units import Quantity
from firstlight.jobs.load import load_job
from firstlight.jobs.start import start
from firstlight.kernels.ellipsoids import Ellipsoid, ellipsoid_table, ray_integrals, voxels
from firstlight.kernels.geometry import Motion, Region, rays_of
from firstlight.operators.reconstruct.general_backproject import GeneralBackproject

from .scenes import projections, relative_rms

ROWS, COLUMNS, PIXEL = 20, 28, 5.0
TURN = np.arange(0.0, 360.0, 6.0)
BODY = ellipsoid_table(
    [Ellipsoid(0.02, 0.6, 0.5, 0.45, phi=20), Ellipsoid(0.03, 0.2, 0.2, 0.2, 0.2, 0.15, -0.1)], COLUMNS / 2
)
REGION = Region.whole(ROWS, COLUMNS)
TRUTH = voxels(BODY, *REGION.axes())
WAYS = {
    "parallel": {},
    "cone": {"source_distance": 120.0},
    "laminography": {"tilt": 25.0},
    "moving": {"center": tuple(13.5 + np.sin(TURN)), "center_row": tuple(9.5 + np.cos(3 * TURN)), "roll": 2.0},
}


def taken(name):
    """Exact projections; the step takes the source's distance in millimetre."""
    motion = {"center": 13.5, "center_row": 9.5, **WAYS[name]}
    rays = rays_of(TURN, Motion(**motion))
    data = ray_integrals(
        BODY, rays.source, rays.corner, rays.across, rays.down, (ROWS, COLUMNS), parallel=rays.parallel
    )
    given = dict(WAYS[name])
    if "source_distance" in given:
        given["source_distance"] = given["source_distance"] * PIXEL * 1e-3
    return data, given


def scan(known=True, pixel=PIXEL):
    sizes = {"angle": TURN.size, "row": ROWS, "col": COLUMNS}
    calibration = {"pixel": Quantity(pixel, "um")} if pixel else {}
    return Scan(
        {MAIN: Stream(tuple(sizes), sizes, "float32", first=5)}, "", calibration, {"angle": TURN} if known else {}
    )


def folded(step, data, order=None, seen=None, size=7):
    seen = seen or scan()
    state = step.empty(seen)
    order = np.arange(len(data)) if order is None else order
    for first in range(0, len(order), size):
        part = order[first : first + size]
        step.add(state, step.digest(Chunk(data[part], ("row", "col"), part + 5, coords={"angle": TURN[part]})))
    return state, step.result(state)["data"]


@pytest.mark.parametrize("name", WAYS)
def test_values_are_those_of_the_phantom(name):
    data, given = taken(name)
    step = GeneralBackproject(**given, filter="hann").calibrated(scan())
    assert step.pixel == PIXEL
    assert step.unit(scan()) == "1/cm"
    _, volume = folded(step, data)
    truth = TRUTH / (PIXEL * 1e-4)
    inside = (
        voxels(ellipsoid_table([Ellipsoid(1.0, 0.1, 0.1, 0.1, 0.2, 0.15, -0.1)], COLUMNS / 2), *REGION.axes()) > 0.9
    )
    # half a ball of the Hann window's width is missing; laminography lacks the directions along its axis
    assert abs(volume[inside].mean() / truth[inside].mean() - 1) < (0.35 if name == "laminography" else 0.03)
    assert relative_rms(volume, truth) < (0.6 if name == "laminography" else 0.25)


SMALL = ellipsoid_table([Ellipsoid(0.05, 0.25, 0.25, 0.25)], COLUMNS / 2)
"""A ball on the axis."""


@pytest.mark.parametrize(
    ("motion", "level"), [({}, 1.0), ({"source_distance": 120.0}, 1.0), ({"tilt": 30.0}, np.cos(np.deg2rad(30)))]
)
@pytest.mark.parametrize("center", [13.5, 6.0])
def test_the_air_around_a_sample_is_empty_to_the_corners_and_its_value_right_wherever_the_axis_is(
    motion, level, center
):
    """Voxels that some projections do not see get what the filter spreads beside the detector.

    Laminography lacks the directions closer to its axis than the tilt, so that a ball has cos(tilt) of its value in the middle.
    """
    turn = np.arange(0.0, 360.0, 2.0)
    rays = rays_of(turn, Motion(center=center, center_row=9.5, **motion))
    data = ray_integrals(
        SMALL, rays.source, rays.corner, rays.across, rays.down, (ROWS, COLUMNS), parallel=rays.parallel
    )
    given = {"tilt": motion["tilt"]} if "tilt" in motion else {}
    if "source_distance" in motion:
        given = {"source_distance": motion["source_distance"] * PIXEL * 1e-3, "pixel": PIXEL}
    volume = registry.get("operators", "backproject_volume")(data[None], angle=turn, center=center, **given)[0]
    volume *= (PIXEL * 1e-4 if "pixel" in given else 1.0) / 0.05
    across = np.hypot(*np.meshgrid(*[np.arange(COLUMNS) - 13.5] * 2))
    assert volume[9:11, across < 1.5].mean() == pytest.approx(level, abs=0.03)
    if not given.get("tilt"):
        around, corners = (across > 6) & (across < 13), across > 15
        assert abs(volume[8:12, around].mean()) < 0.0012
        assert abs(volume[8:12, corners].mean()) < 0.0012


def test_order_and_split_do_not_matter_and_parts_can_be_merged():
    data, given = taken("moving")
    step = GeneralBackproject(**given)
    _, whole = folded(step, data)
    shuffled = np.random.default_rng(0).permutation(TURN.size)
    _, again = folded(step, data, shuffled, size=11)
    np.testing.assert_allclose(again, whole, atol=2e-5 * whole.max())
    one, _ = folded(step, data, np.arange(0, 20))
    other, _ = folded(step, data, np.arange(20, TURN.size))
    merged = step.merge(one, other)
    np.testing.assert_allclose(step.result(merged)["data"], whole, atol=2e-5 * whole.max())
    assert step.coverage(merged) == 1.0
    assert step.coverage(step.empty(scan())) == 0.0
    assert not step.ready(step.empty(scan()))


def test_upright_parallel_beam_is_what_backproject_gives():
    data, theta = projections(32, 6, np.arange(0.0, 180.0, 2.0), 14.8)
    sizes = {"angle": theta.size, "row": 6, "col": 32}
    seen = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")}, coords={"angle": theta})
    step = GeneralBackproject(center=14.8)
    state = step.empty(seen)
    step.add(state, Chunk(data, ("row", "col"), np.arange(theta.size), coords={"angle": theta}))
    sinograms = np.ascontiguousarray(data.transpose(1, 0, 2))
    slices = registry.get("operators", "backproject")(sinograms, angle=theta, center=14.8, circle=False)
    inside = np.hypot(*np.meshgrid(*[np.arange(32) - 15.5] * 2)) < 12
    np.testing.assert_allclose(step.result(state)["data"][:, inside], slices[:, inside], atol=1e-5 * slices.max() * 10)


def test_a_region_has_its_own_sizes():
    data, given = taken("cone")
    step = GeneralBackproject(**given, pixel=PIXEL, region_z=(5, 12, 1), region_y=(4, 24, 2), region_x=(0.5, 27, 3))
    stream = step.after(scan())["data"]
    assert stream.frame_shape == (7, 10, 9)
    _, part = folded(step, data)
    assert part.shape == (7, 10, 9)
    _, whole = folded(GeneralBackproject(**given, pixel=PIXEL), data)
    halfway = (whole[5:12, 4:24:2, 0:27:3] + whole[5:12, 4:24:2, 1:28:3]) / 2
    assert relative_rms(part, halfway) < 0.05
    with pytest.raises(FirstlightError, match="no voxel along y"):
        GeneralBackproject(region_y=(9, 9, 1)).sizes({"row": 4, "col": 4}, scan())


def test_angles_that_are_not_known_beforehand_count_as_even():
    data, given = taken("parallel")
    _, known = folded(GeneralBackproject(**given), data)
    _, live = folded(GeneralBackproject(**given), data, seen=scan(known=False))
    np.testing.assert_allclose(live, known, atol=1e-5 * known.max())


def test_bad_geometry_is_named():
    data, _ = taken("parallel")
    with pytest.raises(FirstlightError, match="size of a voxel"):
        GeneralBackproject(source_distance=3.0).empty(scan(pixel=None))
    with pytest.raises(FirstlightError, match="tilt has 2 numbers"):
        folded(GeneralBackproject(tilt=(0.0, 1.0)), data)
    early = Chunk(data[:1], ("row", "col"), np.array([3]), coords={"angle": TURN[:1]})  # the scan begins with 5
    wobbling = GeneralBackproject(roll=tuple(np.zeros(TURN.size)))
    empty = wobbling.empty(scan())
    with pytest.raises(FirstlightError, match="projections -2 to -2"):
        wobbling.add(empty, early)
    step, nameless = GeneralBackproject(), Chunk(data[:2], ("row", "col"), np.arange(5, 7))
    state = step.empty(scan())
    with pytest.raises(FirstlightError, match="angle of each projection"):
        step.add(state, nameless)
    assert GeneralBackproject(source_distance="12 cm").source_distance == 120.0
    assert GeneralBackproject(tilt=["0.1 rad", 2.0]).tilt[0] == pytest.approx(5.7296, abs=1e-4)


@pytest.mark.parametrize("use", ["general_backproject", "backproject_volume", "cgls_volume"])
def test_a_list_that_is_too_short_is_found_before_the_first_frame(use):
    short = registry.get("operators", use)(
        detector_yaw=(0.0, 1.0), **({"iterations": 1} if use == "cgls_volume" else {})
    )
    with pytest.raises(FirstlightError, match=r"fewer numbers than projections: 2 of 60.*detector_yaw"):
        short.calibrated(scan())


@pytest.mark.parametrize("name", WAYS)
def test_all_projections_at_once_give_the_same(name):
    data, given = taken(name)
    _, wanted = folded(GeneralBackproject(**given, pixel=PIXEL, region_y=(3, 25, 2)), data)
    whole = registry.get("operators", "backproject_volume")
    found = whole(data[None], angle=TURN, pixel=PIXEL, region_y=(3, 25, 2), **given)
    np.testing.assert_allclose(found[0], wanted, atol=2e-5 * wanted.max())


def test_the_axis_may_be_what_another_step_finds():
    source = {"use": "phantom", "columns": 48, "rows": 2, "angles": 60, "center": 21.5, "noise": False}
    steps = [
        {"use": "flat_field"},
        {"use": "minus_log"},
        {"use": "find_center"},
        {"use": "backproject_volume", "inputs": ["minus_log"], "center": {"from": "find_center"}, "filter": "hann"},
        {"use": "sirt", "inputs": ["minus_log"], "center": {"from": "find_center"}, "iterations": 20},
    ]
    sinks = [{"use": "memory", "of": "backproject_volume"}, {"use": "memory", "of": "sirt"}]
    job = load_job({"source": source, "steps": steps, "sinks": sinks})
    run = start(job)
    run.finished(100)
    found = {sink.of.step: sink.sink.result().data for sink in job.sinks}
    truth = PhantomSource(**{key: value for key, value in source.items() if key != "use"}).truth()
    inside = np.hypot(*np.meshgrid(*[np.arange(48) - 23.5] * 2)) < 19
    for name, volume in found.items():
        assert relative_rms(volume[:, inside], truth[:, inside]) < 0.35, name


@pytest.mark.parametrize("use", ["sirt_volume", "cgls_volume"])
@pytest.mark.parametrize("name", WAYS)
def test_iterative_volumes_are_those_of_the_phantom(use, name):
    data, given = taken(name)
    step, few = registry.get("operators", use), slice(None, None, 3)
    given = {key: value[few] if isinstance(value, tuple) else value for key, value in given.items()}
    more = {"iterations": 20, "nonnegative": True} if use == "sirt_volume" else {"iterations": 8}
    volume, residual = step(data[None, few], angle=TURN[few], pixel=PIXEL, **given, **more)
    truth = TRUTH / (PIXEL * 1e-4)
    assert volume.shape == (1, ROWS, COLUMNS, COLUMNS)
    assert relative_rms(volume[0], truth) < 0.25
    assert np.all(np.diff(residual[0]) < 0)
    assert residual[0, -1] < 0.08


@pytest.mark.parametrize("use", ["sirt_volume", "cgls_volume"])
def test_iterative_volumes_tell_their_output(use):
    step = registry.get("operators", use)(iterations=3, region_z=(5, 12, 1), size=16).calibrated(scan())
    streams = step.after(scan())
    assert (streams["volume"].axes, streams["residual"].axes) == (("z", "y", "x"), ("iteration",))
    assert [streams["volume"].size(each) for each in "zyx"] == [7, 16, 16]
    assert step.pixel == PIXEL
    assert step.workspace(scan(), 1) > 0
    with pytest.raises(FirstlightError, match="angle of each projection"):
        registry.get("operators", use)(np.zeros((1, 3, 4, 4), np.float32), iterations=1)

"""Results as labelled arrays: axes in nm and mrad, angles in degree, what has come, and what is missing without xarray."""

import sys

import numpy as np
import pytest

import firstlight as fl
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.coordinates import coordinates_of
from firstlight.core.errors import MissingExtra
from firstlight.core.run import Result, Results
from firstlight.core.units import Quantity

pytest.importorskip("xarray")


@pytest.mark.parametrize("runner", ["naive", "local"])
def test_results_of_a_microscope_have_calibrated_axes(runner):
    source = fl.source("phantom_stem", scan_y=4, scan_x=5, field=2.0, pixels=24)
    steps = [fl.step("bin", rows=2, columns=2), fl.step("center_of_mass"), fl.step("sum")]
    tree = fl.run(source, steps, runner=runner).finished(60).xarray()
    shift = tree["center_of_mass"]["row_shift"]
    assert (shift.dims, shift.attrs) == (("scan_y", "scan_x"), {"units": "px"})
    assert np.allclose(shift.scan_y, np.arange(4) * 2.0 / 4)
    assert np.allclose(shift.scan_x, np.arange(5) * 2.0 / 5)
    assert shift.scan_x.attrs == {"units": "nm"}
    pattern = tree["sum"]["data"]
    angle = 2 * source.pixel_angle * 1e3  # two pixels are one
    assert np.allclose(pattern.row, (np.arange(12) - 5.5) * angle)
    assert pattern.col.attrs == {"units": "mrad"}
    # the disk of the probe is as wide as the aperture
    bright = pattern.sum("row") > 0.1 * pattern.sum("row").max()
    assert abs(float(np.abs(pattern.col[bright]).max()) - source.aperture) < angle


def test_results_on_the_way_say_what_has_come():
    source = fl.source("phantom_stem", scan_y=4, scan_x=4, pixels=24)
    for results in fl.run(source, [fl.step("virtual_detector")]).partial(0.01):
        found = results.xarray()["virtual_detector"]["data"]
    assert "covered" not in found.coords
    covered = np.array([[True, False], [True, True]])
    part = Result(np.ones((2, 2, 3)), ("scan_y", "scan_x", "ring"), covered=covered).xarray()
    assert float(part.where(part.covered).sum()) == 9.0


def test_angles_sweeps_and_pixels_are_coordinates():
    stream = Stream(("sharpness", "angle", "row", "col"), {}, "float32", marks={"sharpness": (0.1, 0.2)})
    known = {"pixel": Quantity(0.5, "um")}
    scan = Scan({MAIN: stream}, calibration=known, coords={"angle": np.array([0.0, 60.0, 120.0])})
    found = coordinates_of(scan, {"sharpness": 2, "angle": 3, "row": 4, "col": 5})
    assert set(found) == {"sharpness", "angle"}
    assert (found["sharpness"].values.tolist(), found["angle"].unit) == ([0.1, 0.2], "deg")
    assert coordinates_of(scan, {"z": 2, "y": 3})["y"].values.tolist() == [0.0, 0.5, 1.0]
    assert coordinates_of(scan, {"angle": 7}) == {}


def test_outputs_of_other_sizes_have_groups_of_their_own():
    results = Results({"a.x": Result(np.zeros(3), ("row",)), "a.y": Result(np.ones(4), ("row",))})
    tree = results.xarray()
    assert (tree["a"]["x"].shape, tree["a.y"]["y"].shape) == ((3,), (4,))


def test_without_xarray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingExtra, match=r"firstlight\[notebook\]"):
        Result(np.zeros(3), ("row",)).xarray()

"""The search for the axis beyond `find_center`'s first two methods: whole slices, full turns, tilted axes; real scans."""

import h5py
import numpy as np
import pytest
import tifffile

import firstlight as fl
from firstlight.connectors.hdf5.sink import Hdf5Sink
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.errors import FirstlightError
from firstlight.core.job import SinkSpec
from firstlight.kernels.ellipsoids import SHEPP_LOGAN, ellipsoid_table, line_integrals, plane_coordinates
from firstlight.operators.tomography.find_center import FindCenter
from firstlight.operators.tomography.find_center_360 import FindCenter360
from firstlight.operators.tomography.find_center_rows import FindCenterRows
from firstlight.operators.tomography.stitch_half_acquisition import stitch_half_acquisition

from .scenes import chunks_of, circle, fold_all, projections, read_tooth, relative_rms, scan_of

FULL_TURN = np.arange(0.0, 360.0, 2.0)


def noisy(data, dose=2000.0, seed=0):
    counts = np.maximum(np.random.default_rng(seed).poisson(dose * np.exp(-data)), 1)
    return -np.log(counts / dose).astype(np.float32)


def answer(fold, data, theta):
    return fold.result(fold_all(fold, scan_of(data), chunks_of(data, theta)))


@pytest.mark.parametrize("method", ["phase_correlation", "entropy", "sharpness"])
@pytest.mark.parametrize("center", [50.3, 44.1])
def test_every_method_finds_the_axis_of_a_noisy_phantom(method, center):
    data, theta = projections(96, 24, np.arange(0, 180, 1.5), center)
    found = answer(FindCenter(method=method, rows=(8, 14)), noisy(data), theta)
    assert abs(found["center"] - center) < 0.25
    assert 0.1 < found["confidence"] <= 1


@pytest.mark.parametrize("method", ["phase_correlation", "entropy", "sharpness"])
def test_every_method_finds_the_axis_of_the_tooth(tooth, method):
    attenuation, theta = read_tooth(tooth)
    found = answer(FindCenter(method=method, rows=(0,)), attenuation, theta)
    assert abs(found["center"] - 296.0) <= 0.5


SLOWER = [pytest.param(method, marks=pytest.mark.slow) for method in ("vo", "entropy", "sharpness")]


@pytest.mark.parametrize("method", ["auto", "correlation", *SLOWER])
def test_center_of_a_neutron_sinogram_over_a_full_turn(data_folder, method):
    sinogram = tifffile.imread(data_folder / "tomography" / "neutompy_sinogram.tiff")
    theta = np.arange(len(sinogram)) * 360 / len(sinogram)
    found = answer(FindCenter(method=method), sinogram[:, None], theta)
    assert abs(found["center"] - 459.75) <= 0.75


@pytest.mark.parametrize("method", ["auto", "correlation", "entropy", "sharpness"])
def test_center_of_a_scan_with_a_focused_beam(data_folder, method):
    """Every method, and the eye, say 44.5 with a drift of 2 columns, though the data's notes give 50.5."""
    with h5py.File(data_folder / "multimodal" / "mm.nxs") as file:
        group = file["entry1/stxm_entry/data"]
        beam, theta = group["data"][()], group["theta"][()]
    attenuation = -np.log(beam / np.percentile(beam, 99, axis=2, keepdims=True)).astype(np.float32)
    assert abs(answer(FindCenter(method=method), attenuation, theta)["center"] - 44.5) < 1.5


HALVES = [(70, 90), (0, 90), (60, 100), (0, 84), (76, 84), (20, 130)]
"""First column and width of what the detector sees of 160 columns about an axis at 79.8."""


@pytest.mark.parametrize(("first", "width"), HALVES)
def test_axis_near_the_side_of_the_detector(first, width):
    data, theta = projections(160, 12, FULL_TURN, 79.8)
    part = np.ascontiguousarray(noisy(data)[:, :, first : first + width])
    found = answer(FindCenter360(), part, theta)
    center = 79.8 - first
    assert abs(found["center"] - center) < 0.25
    assert abs(found["overlap"] - (width - abs(2 * center - (width - 1)))) < 0.5
    assert found["side"] == np.sign(center - (width - 1) / 2)
    assert 0.3 < found["confidence"] <= 1


def test_a_full_turn_is_waited_for():
    data, theta = projections(160, 12, FULL_TURN, 79.8)
    part, fold = np.ascontiguousarray(data[:, :, :90]), FindCenter360()
    scan = scan_of(part)
    state = fold_all(fold, scan, chunks_of(part, theta, keep=range(150)))
    assert not fold.ready(state)
    assert np.isnan(fold.result(state)["center"])
    fold_all(fold, scan, chunks_of(part, theta, keep=range(150, 180)), state)
    assert fold.ready(state)
    assert abs(fold.result(state)["center"] - 79.8) < 0.1


@pytest.mark.parametrize(("first", "width"), [(70, 90), (0, 90), (0, 130)])
def test_joined_halves_are_the_wide_sinogram(first, width):
    wide, theta = projections(161, 6, FULL_TURN)  # axis in the middle, column 80
    narrow = np.ascontiguousarray(wide[:, :, first : first + width]).transpose(1, 0, 2)
    joined = stitch_half_acquisition(narrow, center=80.0 - first, size=161, angle=theta)
    assert joined.shape == (6, 90, 161)
    assert relative_rms(joined, wide[:90].transpose(1, 0, 2)) < 1e-5


def test_joined_between_columns_and_from_angles_in_any_order():
    wide, theta = projections(160, 6, FULL_TURN, 79.3)
    narrow = np.ascontiguousarray(wide[:, :, :95]).transpose(1, 0, 2)
    table = ellipsoid_table(SHEPP_LOGAN, 80)
    truth = (
        line_integrals(table, np.deg2rad(theta[:90]), plane_coordinates(6, descending=True), 161, rays=(2, 2)) * 0.02
    )
    order = np.random.default_rng(0).permutation(len(theta))
    joined = stitch_half_acquisition(narrow[:, order], center=79.3, size=161, angle=theta[order])
    assert relative_rms(joined, truth.transpose(1, 0, 2)) < 0.02  # 0.3 column between, sharp rims


def test_half_acquisition_from_the_frames_to_the_slices():
    """Axis found, halves joined, slices made: as from a detector that saw all."""
    wide, theta = projections(160, 6, FULL_TURN, 79.8)
    narrow = np.ascontiguousarray(wide[:, :, :92])
    steps = [
        fl.step("find_center_360"),
        {"use": "stitch_half_acquisition", "inputs": ["source"], "center": {"from": "find_center_360"}},
        {"use": "fbp"},
    ]
    found = fl.run(MemorySource.of(narrow, angles=theta), steps).finished(timeout=100)
    volume = found["fbp"].data
    assert volume.shape == (6, 184, 184)
    table = ellipsoid_table(SHEPP_LOGAN, 80)
    other = line_integrals(table, np.deg2rad(theta[:90]), plane_coordinates(6, descending=True), 184, rays=(2, 2))
    whole = fl.run(MemorySource.of(other * np.float32(0.02), angles=theta[:90]), [fl.step("fbp")]).finished(timeout=100)
    inside = circle(184, 0.42)
    assert relative_rms(volume[2], whole["fbp"].data[2], inside) < 0.15  # single pixels at sharp rims
    blurred = [slices.reshape(6, 46, 4, 46, 4).mean((2, 4))[2] for slices in (volume, whole["fbp"].data)]
    assert relative_rms(*blurred, circle(46, 0.42)) < 0.02


def tilted(slope, rows=48, size=96):
    table = ellipsoid_table(SHEPP_LOGAN, size / 2)
    theta = np.arange(0, 180, 1.5)
    z = plane_coordinates(rows, descending=True)
    lines = [
        line_integrals(table, np.deg2rad(theta), z[n : n + 1], size, center=49.0 + slope * n, rays=(2, 2))[:, 0]
        for n in range(rows)
    ]
    return np.stack(lines, 1) * np.float32(0.02), theta


@pytest.mark.parametrize("method", ["correlation", "vo"])
def test_an_axis_that_is_tilted(method):
    data, theta = tilted(0.06)
    found = answer(FindCenterRows(method=method, count=9), noisy(data, 5000), theta)
    np.testing.assert_allclose(found["center"], 49.0 + 0.06 * np.arange(48), atol=0.25)
    assert abs(found["tilt"] - np.rad2deg(np.arctan(0.06))) < 0.4
    assert 0.2 < found["confidence"] <= 1


def test_rows_without_a_sample_do_not_tilt_the_axis():
    data, theta = tilted(0.06)
    data[:, :6] = 0.0
    found = answer(FindCenterRows(count=15), noisy(data, 5000), theta)
    np.testing.assert_allclose(found["center"], 49.0 + 0.06 * np.arange(48), atol=0.25)


def test_slices_about_a_tilted_axis_are_as_sharp_as_about_a_straight_one():
    data, theta = tilted(0.06)
    find = fl.step("find_center_rows", method="correlation")  # each row turns about an axis of its own
    steps = [find, {"use": "fbp", "inputs": ["source"], "center": {"from": "find_center_rows"}}]
    volume = fl.run(MemorySource.of(data, angles=theta), steps).finished(timeout=100)["fbp"].data
    straight = fl.run(MemorySource.of(tilted(0.0)[0], angles=theta), [fl.step("fbp", center=49.0)]).finished(
        timeout=100
    )
    middle = fl.run(MemorySource.of(data, angles=theta), [fl.step("fbp", center=50.4)]).finished(timeout=100)
    for row in (4, 40):
        wanted = straight["fbp"].data[row]
        assert relative_rms(volume[row], wanted, circle(96)) < 0.15
        assert relative_rms(middle["fbp"].data[row], wanted, circle(96)) > 0.2


def test_mistakes_are_named():
    wide, theta = projections(64, 4, FULL_TURN)
    sinograms = wide.transpose(1, 0, 2)
    with pytest.raises(FirstlightError, match="find_center_360"):
        stitch_half_acquisition(sinograms, angle=theta)
    with pytest.raises(FirstlightError, match="full turn"):
        stitch_half_acquisition(sinograms[:, :90], center=50.0, angle=theta[:90])
    with pytest.raises(FirstlightError, match="column"):
        stitch_half_acquisition(sinograms, center=70.0, angle=theta)


def test_halves_are_joined_before_phase_retrieval_and_keep_their_angles(tmp_path):
    """Per frame behind, per sinogram before: the data are regrouped twice, and angles follow."""
    wide, theta = projections(96, 6, FULL_TURN, 47.3)
    narrow = np.exp(-np.ascontiguousarray(wide[:, :, :56]))
    steps = [
        fl.step("stitch_half_acquisition", center=47.3, size=96),
        fl.step("paganin", energy=25.0, distance=0.01, pixel=1.0, delta_beta=1.0),
        fl.step("fbp"),
    ]
    sink = SinkSpec(Hdf5Sink(path=tmp_path / "joined.nxs"), of=fl.Reference.parse("stitch_half_acquisition"))
    fl.run(MemorySource.of(narrow, angles=theta), steps, sinks=[sink]).finished(timeout=60)
    found = fl.run(MemorySource.of(narrow, angles=theta), steps).finished(timeout=60)["fbp"].data
    with h5py.File(tmp_path / "joined.nxs") as file:
        np.testing.assert_allclose(file["entry/data/angle"][()], theta[:90])
        assert file["entry/data/data"].shape == (6, 90, 96)
    whole = fl.run(MemorySource.of(wide, angles=theta), [fl.step("fbp", center=47.3)]).finished(timeout=60)["fbp"].data
    assert relative_rms(found[2] * 1e-4, whole[2], circle(96)) < 0.15  # per cm, and pixels of 1 um

from dataclasses import replace

import numpy as np
import pytest

from firstlight.core.errors import AxesError, ChangeRefused, FirstlightError
from firstlight.operators.tomography.find_center import FindCenter

from .scenes import chunks_of, fold_all, projections, read_tooth, scan_of


def noisy(center, angles, size=96, rows=24, dose=2000.0, seed=0):
    data, theta = projections(size, rows, angles, center)
    rng = np.random.default_rng(seed)
    counts = np.maximum(rng.poisson(dose * np.exp(-data)), 1)
    return -np.log(counts / dose).astype(np.float32), theta


@pytest.mark.parametrize("method", ["auto", "correlation", "vo"])
@pytest.mark.parametrize(("center", "start", "span"), [(50.3, 0.0, 180.0), (44.1, 250.0, 180.0), (47.9, 33.0, 360.0)])
def test_center_of_a_noisy_phantom(method, center, start, span):
    data, theta = noisy(center, start + np.arange(181) * span / 180)
    fold = FindCenter(method=method)
    found = fold.result(fold_all(fold, scan_of(data), chunks_of(data, theta)))
    assert abs(found["center"] - center) < 0.25
    assert 0.2 < found["confidence"] <= 1


@pytest.mark.parametrize("method", ["auto", "correlation", "phase_correlation", "vo"])
@pytest.mark.parametrize(("column", "value"), [(21, 9.0), (70, 3.5), (60, 0.4)])
def test_a_column_that_is_dead_in_the_projections_alone(method, column, value):
    data, theta = noisy(50.3, np.arange(181.0))
    data[:, :, column] = value
    fold = FindCenter(method=method)
    found = fold.result(fold_all(fold, scan_of(data), chunks_of(data, theta)))
    assert abs(found["center"] - 50.3) < 0.5


@pytest.mark.parametrize(("first", "last"), [(20, 76), (4, 72)])
def test_a_sample_wider_than_the_detector(first, last):
    data, theta = noisy(50.3, np.arange(360) * 0.5, dose=1e5)
    part = np.ascontiguousarray(data[:, :, first:last])
    fold = FindCenter()
    found = fold.result(fold_all(fold, scan_of(part), chunks_of(part, theta)))
    assert abs(found["center"] - (50.3 - first)) < 1.0  # so few pixels of it are left


def test_angles_that_start_over_at_360():
    data, theta = noisy(50.3, 250.0 + np.arange(181))
    fold = FindCenter()
    found = fold.result(fold_all(fold, scan_of(data), chunks_of(data, theta % 360)))
    assert abs(found["center"] - 50.3) < 0.25


@pytest.mark.parametrize("method", ["auto", "correlation", "vo"])
def test_center_of_the_tooth(tooth, method):
    attenuation, theta = read_tooth(tooth)
    fold = FindCenter(method=method)
    found = fold.result(fold_all(fold, scan_of(attenuation), chunks_of(attenuation, theta)))
    assert abs(found["center"] - 296.0) <= 0.5


def test_no_answer_before_half_a_turn():
    data, theta = noisy(50.3, np.arange(180.0))
    fold = FindCenter()
    scan = scan_of(data)
    state = fold_all(fold, scan, chunks_of(data, theta, keep=range(120)))
    assert not fold.ready(state)
    assert np.isnan(fold.result(state)["center"])
    assert fold.result(state)["confidence"] == 0
    assert 0.5 < fold.coverage(state) < 0.8
    fold_all(fold, scan, chunks_of(data, theta, keep=range(120, 180)), state)
    assert fold.ready(state)
    assert abs(fold.result(state)["center"] - 50.3) < 0.25
    assert not fold.ready(fold.empty(scan))


def test_order_does_not_matter_and_memory_is_bounded():
    data, theta = noisy(50.3, np.arange(1080) * 0.5, size=48, rows=6)
    fold = FindCenter(projections=180)
    scan = scan_of(data)
    state = fold_all(fold, scan, chunks_of(data, theta))
    order = np.random.default_rng(1).permutation(1080)
    shuffled = fold_all(fold, scan, chunks_of(data, theta, keep=order, size=7))
    for name, value in fold.result(state).items():
        assert fold.result(shuffled)[name] == value
    assert state.rows.shape == (180, 5, 48)


def test_a_new_epoch_starts_over():
    data, theta = noisy(50.3, np.arange(180.0))
    moved, _ = noisy(45.0, np.arange(180.0))
    fold = FindCenter()
    scan = scan_of(data)
    state = fold_all(fold, scan, chunks_of(data, theta))
    fold_all(fold, scan, chunks_of(moved, theta, epoch=1, keep=range(30)), state)
    assert not fold.ready(state)
    fold_all(fold, scan, chunks_of(moved, theta, epoch=1, keep=range(30, 180)), state)
    assert abs(fold.result(state)["center"] - 45.0) < 0.25


def test_merge_save_and_load():
    data, theta = noisy(50.3, np.arange(180.0))
    fold = FindCenter()
    scan = scan_of(data)
    whole = fold.result(fold_all(fold, scan, chunks_of(data, theta)))
    first = fold_all(fold, scan, chunks_of(data, theta, keep=range(77)))
    second = fold_all(fold, scan, chunks_of(data, theta, keep=range(77, 180)))
    assert fold.result(fold.merge(first, second)) == whole
    resumed = fold_all(fold, scan, chunks_of(data, theta, keep=range(77, 180)), fold.load(fold.save(first), scan))
    assert fold.result(resumed) == whole


def test_pixels_that_are_no_numbers_do_no_harm():
    data, theta = noisy(50.3, np.arange(180.0))
    data[17, :, 40], data[20, 3] = np.nan, np.inf
    fold = FindCenter()
    assert abs(fold.result(fold_all(fold, scan_of(data), chunks_of(data, theta)))["center"] - 50.3) < 0.25


def test_what_may_change_while_it_runs():
    data, theta = noisy(50.3, np.arange(180.0))
    old = FindCenter()
    state = fold_all(old, scan_of(data), chunks_of(data, theta))
    new = FindCenter(method="vo")
    assert abs(new.result(new.adapt(state, old))["center"] - 50.3) < 0.25
    with pytest.raises(ChangeRefused, match="rows"):
        FindCenter(rows=(3,)).adapt(state, old)


def test_mistakes_are_named():
    data, _ = noisy(50.3, np.arange(180.0))
    with pytest.raises(AxesError, match="rows"):
        FindCenter(rows=(24,)).empty(scan_of(data))
    fold = FindCenter()
    with pytest.raises(FirstlightError, match="angle"):
        fold_all(fold, scan_of(data), chunks_of(data))


def short_scan(data, theta):
    """A scan whose angles are known before it is played."""
    return replace(scan_of(data), coords={"angle": theta})


@pytest.mark.parametrize("span", [170.0, 150.0, 120.0])
def test_a_scan_over_less_than_half_a_turn(span):
    data, theta = noisy(50.3, np.arange(0, span, 1.0))
    fold = FindCenter()
    scan = short_scan(data, theta)
    state = fold_all(fold, scan, chunks_of(data, theta, keep=range(50)))
    assert not fold.ready(state)
    fold_all(fold, scan, chunks_of(data, theta, keep=range(50, len(data))), state)
    assert fold.ready(state)
    assert abs(fold.result(state)["center"] - 50.3) < 0.25
    assert fold.result(state)["confidence"] > 0.5
    assert fold.remarks(state) == ()


def test_a_short_scan_of_a_sample_wider_than_the_frame_says_why_there_is_no_axis():
    data, theta = noisy(50.3, np.arange(150.0))
    part = np.ascontiguousarray(data[:, :, 25:70])
    fold = FindCenter()
    state = fold_all(fold, short_scan(part, theta), chunks_of(part, theta))
    assert not fold.ready(state)
    (told,) = fold.remarks(state)
    assert "only 150°" in told
    assert "beyond the frame" in told


def test_a_method_that_needs_half_a_turn_names_one_that_does_not():
    data, theta = noisy(50.3, np.arange(150.0))
    fold = FindCenter(method="vo")
    state = fold_all(fold, short_scan(data, theta), chunks_of(data, theta))
    assert not fold.ready(state)
    assert "center_of_mass" in fold.remarks(state)[0]


def test_a_doubtful_axis_is_told():
    noise = np.random.default_rng(0).normal(0, 0.1, (180, 24, 96)).astype(np.float32)
    theta = np.arange(180.0)
    fold = FindCenter()
    state = fold_all(fold, scan_of(noise), chunks_of(noise, theta))
    assert "doubtful" in fold.remarks(state)[0]

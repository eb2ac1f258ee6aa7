"""Kernels against stripes, beside what algotom and PyWavelets gave for the same sinogram (data/make_stripes.py)."""

from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.kernels.columns import fill_gaps, interpolate_columns, sorted_columns, unsorted_columns
from firstlight.kernels.running_median import running_median
from firstlight.kernels.stripe_filters import (
    remove_by_fitting,
    remove_by_fourier,
    remove_by_smoothing,
    remove_by_smoothness,
    remove_by_wavelets,
)
from firstlight.kernels.stripes import (
    detect_stripes,
    remove_by_filtering,
    remove_by_interpolation,
    remove_by_sorting,
    remove_dead,
    remove_large,
)
from firstlight.kernels.wavelets import coarser, daubechies, finer, largest_level

EXPECTED = dict(np.load(Path(__file__).parent / "data" / "stripes.npz"))
SINOGRAM = EXPECTED["sinogram"]
ALIVE = np.zeros(SINOGRAM.shape[1], bool)


def everything(sinogram, large=15, small=7):
    alive = remove_dead(sinogram, large, 3.0, 10, ALIVE)
    return remove_by_sorting(remove_large(alive, large, 3.0, 0.1), small)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("small", lambda s: remove_by_sorting(s, 7)),
        ("large", lambda s: remove_large(s, 15, 3.0, 0.1)),
        ("large_plain", lambda s: remove_large(s, 15, 3.0, 0.1, normalize=False)),
        ("dead", lambda s: remove_dead(s, 15, 3.0, 10, ALIVE)),
        ("all", everything),
        ("all_wide", lambda s: everything(s, 35, 13)),
        ("interpolation", lambda s: remove_by_interpolation(s, 15, 3.0, 0.1)),
        ("fourier", lambda s: np.abs(remove_by_fourier(s, 6, 4, 1))),  # algotom takes the modulus
        ("smoothing", lambda s: remove_by_smoothing(s, 4, 2)),
        ("filtering", lambda s: remove_by_filtering(s, 2.0, 7)),
        ("wavelet", lambda s: remove_by_wavelets(s, 5, 1.5, 3)),
        ("wavelet_haar", lambda s: remove_by_wavelets(s, 1, 0.7, 1)),
    ],
)
def test_the_same_as_the_peer(name, method):
    before = SINOGRAM.copy()
    found = method(SINOGRAM)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, EXPECTED[name], atol=3e-6)
    np.testing.assert_array_equal(before, SINOGRAM)
    assert np.abs(found - SINOGRAM).max() > 0.02


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 300), st.sampled_from([1, 3, 7, 21]), st.integers(0, 2**31))
def test_running_median_is_the_median_of_the_mirrored_window(places, columns, size, seed):
    values = np.random.default_rng(seed).normal(size=(places, columns)).astype(np.float32)
    values[::3] = np.round(values[::3])
    padded = np.pad(values, ((size // 2, size // 2), (0, 0)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=0)
    np.testing.assert_array_equal(running_median(values, size), np.median(windows, axis=-1))


def test_running_median_refuses_what_it_can_not_do():
    with pytest.raises(ValueError, match="size is 4"):
        running_median(np.zeros((3, 3), np.float32), 4)
    with pytest.raises(ValueError, match="float64"):
        running_median(np.zeros((3, 3)), 3)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 40), st.integers(0, 2**31))
def test_columns_are_sorted_and_put_back(angles, columns, seed):
    rng = np.random.default_rng(seed)
    sinogram = (rng.normal(size=(angles, columns)) * 10.0 ** rng.integers(-30, 30)).astype(np.float32)
    values, keys = sorted_columns(sinogram)
    np.testing.assert_array_equal(values, np.sort(sinogram, axis=0).T)
    np.testing.assert_array_equal(unsorted_columns(values, keys), sinogram)


def test_gaps_are_filled_from_before_and_columns_from_their_neighbours():
    sinogram = np.array([[np.nan, 1, 3, np.nan, 5], [2, np.inf, 4, np.nan, 7], [np.nan, 3, 5, np.nan, 9]], np.float32)
    filled, gaps = fill_gaps(sinogram)
    np.testing.assert_array_equal(filled, [[2, 1, 3, 4, 5], [2, 1, 4, 5.5, 7], [2, 3, 5, 7, 9]])
    np.testing.assert_array_equal(gaps, ~np.isfinite(sinogram))
    same, none = fill_gaps(SINOGRAM)
    assert same is SINOGRAM
    assert none is None
    assert not fill_gaps(np.full((3, 4), np.nan, np.float32))[0].any()


def test_columns_at_the_rim_take_the_nearest_good_one():
    sinogram = np.array([[9, 2, 9, 4, 9, 9]], np.float32)
    interpolate_columns(sinogram, sinogram[0] == 9)
    np.testing.assert_array_equal(sinogram, [[2, 2, 3, 4, 4, 4]])


def test_detection_finds_both_signs_and_nothing_in_noise():
    rng = np.random.default_rng(3)
    profile = 1 + rng.normal(0, 0.01, 400)
    assert not detect_stripes(profile, 3.0).any()
    profile[[50, 300]] = 1.3, 0.6
    assert np.flatnonzero(detect_stripes(profile, 3.0)).tolist() == [50, 300]
    assert not detect_stripes(np.ones(3), 3.0).any()
    assert not detect_stripes(np.zeros(100), 3.0).any()


@pytest.mark.parametrize("order", [1, 2])
def test_titarenko_solves_its_equation(order):
    columns, alpha = SINOGRAM.shape[1], 0.01
    differences = np.diff(np.eye(columns), order, axis=0)
    profile = SINOGRAM.mean(axis=0, dtype=np.float64)
    squared = differences.T @ differences
    change = np.linalg.solve(squared + alpha * np.eye(columns), -squared @ profile)
    np.testing.assert_allclose(remove_by_smoothness(SINOGRAM, alpha, 1, order), SINOGRAM + change, atol=1e-6)


def test_fitting_is_polyfit_and_a_gaussian():
    angles = np.arange(len(SINOGRAM))
    fitted = np.polyfit(angles, SINOGRAM.astype(float), 2)
    usual = scipy.ndimage.gaussian_filter1d(fitted, 3.0, axis=1)
    powers = np.vander(angles, 3)
    wanted = SINOGRAM * (powers @ usual) / (powers @ fitted)
    np.testing.assert_allclose(remove_by_fitting(SINOGRAM, 2, 3.0), wanted, atol=2e-5)


@pytest.mark.parametrize("moments", [1, 2, 5, 9, 20])
def test_wavelets_are_orthonormal_and_have_vanishing_moments(moments):
    low, high = (each.astype(float) for each in daubechies(moments))
    for shift in range(moments):
        np.testing.assert_allclose(low[2 * shift :] @ low[: low.size - 2 * shift], shift == 0, atol=1e-6)
        np.testing.assert_allclose(low[2 * shift :] @ high[: low.size - 2 * shift], 0, atol=1e-6)
    for power in range(min(moments, 5)):
        place = np.arange(high.size) / high.size
        assert abs(high @ place**power) < 1e-5


def test_daubechies_four_taps_are_the_closed_form():
    root = np.sqrt(3)
    np.testing.assert_allclose(
        daubechies(2)[0], np.array([1 + root, 3 + root, 3 - root, 1 - root]) / np.sqrt(32), atol=1e-7
    )
    with pytest.raises(ValueError, match="moments is 21"):
        daubechies(21)


@pytest.mark.parametrize("shape", [(40, 64), (41, 63), (20, 33)])
def test_what_a_wavelet_splits_it_joins(shape):
    """A plane that is constant along the angles has no other parts than the two that are kept."""
    plane = np.broadcast_to(np.random.default_rng(2).normal(size=shape[1]), shape).astype(np.float32)
    part, detail = coarser(plane, 4)
    assert part.shape == ((shape[0] + 7) // 2, (shape[1] + 7) // 2)
    np.testing.assert_allclose(finer(part, detail, 4, shape), plane, atol=2e-6)


def test_levels_leave_sixteen_values():
    assert [largest_level(n, 4096) for n in (0, 15, 16, 31, 32, 100)] == [0, 0, 0, 0, 1, 2]

"""Medians against numpy's and scipy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import median_filter

from firstlight.kernels.median import hot_pixels, remove_outliers, replace_pixels
from firstlight.kernels.ranks import median_image

# each type that is read as it is costs the compiler seconds: those of most cameras, and those that are converted
DTYPES = ["u2", "f4", ">u2", "f2"]
OTHER = ["u1", "i2", "u4", "f8"]


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 70)),
    dtype=st.sampled_from(DTYPES),
    spread=st.sampled_from([2, 100]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_median_of_a_stack_is_numpys(shape, dtype, spread, seed):
    check_median_of_a_stack(shape, dtype, spread, seed)


def check_median_of_a_stack(shape, dtype, spread, seed):
    frames = np.random.default_rng(seed).integers(0, spread, shape).astype(dtype)
    result = median_image(frames)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, np.median(frames.astype(float), axis=0))


def test_median_of_a_stack_leaves_nan_out():
    frames = np.random.default_rng(0).random((6, 3, 5))
    frames[2, 1, 1] = frames[4, 1, 1] = np.nan
    frames[:, 0, 0] = np.nan
    expected = np.full((3, 5), np.nan)
    known = ~np.isnan(frames).all(axis=0)
    expected[known] = np.nanmedian(frames[:, known], axis=0)
    np.testing.assert_allclose(median_image(frames), expected, rtol=1e-7)


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 30)),
    dtype=st.sampled_from(DTYPES),
    size=st.sampled_from([3, 5, 7]),
    threshold=st.sampled_from([0, 1, 10, 50.5]),
    kind=st.sampled_from(["bright", "dark", "both"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_outliers_are_those_of_a_median_filter(shape, dtype, size, threshold, kind, seed):
    check_outliers(shape, dtype, size, threshold, kind, seed)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", OTHER)
def test_medians_of_the_other_types_are_exact(dtype):
    for seed in range(5):
        check_median_of_a_stack((9, 5, 70), dtype, 100, seed)
        for size, kind in ((3, "bright"), (5, "dark"), (7, "both")):
            check_outliers((3, 12, 30), dtype, size, 10, kind, seed)


def check_outliers(shape, dtype, size, threshold, kind, seed):
    frames = np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)
    result = remove_outliers(frames, threshold=threshold, size=size, kind=kind)
    native = frames.astype(float)
    medians = np.stack([median_filter(f, size, mode="nearest") for f in native])
    difference = native - medians
    odd = np.abs(difference) > threshold
    if kind != "both":
        odd &= difference > 0 if kind == "bright" else difference < 0
    np.testing.assert_array_equal(result, np.where(odd, medians, native))


def test_blocks_with_a_halo_equal_the_whole_frame():
    frame = np.random.default_rng(3).integers(0, 1000, (40, 33)).astype(np.uint16)
    whole = remove_outliers(frame, threshold=200, size=5)
    part = remove_outliers(frame[8:24], threshold=200, size=5)
    np.testing.assert_array_equal(part[2:-2], whole[10:22])


def test_zingers_go_and_the_picture_stays():
    rng = np.random.default_rng(4)
    clean = (1000 + 200 * np.sin(np.arange(64) / 9) + np.zeros((2, 64, 1))).astype(np.float32)
    dirty = clean.copy()
    places = rng.random(clean.shape) < 0.01
    dirty[places] = 60000
    dirty[0, 5, 5] = np.nan
    result = remove_outliers(dirty, threshold=500)
    assert np.abs(result - clean).max() < 50
    np.testing.assert_array_equal(result[~places & ~np.isnan(dirty)], dirty[~places & ~np.isnan(dirty)])


def test_hot_and_dead_pixels_are_found_and_no_others():
    rng = np.random.default_rng(5)
    image = rng.normal(500, 5, (60, 80)) + np.linspace(0, 300, 80)
    image[10, 20], image[30, 40], image[50, 60], image[0, 0] = 5000, 0, np.nan, np.inf
    mask = hot_pixels(image, sigmas=8)
    assert sorted(map(tuple, np.argwhere(mask).tolist())) == [(0, 0), (10, 20), (30, 40), (50, 60)]
    flat = np.full((9, 9), 7)
    assert not hot_pixels(flat).any()
    flat[4, 4] = 8
    assert hot_pixels(flat).sum() == 1
    assert hot_pixels(np.full((3, 3), np.nan)).all()


@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_bad_pixels_take_the_median_of_good_neighbours(dtype):
    frames = np.arange(2 * 8 * 9).reshape(2, 8, 9).astype(dtype)
    mask = np.zeros((8, 9), bool)
    mask[3, 4] = True
    mask[5:8, 6:9] = True
    dirty = frames.copy()
    dirty[:, mask] = 9999
    result = replace_pixels(dirty, mask)
    np.testing.assert_array_equal(result[:, 3, 4], frames[:, 3, 4])
    np.testing.assert_array_equal(result[:, ~mask], frames[:, ~mask])
    assert result.max() < 2 * 8 * 9
    assert replace_pixels(dirty, mask, out=dirty) is dirty
    np.testing.assert_array_equal(dirty, result)
    np.testing.assert_array_equal(replace_pixels(frames[0], np.ones((8, 9), bool)), frames[0])


def test_what_does_not_fit_is_refused():
    frame = np.zeros((4, 5), np.float32)
    with pytest.raises(ValueError, match="size is 4"):
        remove_outliers(frame, threshold=1, size=4)
    with pytest.raises(ValueError, match="threshold is -1"):
        remove_outliers(frame, threshold=-1)
    with pytest.raises(ValueError, match="kind is 'odd'"):
        remove_outliers(frame, threshold=1, kind="odd")
    with pytest.raises(ValueError, match="shares memory"):
        remove_outliers(frame, threshold=1, out=frame)
    with pytest.raises(ValueError, match="out is"):
        remove_outliers(frame, threshold=1, out=np.zeros((4, 4), np.float32))
    with pytest.raises(ValueError, match="at least one frame"):
        median_image(np.zeros((0, 4, 5)))
    with pytest.raises(ValueError, match="mask"):
        replace_pixels(frame, np.zeros((4, 4), bool))
    with pytest.raises(ValueError, match="sigmas"):
        hot_pixels(frame, sigmas=0)
    with pytest.raises(ValueError, match="complex"):
        median_image(np.zeros((1, 2, 2), complex))

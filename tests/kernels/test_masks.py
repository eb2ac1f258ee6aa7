"""Sums under masks and over frames against numpy's own, in wide numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.kernels.masks import add_frames, annulus, disk, sum_dtype, sum_under_masks

# each type that is read as it is costs the compiler seconds: one of every kind of sum (32 bits, 64 bits, double precision),
# and those that are converted; the others are slow
DTYPES = ["u1", "u2", "i4", "f4", "?", ">u2", "f2"]
OTHER = ["i1", "i2", "u4", "u8", "i8", "f8"]


def frames_of(dtype, shape, seed):
    rng = np.random.default_rng(seed)
    low = -100 if np.dtype(dtype).kind == "i" else 0
    return rng.integers(low, 120, shape).astype(dtype)


@given(
    shape=st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 40)),
    masks=st.integers(0, 3),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_sums_under_masks_are_exact(shape, masks, dtype, seed):
    check_sums_under_masks(shape, masks, dtype, seed)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", OTHER)
def test_sums_of_the_other_types_are_exact(dtype):
    for seed in range(5):
        check_sums_under_masks((4, 9, 40), 3, dtype, seed)
        check_running_sum((5, 6, 30), dtype, seed)


def check_sums_under_masks(shape, masks, dtype, seed):
    frames = frames_of(dtype, shape, seed)
    chosen = np.random.default_rng(seed + 1).random((masks, *shape[1:])) < 0.3
    result = sum_under_masks(frames, chosen)
    assert result.dtype == sum_dtype(dtype)
    np.testing.assert_array_equal(result, np.einsum("nij,mij->nm", frames.astype(float), chosen.astype(float)))
    weighted = sum_under_masks(frames, chosen * 0.5)
    np.testing.assert_allclose(weighted, result * 0.5, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["u2", *(pytest.param(each, marks=pytest.mark.slow) for each in ("i2", "u4", "u8"))])
def test_full_scale_pixels_do_not_overflow(dtype):
    largest = np.iinfo(dtype).max
    width = 70_000 if dtype in ("u2", "i2") else 64
    frames = np.full((1, 1, width), largest, dtype)
    if dtype == "u8":
        frames[0, 0, 1:] = 0
    assert int(sum_under_masks(frames, np.ones((1, 1, width), bool))[0, 0]) == int(frames.astype(object).sum())
    smallest = np.iinfo(dtype).min
    assert int(sum_under_masks(np.full_like(frames, smallest), np.ones((1, 1, width), bool))[0, 0]) == smallest * width


def test_nan_outside_the_mask_does_not_matter():
    frames = np.ones((1, 3, 5), np.float32)
    frames[0, 1, 2] = np.nan
    mask = np.ones((2, 3, 5), bool)
    mask[0, 1, 2] = False
    result = sum_under_masks(frames, mask)
    assert result[0, 0] == 14
    assert np.isnan(result[0, 1])


@given(
    shape=st.tuples(st.integers(0, 5), st.integers(1, 6), st.integers(1, 30)),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_running_sum_does_not_depend_on_the_split(shape, dtype, seed):
    check_running_sum(shape, dtype, seed)


def check_running_sum(shape, dtype, seed):
    frames = frames_of(dtype, shape, seed)
    whole, split = np.zeros(shape[1:], sum_dtype(dtype)), np.zeros(shape[1:], sum_dtype(dtype))
    add_frames(whole, frames)
    add_frames(split, frames[2:])
    add_frames(split, frames[:2])
    np.testing.assert_array_equal(whole, split)
    np.testing.assert_array_equal(whole, frames.astype(sum_dtype(dtype)).sum(axis=0))


def test_many_full_scale_frames_do_not_overflow():
    frames = np.broadcast_to(np.array([65535, 1], np.uint16), (70_000, 1, 2))
    total = np.zeros((1, 2), np.uint64)
    add_frames(total, frames)
    assert total.tolist() == [[65535 * 70_000, 70_000]]


def test_disk_and_annulus_have_the_area_of_their_circles():
    shape, center = (201, 301), (100.0, 150.25)
    inner, ring = disk(shape, center, 40), annulus(shape, center, 40.0001, 80)
    assert inner.sum() == pytest.approx(np.pi * 40**2, rel=0.01)
    assert ring.sum() == pytest.approx(np.pi * (80**2 - 40**2), rel=0.01)
    assert not (inner & ring).any()
    rows, cols = np.nonzero(inner)
    assert rows.mean() == pytest.approx(100, abs=0.05)
    assert cols.mean() == pytest.approx(150.25, abs=0.3)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="inner = 5"):
        annulus((4, 4), (1, 1), 5, 2)
    with pytest.raises(ValueError, match="radii"):
        disk((4, 4), (1, 1), float("nan"))
    with pytest.raises(ValueError, match="masks"):
        sum_under_masks(np.zeros((1, 4, 4)), np.ones((1, 4, 5), bool))
    with pytest.raises(ValueError, match="complex"):
        sum_under_masks(np.zeros((1, 4, 4), complex), np.ones((1, 4, 4), bool))
    with pytest.raises(ValueError, match="total is float64"):
        add_frames(np.zeros((4, 4)), np.zeros((1, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="frames has shape"):
        add_frames(np.zeros((4, 5), np.uint64), np.zeros((1, 4, 4), np.uint8))

"""Flat-field correction against its equation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.kernels.flat_field import count_unlit_pixels, minus_log, transmission


def scene(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    dark = rng.uniform(1, 5, shape[1:]).astype(np.float32)
    flat = rng.uniform(60, 100, shape[1:]).astype(np.float32)
    return rng.integers(10, 100, shape).astype(dtype), dark, flat


@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 50)),
    dtype=st.sampled_from(["u1", "u2", "u4", "i2", "i4", "f4", "f8"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_transmission_and_attenuation_follow_their_equations(shape, dtype, seed):
    frames, dark, flat = scene(shape, dtype, seed)
    expected = (frames.astype(float) - dark) / (flat - dark)
    np.testing.assert_allclose(transmission(frames, dark, flat), expected, rtol=1e-5)
    np.testing.assert_allclose(transmission(frames, dark, flat, log_floor=1e-6), -np.log(expected), atol=2e-6)
    np.testing.assert_allclose(minus_log(transmission(frames, dark, flat)), -np.log(expected), atol=2e-6)


def test_fields_drift_linearly_and_are_clamped_at_the_ends():
    frames, dark, flat = scene((5, 3, 20), "u2", 1)
    dark_next, flat_next = dark + 3, flat * 1.5
    weights = np.array([-0.5, 0.0, 0.25, 1.0, 7.0])
    result = transmission(
        frames, dark, flat, dark_next=dark_next, flat_next=flat_next, dark_weight=weights, flat_weight=weights
    )
    w = np.clip(weights, 0, 1)[:, None, None]
    dark_now, flat_now = dark + w * (dark_next - dark), flat + w * (flat_next - flat)
    np.testing.assert_allclose(result, (frames - dark_now) / (flat_now - dark_now), rtol=1e-5)
    np.testing.assert_allclose(result[4], transmission(frames[4:], dark_next, flat_next)[0], rtol=1e-5)


def test_one_field_may_drift_alone():
    frames, dark, flat = scene((2, 3, 4), "u2", 2)
    result = transmission(frames, dark, flat, flat_next=2 * flat, flat_weight=0.5)
    np.testing.assert_allclose(result, (frames - dark) / (1.5 * flat - dark), rtol=1e-5)


@pytest.mark.parametrize("log_floor", [None, 1e-6])
def test_pixels_without_light_are_one_never_infinite_and_counted(log_floor):
    frames = np.full((2, 2, 3), 50, np.uint16)
    dark = np.array([[10, 10, np.nan], [10, 10, 10]], np.float32)
    flat = np.array([[10, 5, 100], [np.nan, 110, 20]], np.float32)
    result = transmission(frames, dark, flat, log_floor=log_floor)
    value = 1.0 if log_floor is None else 0.0
    np.testing.assert_array_equal(result[0, [0, 0, 0, 1], [0, 1, 2, 0]], [value] * 4)
    assert np.isfinite(result).all()
    assert count_unlit_pixels(dark, flat) == 4
    expected = np.array([0.4, 4.0])
    np.testing.assert_allclose(result[0, 1, 1:], expected if log_floor is None else -np.log(expected), rtol=1e-5)


def test_log_floor_bounds_attenuation_and_nan_stays():
    values = np.array([0.0, -3.0, 1e-9, 0.5, np.nan, np.inf], np.float32)
    result = minus_log(values, floor=1e-4)
    np.testing.assert_allclose(result[:4], [-np.log(1e-4)] * 3 + [np.log(2)], rtol=1e-6)
    assert np.isnan(result[4])
    assert result[5] == -np.inf


def test_memory_of_the_caller_is_filled():
    frames, dark, flat = scene((2, 3, 4), "u2", 3)
    out = np.empty(frames.shape, np.float32)
    assert transmission(frames, dark, flat, log_floor=1e-6, out=out) is out
    np.testing.assert_array_equal(out, transmission(frames, dark, flat, log_floor=1e-6))


@pytest.mark.parametrize("floor", [0.0, -1.0, float("nan")])
def test_a_floor_without_meaning_is_refused(floor):
    with pytest.raises(ValueError, match="floor"):
        minus_log(np.ones(3), floor=floor)
    with pytest.raises(ValueError, match="floor"):
        transmission(np.ones((1, 1, 1)), [[0]], [[1]], log_floor=floor)


def test_a_flat_of_another_size_is_refused():
    with pytest.raises(ValueError, match="images have shapes"):
        transmission(np.ones((1, 2, 2)), np.zeros((2, 2)), np.ones((2, 3)))

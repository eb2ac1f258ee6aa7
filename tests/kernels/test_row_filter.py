"""The transposed ramp filter against convolution with the ramp's own samples."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.kernels.ramp import RampFilter
from firstlight.kernels.row_filter import TransposedRamp, _fast_length


def convolved(projection):
    """Linear convolution with h[0] = 1/4, h[odd] = -1/(pi n)^2 (Kak and Slaney, eq. 3.61)."""
    columns = projection.shape[-1]
    n = np.arange(-columns + 1, columns)
    kernel = np.where(n % 2 == 1, -1 / (np.pi * np.where(n == 0, 1, n)) ** 2, 0.0)
    kernel[columns - 1] = 0.25
    return np.stack([np.convolve(row, kernel)[columns - 1 : 2 * columns - 1] for row in projection.astype(float)])


@given(rows=st.integers(1, 70), columns=st.integers(1, 200), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_rows_are_convolved_with_the_ramp(rows, columns, seed):
    projection = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    out = np.full((columns, rows), np.nan, np.float32)
    assert TransposedRamp(columns)(projection, out) is out
    np.testing.assert_allclose(out, convolved(projection).T, atol=2e-6)


@pytest.mark.parametrize("columns", [511, 512, 513, 640, 768, 1024, 1280, 1500, 2048, 2560])
def test_long_rows_keep_their_precision(columns):
    projection = np.random.default_rng(0).standard_normal((3, columns)).astype(np.float32)
    out = np.empty((columns, 3), np.float32)
    TransposedRamp(columns)(projection, out)
    np.testing.assert_allclose(out, convolved(projection).T, atol=2e-6)


def test_transforms_are_not_much_longer_than_twice_a_row():
    for columns in range(4, 3000):
        length = TransposedRamp(columns).length if columns in (4, 100, 2560) else _fast_length(2 * columns)[0]
        assert 2 * columns <= length < 2 * columns * 1.34
    assert TransposedRamp(2560).length == 5120


def test_threads_may_share_a_filter():
    projections = np.random.default_rng(3).random((8, 40, 100)).astype(np.float32)
    ramp, out = TransposedRamp(100), np.empty((8, 100, 40), np.float32)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ramp, projections, out))
    np.testing.assert_array_equal(out, ramp(projections, np.empty_like(out)))


@pytest.mark.parametrize("window", ["shepp-logan", "hann", "butterworth"])
def test_windows_equal_the_plain_filter(window):
    projection = np.random.default_rng(1).random((40, 256)).astype(np.float32)
    out = np.empty((256, 40), np.float32)
    TransposedRamp(256, window, cutoff=0.8)(projection, out)
    np.testing.assert_allclose(out, RampFilter(256, window, cutoff=0.8)(projection).T, atol=1e-6)


def test_a_stack_is_filtered_into_a_cache_of_half_precision():
    stack = np.random.default_rng(2).random((3, 37, 64)).astype(np.float32)
    cache = np.zeros((5, 64, 37), np.float16)
    whole = np.empty((3, 64, 37), np.float32)
    ramp = TransposedRamp(64)
    ramp(stack, whole)
    ramp(stack, cache[1:4])
    np.testing.assert_array_equal(cache[1:4], whole.astype(np.float16))
    assert not cache[[0, 4]].any()


def test_what_does_not_fit_is_refused():
    ramp = TransposedRamp(8)
    with pytest.raises(ValueError, match="columns is 0"):
        TransposedRamp(0)
    with pytest.raises(ValueError, match="window"):
        TransposedRamp(8, "triangle")
    with pytest.raises(ValueError, match="projections are"):
        ramp(np.zeros((3, 9), np.float32), np.zeros((9, 3), np.float32))
    with pytest.raises(ValueError, match="projections are float64"):
        ramp(np.zeros((3, 8)), np.zeros((8, 3), np.float32))
    with pytest.raises(ValueError, match="out is"):
        ramp(np.zeros((3, 8), np.float32), np.zeros((3, 8), np.float32))

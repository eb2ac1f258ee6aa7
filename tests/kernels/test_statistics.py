"""Statistics and faults of frames, against numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from firstlight.kernels.statistics import Moments, faults, moments


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64", "float16", "bool", "complex64"])
def test_moments_are_those_of_numpy(dtype):
    rng = np.random.default_rng(1)
    values = (rng.normal(1000, 3, (5, 7, 11))).astype(dtype)
    found = moments(values)
    plain = np.abs(values) if dtype == "complex64" else values.astype(np.float64)
    assert found.count == plain.size
    assert (found.low, found.high) == (pytest.approx(plain.min()), pytest.approx(plain.max()))
    assert found.mean == pytest.approx(plain.mean(), rel=1e-9)
    assert found.std == pytest.approx(plain.std(), rel=1e-5, abs=1e-9)


@settings(deadline=None)  # the first call compiles
@given(
    hnp.arrays(
        np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf])
    ),
    st.integers(0, 60),
)
def test_parts_make_the_whole_and_what_is_not_finite_is_only_counted(values, cut):
    found = moments(values[:cut]) + moments(values[cut:])
    finite = values[np.isfinite(values)]
    assert (found.nan, found.infinite) == (np.isnan(values).sum(), np.isinf(values).sum())
    assert found.count == len(finite)
    if len(finite):
        assert found.mean == pytest.approx(finite.mean(), abs=1e-6)
        assert found.std == pytest.approx(finite.std(), abs=1e-3)
    else:
        assert found == Moments(nan=found.nan, infinite=found.infinite)
        assert found.as_dict()["mean"] is None


def frames(dtype="float32"):
    return np.random.default_rng(2).integers(1, 100, (6, 8, 9)).astype(dtype)


def test_faults_of_floats():
    data = frames()
    assert faults(data, raw=True) == {}
    data[1, 3, 3] = np.nan
    data[2, 0, 0] = -np.inf
    data[3] = 0
    assert faults(data, raw=False) == {"nan": [1], "infinite": [2], "zero": [3]}
    large = np.full((2, 4, 4), 3e38, np.float32)
    assert faults(large, raw=False) == {}
    assert faults(np.array([[[1.0, -1.0]]], np.float32), raw=False) == {}


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_frame_of_one_number_may_be_zero(dtype):
    assert faults(np.zeros((3, 1), dtype), raw=True) == {}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_faults_of_counts(dtype):
    data = frames(dtype)
    data[0] = 0
    data[4, :3] = np.iinfo(dtype).max
    data[5, 0, 0] = np.iinfo(dtype).max
    assert faults(data, raw=True, saturated=0.1) == {"zero": [0], "saturated": [4]}
    assert faults(data, raw=False) == {"zero": [0]}
    assert faults(data[:0], raw=True) == {}

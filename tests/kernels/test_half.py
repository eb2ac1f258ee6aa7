"""Half precision as numpy rounds it, but for numbers beyond its range."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from firstlight.kernels.half import LARGEST, to_half


@given(nps.arrays(np.float32, nps.array_shapes(max_dims=3, max_side=9), elements=st.floats(width=32, allow_nan=False)))
def test_rounds_to_the_nearest_and_clips(values: np.ndarray) -> None:
    expected = np.clip(values, -LARGEST, LARGEST).astype(np.float16)
    np.testing.assert_array_equal(to_half(values), expected)


def test_nan_stays_and_a_buffer_is_filled() -> None:
    values = np.array([[np.nan, 1e9], [-np.inf, 0.1]], np.float32)
    out = np.empty((2, 2), np.float16)
    assert to_half(values, out) is out
    np.testing.assert_array_equal(out, np.array([[np.nan, 65504], [-65504, np.float16(0.1)]], np.float16))


def test_a_wrong_buffer_is_refused() -> None:
    with pytest.raises(ValueError, match="float16"):
        to_half(np.zeros(3, np.float32), np.zeros(4, np.float16))

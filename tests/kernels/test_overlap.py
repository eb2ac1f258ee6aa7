import numpy as np
import pytest

from firstlight.kernels.overlap import find_half_acquisition, find_shift, half_turn_angles, opposite_halves
from firstlight.kernels.straight import straight_line

RNG = np.random.default_rng(0)
WIDE = np.cumsum(RNG.standard_normal((30, 400)), axis=1)


@pytest.mark.parametrize("shift", [-85, -40, 0, 7, 88])
def test_a_shift_of_whole_pixels_is_found_from_either_side(shift):
    begin = 150
    first, second = WIDE[:, begin : begin + 100], WIDE[:, begin + shift : begin + shift + 100]
    found = find_shift(first, second, least=8)
    assert abs(found.value - shift) < 0.02
    assert found.confidence > 0.9


def test_noise_alone_earns_little_confidence():
    found = find_shift(RNG.standard_normal((30, 100)), RNG.standard_normal((30, 100)), least=8)
    assert found.confidence < 0.5


def test_a_range_is_kept_to():
    first, second = WIDE[:, 100:200], WIDE[:, 150:250]
    assert find_shift(first, second, least=8, low=-20, high=20).value <= 21
    with pytest.raises(ValueError, match="no shift"):
        find_shift(first, second, least=8, low=500)
    with pytest.raises(ValueError, match="as many lines"):
        find_shift(first, second[:5], least=8)


def test_halves_of_a_turn_pair_up_whatever_the_order():
    angles = np.arange(72) * 5.0
    data = angles[:, None] * np.ones((1, 3))
    order = RNG.permutation(72)
    ahead, behind = opposite_halves(data[order], angles[order])
    np.testing.assert_allclose(half_turn_angles(angles[order]), angles[:36])
    np.testing.assert_allclose(behind - ahead, 180.0)


def test_an_odd_number_of_projections_is_interpolated():
    angles = np.arange(73) * 360.0 / 73
    ahead, behind = opposite_halves(angles[:, None], angles)
    assert ahead.shape == (36, 1)
    np.testing.assert_allclose(behind - ahead, 180.0, atol=1e-9)


def test_less_than_a_turn_is_refused():
    angles = np.arange(60) * 5.0
    with pytest.raises(ValueError, match="full turn"):
        find_half_acquisition(np.ones((60, 1, 40)), angles)


def test_a_line_through_points_of_which_a_third_is_wrong():
    place = np.arange(15.0)
    value = 40 + 0.07 * place + RNG.normal(0, 0.02, 15)
    value[[1, 4, 8, 12]] += [30, -12, 5, 9]
    offset, slope, trust = straight_line(place, value, np.full(15, 0.8))
    assert abs(offset - 40) < 0.06
    assert abs(slope - 0.07) < 0.006
    assert 0.4 < trust < 0.8


def test_lines_through_one_point_and_through_none():
    assert straight_line(np.array([3.0]), np.array([7.0]), np.array([0.5])) == (7.0, 0.0, 0.5)
    assert np.isnan(straight_line(np.arange(3.0), np.full(3, np.nan), np.ones(3))[0])

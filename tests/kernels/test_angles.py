"""Weights of arbitrary angle lists, and pairs half a turn apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.kernels.angles import angular_weights, opposite_pairs


@settings(max_examples=50, deadline=None)
@given(angles=st.lists(st.floats(-1000, 1000), min_size=60, max_size=80), seed=st.integers(0, 99))
def test_order_does_not_matter_and_nothing_is_negative(angles: list[float], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(angles))
    weights = angular_weights(angles)
    np.testing.assert_allclose(angular_weights(np.asarray(angles)[order]), weights[order], atol=1e-12)
    assert np.all(weights >= 0)
    assert weights.sum() <= np.pi + 1e-9


@pytest.mark.parametrize(
    "angles",
    [
        np.arange(180.0),
        np.linspace(0, 180, 181),
        np.arange(361.0),
        np.arange(0, 360, 0.7),
        np.arange(700) * 111.246117975 + 3,
        -np.arange(0, 180, 0.25),
        np.repeat(np.arange(0, 180, 2.0), 3),
        np.delete(np.arange(180.0), [5, 90, 91]),
    ],
)
def test_complete_scans_weigh_half_a_turn(angles: np.ndarray) -> None:
    assert angular_weights(angles).sum() == pytest.approx(np.pi)


def test_known_weights() -> None:
    degree = np.rad2deg(angular_weights(np.linspace(0, 180, 181)))
    assert degree[0] == degree[180] == pytest.approx(0.5)  # the same rays twice
    np.testing.assert_allclose(degree[1:180], 1.0)
    np.testing.assert_allclose(np.rad2deg(angular_weights([0.0, 30, 90])), [60, 45, 75])
    np.testing.assert_allclose(np.rad2deg(angular_weights([42.0])), 180)
    np.testing.assert_allclose(np.rad2deg(angular_weights([0.0, 180.0000001, 90, 359.9999999])), [30, 30, 90, 30])


def test_missing_wedge_is_not_credited_to_its_rim() -> None:
    degree = np.rad2deg(angular_weights(np.arange(0, 121.0)))
    np.testing.assert_allclose(degree, 1.0)


def test_lost_frames_may_be_left_unfilled() -> None:
    angles = np.delete(np.arange(180.0), [50, 51, 52])
    assert np.rad2deg(angular_weights(angles, fill_gaps=False)).sum() == pytest.approx(177)


def test_bad_angles_are_refused() -> None:
    with pytest.raises(ValueError, match=r"angles_degrees\[1\] is nan"):
        angular_weights([0, np.nan])
    with pytest.raises(ValueError, match="at least one"):
        angular_weights([])
    with pytest.raises(ValueError, match="at least two"):
        opposite_pairs([1.0])


def test_opposite_pairs_are_found_in_any_order() -> None:
    angles = np.random.default_rng(1).permutation(np.arange(0, 360.0, 1.0))
    pairs = opposite_pairs(angles, 7)
    assert len(pairs) == 7
    assert len({pair[0] for pair in pairs}) == 7
    for first, second, deviation in pairs:
        assert (angles[second] - angles[first]) % 360 == 180
        assert deviation == pytest.approx(0)


def test_deviation_has_its_sign() -> None:
    assert opposite_pairs([0.0, 60, 120, 179])[0] == (0, 3, pytest.approx(-1))
    assert opposite_pairs([181.0, 60, 120, 0])[0] == (0, 3, pytest.approx(-1))
    assert opposite_pairs([0.0, 60, 120, 181])[0] == (0, 3, pytest.approx(1))


def test_the_smallest_deviation_of_a_pair_counts() -> None:
    assert opposite_pairs(np.array([0.0, 177.0]), 1) == [(0, 1, -3.0)]

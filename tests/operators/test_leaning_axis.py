"""The roll of the rotation axis: found from whole frames in exact phantoms, not claimed where nothing shows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import firstlight as fl
from firstlight.kernels.center_roll import axis_by_pairs
from firstlight.operators.tomography.find_center_rows import FindCenterRows

from .scenes import chunks_of, fold_all, scan_of

ANGLES = np.arange(36) * 10.0


def head(roll: float, **more: object) -> np.ndarray:
    """Attenuation of the Shepp-Logan head (angle, row, col) about an axis whose top leans to the right."""
    size = {"columns": 96, "rows": 48, "angles": 36, "range": 360.0, "center": 46.3, "darks": 2, "flats": 2}
    source = fl.source("phantom", **{**size, "roll": roll, **more})
    run = fl.run(source, [fl.step("flat_field"), fl.step("minus_log")])
    return np.asarray(run.finished(100)["minus_log"].data)


def known(data: np.ndarray):
    return replace(scan_of(data), coords={"angle": ANGLES})


@pytest.mark.parametrize(
    "roll", [2.0, pytest.param(-3.0, marks=pytest.mark.slow), pytest.param(0.0, marks=pytest.mark.slow)]
)
def test_the_roll_of_a_head_whose_rows_hardly_show_it(roll):
    data = head(roll)
    fold = FindCenterRows()
    state = fold_all(fold, known(data), chunks_of(data, ANGLES))
    found = fold.result(state)
    assert abs(found["roll"] - roll) < 0.1
    assert found["tilt"] == -found["roll"]
    assert abs(found["middle"] - 46.3) < 0.1
    np.testing.assert_allclose(np.diff(found["center"]), -np.tan(np.deg2rad(roll)), atol=2e-3)
    assert found["confidence"] > 0.5
    assert fold.remarks(state) == ()


def test_it_is_told_where_single_rows_are_all_there_is():
    data = head(2.0)
    fold = FindCenterRows(count=9)
    state = fold_all(fold, scan_of(data), chunks_of(data, ANGLES))
    assert abs(fold.result(state)["tilt"]) < 1.0  # of the 2 that it is
    assert "single rows" in fold.remarks(state)[-1]


def test_frames_in_any_order_kept_in_parts():
    data = head(2.0, angles=36, columns=48, rows=24, center=23.0)
    fold = FindCenterRows()
    whole = fold.result(fold_all(fold, known(data), chunks_of(data, ANGLES)))
    first = fold_all(fold, known(data), chunks_of(data, ANGLES, keep=range(20)))
    second = fold_all(fold, known(data), chunks_of(data, ANGLES, keep=range(35, 19, -1)))
    assert first.rows.shape == (10, 24, 48)
    assert fold.ready(fold.merge(first, second))
    again = fold_all(
        fold, known(data), chunks_of(data, ANGLES, keep=range(20, 36)), fold.load(fold.save(first), known(data))
    )
    for found in (fold.result(fold.merge(first, second)), fold.result(again)):
        assert all(np.array_equal(found[name], value) for name, value in whole.items())


def test_no_roll_is_claimed_of_a_ball_or_of_noise():
    rng = np.random.default_rng(0)
    row, col = np.mgrid[:64, :128]
    ball = np.sqrt(np.clip(28.0**2 - (col - 60.2) ** 2 - (row - 31.5) ** 2, 0, None))
    for clean in (ball, 0 * ball):
        first, second = clean + rng.normal(0, 0.3, (2, 3, *ball.shape))
        assert axis_by_pairs(first, second, np.zeros(3)).confidence < 0.1


def test_frames_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="pairs of frames"):
        axis_by_pairs(np.zeros((2, 8, 8)), np.zeros((2, 8, 8)), [0.0])

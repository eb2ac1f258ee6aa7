"""Columns that nothing reaches, and those that only look like it."""

import numpy as np
import pytest

from firstlight.kernels.dead_columns import without_dead_columns

RNG = np.random.default_rng(7)
ANGLES, ROWS, COLUMNS = 90, 3, 96


def sample(noise: float = 0.01) -> np.ndarray:
    """Two points that turn about column 40, in front of air: shape (angle, row, col)."""
    theta = np.linspace(0, np.pi, ANGLES, endpoint=False)[:, None]
    place = np.arange(COLUMNS)
    values = sum(np.exp(-(((place - 40 - r * np.cos(theta + p)) / 4) ** 2)) for r, p in ((14, 0.0), (9, 1.3)))
    values = np.where(values < 1e-6, 0.0, values)
    return (values[:, None] + noise * RNG.standard_normal((ANGLES, ROWS, COLUMNS))).astype(np.float32)


def test_what_lives_is_left_alone() -> None:
    noisy = sample()
    assert without_dead_columns(noisy) is noisy
    assert without_dead_columns(noisy[:1]) is not None
    clean = sample(noise=0.0)  # air that shows nothing at all
    assert np.array_equal(without_dead_columns(clean), clean)
    still = np.ones((5, 2, 8), np.float32)
    assert np.array_equal(without_dead_columns(still), still)


@pytest.mark.parametrize("value", [0.02, 11.0, -3.0])
@pytest.mark.parametrize("columns", [slice(52, 53), slice(30, 33), slice(0, 2), slice(95, 96)])
def test_dead_columns_are_mended(value: float, columns: slice) -> None:
    truth = sample()
    given = truth.copy()
    given[:, 1, columns] = value
    mended = without_dead_columns(given)
    assert np.array_equal(mended[:, [0, 2]], truth[:, [0, 2]])
    assert np.array_equal(np.delete(mended[:, 1], columns, 1), np.delete(truth[:, 1], columns, 1))
    inner = columns.start > 0 and columns.stop < COLUMNS
    if inner or abs(value) > 1:
        live = np.delete(np.arange(COLUMNS), columns)
        for found, row in zip(mended[:, 1], truth[:, 1], strict=True):
            expected = np.interp(np.arange(COLUMNS)[columns], live, row[live])
            assert found[columns] == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(given[:, 1, columns], np.full_like(given[:, 1, columns], value)), "what was given stays"


def test_a_drift_of_the_flat_field_does_not_make_it_live() -> None:
    given = sample()
    given[:, :, 60] = 5.0 + np.linspace(0, 2e-4, ANGLES)[:, None]
    assert np.abs(without_dead_columns(given)[:, :, 60]).max() < 1.5

"""The roll of the rotation axis is the one with which a volume explains the data: analytic truth."""

from __future__ import annotations

import numpy as np
import pytest

from firstlight.operators.reconstruct.cgls_volume import cgls_volume

ROWS, COLUMNS, WIDTH = 32, 36, 2.2
ANGLES = np.arange(36) * 5.0


def blobs(roll: float) -> np.ndarray:
    """Projections of Gaussian blobs about an axis whose top leans to the right: a projected Gaussian is a Gaussian."""
    rng = np.random.default_rng(1)
    places, weights = rng.uniform(-8, 8, (10, 3)), rng.uniform(0.5, 1.5, 10)
    turn, lean = np.deg2rad(ANGLES), np.deg2rad(roll)
    row, col = np.mgrid[:ROWS, :COLUMNS]
    up, right = (ROWS - 1) / 2 - row, col - (COLUMNS - 1) / 2
    seen = np.zeros((len(ANGLES), ROWS, COLUMNS))
    for (x, y, z), weight in zip(places, weights, strict=True):
        across = x * np.cos(turn) + y * np.sin(turn)
        at_right = (across * np.cos(lean) + z * np.sin(lean))[:, None, None]
        at_top = (z * np.cos(lean) - across * np.sin(lean))[:, None, None]
        seen += weight * np.exp(-((right - at_right) ** 2 + (up - at_top) ** 2) / (2 * WIDTH**2))
    return seen.astype(np.float32)


@pytest.mark.parametrize("roll", [pytest.param(2.0, marks=pytest.mark.slow), -3.0])
def test_the_roll_leaves_the_least_residual(roll: float) -> None:
    frames = blobs(roll)[None]
    rolls = np.arange(-4.0, 4.5, 1.0)
    left = [
        float(np.asarray(cgls_volume(frames, iterations=8, roll=each, angle=ANGLES)[1]).ravel()[-1])
        for each in rolls.tolist()
    ]
    assert rolls[int(np.argmin(left))] == roll

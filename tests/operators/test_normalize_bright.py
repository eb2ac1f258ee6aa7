"""Transmission without flat frames: known attenuation under a beam that gets weaker."""

import numpy as np

from firstlight.operators.correct.normalize_bright import normalize_bright


def test_a_known_transmission_comes_back_whatever_the_beam():
    rng = np.random.default_rng(0)
    truth = np.ones((20, 200))
    truth[:, 60:140] = rng.uniform(0.2, 0.9, (20, 80))
    beam = rng.uniform(500, 5000, (20, 1))
    found = normalize_bright(truth * beam)
    np.testing.assert_allclose(found, truth, rtol=1e-5)
    assert found.dtype == np.float32


def test_masked_pixels_and_dark_lines():
    lines = np.full((3, 50), 7.0)
    lines[0, 3] = np.nan
    lines[1] = 0
    found = normalize_bright(lines)
    assert np.isnan(found[0, 3])
    assert (np.delete(found[0], 3) == 1).all()
    assert (found[1:] == 1).all()

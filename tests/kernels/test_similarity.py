"""Measures of likeness, beside scikit-image's."""

import math

import numpy as np
import pytest

from firstlight.kernels.similarity import peak_signal_to_noise, root_mean_square, structural_similarity

metrics = pytest.importorskip("skimage.metrics")
RNG = np.random.default_rng(3)


@pytest.mark.parametrize("shape", [(64, 80), (24, 20, 30), (40,)])
@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0])
def test_as_scikit_image(shape, noise):
    a = RNG.random(shape)
    b = (a + noise * RNG.standard_normal(shape)).astype(np.float32)
    theirs = metrics.structural_similarity(
        a, b.astype(np.float64), data_range=1.5, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert structural_similarity(a, b, data_range=1.5) == pytest.approx(theirs, abs=1e-9)
    if noise:
        theirs = metrics.peak_signal_noise_ratio(a, b.astype(np.float64), data_range=1.5)
        assert peak_signal_to_noise(a, b, data_range=1.5) == pytest.approx(theirs, rel=1e-9)


def test_by_hand():
    a = np.array([0, 0, 255, 255], np.uint8)
    b = np.array([0, 3, 251, 255], np.uint8)
    assert root_mean_square(a, b) == pytest.approx(math.sqrt((9 + 16) / 4))
    assert peak_signal_to_noise(a, b, data_range=255) == pytest.approx(20 * math.log10(255 / 2.5))
    assert peak_signal_to_noise(a, a, data_range=255) == math.inf


def test_what_does_not_fit_is_refused():
    a = np.zeros((20, 20))
    with pytest.raises(ValueError, match="expected the same"):
        structural_similarity(a, a[:12], data_range=1)
    with pytest.raises(ValueError, match="longer than 10"):
        structural_similarity(a[:8], a[:8], data_range=1)
    for wrong in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="positive"):
            peak_signal_to_noise(a, a, data_range=wrong)

"""Fourier ring and shell correlation, against signals whose agreement is known at every frequency."""

import math

import numpy as np
import pytest

from firstlight.kernels.correlation import half_bit, shell_correlation, soft_edge


def white(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape)


def low_passed(values, frequency):
    """Nothing above a frequency in 1/px, untouched below."""
    radius = np.sqrt(sum(f**2 for f in np.meshgrid(*map(np.fft.fftfreq, values.shape), indexing="ij")))
    return np.fft.ifftn(np.fft.fftn(values) * (radius < frequency)).real


@pytest.mark.parametrize(
    ("shape", "tolerance"), [((256, 256), 0.05), ((200, 300), 0.05), ((48, 48, 48), 0.05), ((40, 56, 48), 0.08)]
)
def test_a_known_signal_to_noise_ratio_gives_its_correlation(shape, tolerance):
    """Of a signal of variance 1 and noise of variance v in each half, the correlation is 1 / (1 + v) everywhere."""
    for v in (0.25, 1.0, 3.0):
        signal = white(shape, 1)
        halves = [signal + math.sqrt(v) * white(shape, seed) for seed in (2, 3)]
        found = shell_correlation(*halves, edge=0.0)
        weights = found.samples[1:]
        assert np.average(found.correlation[1:], weights=weights) == pytest.approx(1 / (1 + v), abs=tolerance / 2)
        big = found.samples > 200
        assert np.abs(found.correlation[big] - 1 / (1 + v)).max() < 4 / np.sqrt(200)


@pytest.mark.parametrize(
    ("shape", "limit"), [((256, 256), 0.2), ((256, 256), 0.35), ((300, 260), 0.1), ((64, 64, 64), 0.25)]
)
def test_the_resolution_is_the_band_limit(shape, limit):
    signal = low_passed(white(shape, 4), limit)
    # fading the edges out spreads a strong signal beyond its limit, as it must; so there the noise is stronger
    for edge, noise, rings in ((0.0, 1e-3, 1.5), (0.125, 0.3, 3.0)):
        halves = [signal + noise * white(shape, seed) for seed in (5, 6)]
        found = shell_correlation(*halves, edge=edge)
        for criterion in ("half-bit", "1/7"):
            assert 1 / found.resolution(criterion) == pytest.approx(limit, abs=rings / min(shape))


def test_the_same_twice_is_resolved_to_the_last_pixel():
    image = white((64, 64), 7)
    found = shell_correlation(image, 3 * image + 5)
    np.testing.assert_allclose(found.correlation, 1, atol=1e-4)
    assert found.resolution("half-bit") == found.resolution("1/7") == 2.0
    np.testing.assert_allclose(shell_correlation(image, -image).correlation, -1, atol=1e-4)


def test_what_shares_nothing_has_no_resolution():
    a = white((128, 128), 8)
    assert shell_correlation(a, np.zeros_like(a)).resolution() is None
    found = shell_correlation(a, white((128, 128), 9))
    resolution = found.resolution()
    assert resolution is None or resolution > 20


def test_rings_hold_all_frequencies_up_to_half_a_cycle_a_pixel():
    a = white((32, 48), 10)
    found = shell_correlation(a, a)
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(32), np.fft.fftfreq(48), indexing="ij"))
    rings = np.bincount((radius * 32 + 0.5).astype(int).ravel())[:17]
    np.testing.assert_array_equal(found.samples, np.maximum(rings // 2, 1))
    assert found.frequency[-1] == 0.5


def test_the_half_bit_curve():
    """As in the paper: (0.2071 + 1.9102 / sqrt(n)) / (1.2071 + 0.9102 / sqrt(n)); 1 for one sample, 0.1716 for many."""
    n = np.array([1, 10, 100, 1e12])
    np.testing.assert_allclose(half_bit(n), (0.2071 + 1.9102 / np.sqrt(n)) / (1.2071 + 0.9102 / np.sqrt(n)), atol=2e-5)
    assert half_bit(0) == half_bit(1) == pytest.approx(1)


def test_faded_edges_do_not_correlate():
    """A ramp that differs between halves makes a cross of high frequencies, unless the edges are faded out."""
    ramp = np.linspace(0, 50, 128)[:, None] * np.ones(128)
    halves = [white((128, 128), seed) + ramp for seed in (11, 12)]
    plain, faded = (shell_correlation(*halves, edge=edge) for edge in (0.0, 0.25))
    high = plain.frequency > 0.2
    assert np.abs(faded.correlation[high]).max() < 0.2 < plain.correlation[high].mean() + 0.2
    line = soft_edge(16, 0.25)
    np.testing.assert_allclose(line, line[::-1])
    assert line[0] < 0.1
    np.testing.assert_array_equal(line[4:12], 1)


def test_what_does_not_fit_is_refused():
    image = np.zeros((16, 16))
    for a, b, message in [
        (image, image[:8], "expected the same"),
        (image[0], image[0], "2 or 3 axes"),
        (image[:7], image[:7], "at least 8"),
    ]:
        with pytest.raises(ValueError, match=message):
            shell_correlation(a, b)
    with pytest.raises(ValueError, match=r"0 to 0\.5"):
        shell_correlation(image, image, edge=0.7)
    with pytest.raises(ValueError, match="'half-bit' or '1/7'"):
        shell_correlation(image, image).resolution("0.143")

"""Levels that are not what they should be: dark signal, air, background, monitor, hard beams."""

import numpy as np
import pytest

from firstlight.core.errors import AxesError, FirstlightError
from firstlight.kernels.fourier import FourierFBP
from firstlight.operators.correct.correct_beam_hardening import correct_beam_hardening
from firstlight.operators.correct.minus_log import minus_log
from firstlight.operators.correct.normalize_by_monitor import normalize_by_monitor
from firstlight.operators.correct.normalize_by_region import normalize_by_region
from firstlight.operators.correct.normalize_by_sides import normalize_by_sides
from firstlight.operators.correct.subtract_dark import subtract_dark

from .scenes import circle

SIZE = 64


@pytest.fixture(scope="module")
def truth():
    """Transmission of a ball off the axis (angle, row, col), air on both sides."""
    theta = np.deg2rad(np.arange(0.0, 180.0, 9.0))[:, None, None]
    across = np.arange(SIZE) - (SIZE - 1) / 2 - 5 * np.cos(theta)
    height = np.arange(8)[:, None] - 3.5
    return np.exp(-0.1 * np.sqrt(np.clip(20.0**2 - across**2 - height**2, 0, None))).astype(np.float32)


def test_dark_images_are_subtracted_without_wrapping():
    frames = np.array([[[5, 100], [60000, 7]]], np.uint16)
    result = subtract_dark(frames, np.array([[10.0, 20.0], [1.0, 7.0]]))
    np.testing.assert_array_equal(result, [[[-5, 80], [59999, 0]]])
    with pytest.raises(AxesError, match=r"dark.*region and binning"):
        subtract_dark(frames, np.zeros((3, 2)))


@pytest.mark.parametrize("of", ["mean", "median"])
def test_a_beam_that_fades_is_followed_by_air(truth, of):
    beam = np.linspace(1.0, 0.7, len(truth), dtype=np.float32)[:, None, None]
    np.testing.assert_allclose(normalize_by_region(truth * beam, columns=(0, 4), of=of), truth, rtol=1e-6)
    lines = minus_log(truth)
    back = normalize_by_region(lines + 0.3 * beam, columns=(-4, SIZE), of=of, method="subtract")
    np.testing.assert_allclose(back, lines, atol=1e-6)
    scaled = normalize_by_region((truth * beam * 900).astype(np.uint16), columns=(0, 4), of=of, level=100.0)
    np.testing.assert_allclose(scaled, truth * 100, atol=0.4)


def test_a_region_without_numbers_changes_nothing(truth):
    broken = truth.copy()
    broken[3, :, :4] = np.nan
    broken[4, 0, 0] = np.nan
    broken[5, :, :4] = 0
    result = normalize_by_region(broken * np.float32(0.5), columns=(0, 4))
    np.testing.assert_allclose(result[3], broken[3] * 0.5)
    np.testing.assert_allclose(result[4], broken[4], rtol=1e-6)
    np.testing.assert_allclose(result[5], broken[5] * 0.5)
    zinger = truth.copy()
    zinger[0, 1, 1] = 1000
    np.testing.assert_allclose(normalize_by_region(zinger, columns=(0, 4), of="median")[0, 4], truth[0, 4], rtol=1e-6)
    with pytest.raises(AxesError, match="columns"):
        normalize_by_region(truth, columns=(4, 4))


def test_a_tilted_beam_is_made_level_by_both_sides(truth):
    tilt = np.linspace(0.8, 1.3, SIZE, dtype=np.float32)
    np.testing.assert_allclose(normalize_by_sides((truth * tilt).reshape(-1, SIZE)), truth.reshape(-1, SIZE), rtol=2e-6)
    lines = minus_log(truth).reshape(-1, SIZE)
    np.testing.assert_allclose(normalize_by_sides(lines + tilt, method="subtract"), lines, atol=2e-6)


def test_one_side_is_enough_and_none_is_refused(truth):
    lines = truth.reshape(-1, SIZE)
    np.testing.assert_allclose(normalize_by_sides(lines * np.float32(0.6), left=0, right=4), lines, rtol=2e-6)
    dim = lines * np.float32(0.6)
    dim[0, :5] = np.nan
    dim[1, :] = 0
    result = normalize_by_sides(dim)
    np.testing.assert_allclose(result[0, 5:], lines[0, 5:], rtol=2e-6)
    np.testing.assert_array_equal(result[1], 0)
    with pytest.raises(AxesError, match="no air"):
        normalize_by_sides(lines, left=0, right=0)
    with pytest.raises(AxesError, match="shorter"):
        normalize_by_sides(lines, left=60, right=5)


def test_a_monitor_scales_each_frame(truth):
    current = np.linspace(100.0, 60.0, len(truth))
    counts = truth * (current[:, None, None] / 100.0).astype(np.float32)
    result = normalize_by_monitor(counts, reference=110.0, offset=10.0, monitor=current + 10.0)
    np.testing.assert_allclose(result, truth, rtol=2e-6)
    dead = normalize_by_monitor(counts[:2], reference=100.0, monitor=np.array([0.0, 100.0]))
    assert np.isnan(dead[0]).all()
    assert np.isfinite(dead[1]).all()
    with pytest.raises(FirstlightError, match="monitor value of each frame"):
        normalize_by_monitor(counts, reference=1.0)
    with pytest.raises(FirstlightError, match="reference"):
        normalize_by_monitor(counts, reference=1.0, offset=2.0, monitor=current)


def test_a_wedge_takes_the_cup_out_of_a_disk():
    """Two energies of a hard beam: the polynomial that a wedge gives makes a disk flat again."""
    soft, hard = 0.08, 0.02

    def seen(thickness):
        return -np.log(0.5 * np.exp(-soft * thickness) + 0.5 * np.exp(-hard * thickness))

    wedge = np.linspace(0, 60, 61)
    powers = seen(wedge)[:, None] ** np.arange(1, 5)
    coefficients = tuple(np.linalg.lstsq(powers, 0.05 * wedge, rcond=None)[0])
    theta = np.arange(90) * 2.0
    chord = 2 * np.sqrt(np.clip(25.0**2 - (np.arange(SIZE) - (SIZE - 1) / 2) ** 2, 0, None))
    lines = np.broadcast_to(seen(chord).astype(np.float32), (1, theta.size, SIZE))
    mended = correct_beam_hardening(lines, coefficients=coefficients)
    assert mended.dtype == np.float32
    plan = FourierFBP(theta, SIZE)
    cupped, flat = (plan.reconstruct(np.ascontiguousarray(each))[0] for each in (lines, mended))
    middle, rim = circle(SIZE, 0.1), circle(SIZE, 0.34) & ~circle(SIZE, 0.28)
    assert cupped[rim].mean() / cupped[middle].mean() > 1.1
    assert abs(flat[rim].mean() / flat[middle].mean() - 1) < 0.01
    assert abs(flat[middle].mean() - 0.05) < 0.0005
    assert np.isnan(correct_beam_hardening(np.array([np.nan]), coefficients=(1.0,)))[0]


def test_odd_but_real_levels_are_met_on_the_way_to_attenuation(truth):
    """Air at 0.8 that drifts, zeros in the counts, and a background after the logarithm."""
    counts = truth * np.linspace(0.8, 0.75, len(truth), dtype=np.float32)[:, None, None]
    counts[2, 3, 30] = 0.0
    lines = minus_log(normalize_by_region(counts, columns=(0, 4)))
    assert np.isfinite(lines).all()
    good = np.ones(lines.shape, bool)
    good[2, 3, 30] = False
    np.testing.assert_allclose(lines[good], minus_log(truth)[good], atol=2e-6)
    back = normalize_by_sides((lines + np.float32(0.05)).reshape(-1, SIZE), method="subtract").reshape(lines.shape)
    np.testing.assert_allclose(back[good], minus_log(truth)[good], atol=3e-6)

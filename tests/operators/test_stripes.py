"""Stripes planted on an exact phantom go, and what the sample did stays within a stated part of itself."""

import numpy as np
import pytest

from firstlight.core.units import Quantity
from firstlight.kernels.fourier import FourierFBP
from firstlight.operators.correct.minus_log import minus_log
from firstlight.operators.stripes.remove_all_stripes import remove_all_stripes
from firstlight.operators.stripes.remove_dead_stripes import remove_dead_stripes
from firstlight.operators.stripes.remove_large_stripes import remove_large_stripes
from firstlight.operators.stripes.remove_rings import remove_rings
from firstlight.operators.stripes.remove_small_stripes import remove_small_stripes
from firstlight.operators.stripes.remove_stripes_filtering import remove_stripes_filtering
from firstlight.operators.stripes.remove_stripes_fitting import remove_stripes_fitting
from firstlight.operators.stripes.remove_stripes_fourier import remove_stripes_fourier
from firstlight.operators.stripes.remove_stripes_interpolation import remove_stripes_interpolation
from firstlight.operators.stripes.remove_stripes_smoothing import remove_stripes_smoothing
from firstlight.operators.stripes.remove_stripes_titarenko import remove_stripes_titarenko
from firstlight.operators.stripes.remove_stripes_wavelet import remove_stripes_wavelet

from .scenes import circle, projections, scan_of

SIZE, ANGLES = 128, 180
THETA = np.arange(ANGLES) * 180.0 / ANGLES


@pytest.fixture(scope="module")
def clean():
    """Transmission of two rows of the head, (row, angle, col), with noise of half a percent."""
    lines, _ = projections(SIZE, 8, THETA)
    noise = np.random.default_rng(1).normal(0, 0.005, (2, ANGLES, SIZE))
    return (np.exp(-lines[:, 3:5].transpose(1, 0, 2)) + noise).astype(np.float32)


def small(clean):
    dirty = clean.copy()
    dirty[:, :, 20:110:6] *= 1.05
    dirty[:, :60, 41] *= 1.08
    return dirty


def large(clean):
    dirty = clean.copy()
    dirty[:, :, 50:55] *= 1.12
    dirty[:, :, 90] *= 0.7
    return dirty


def dead(clean):
    dirty = clean.copy()
    dirty[:, :, 35] = 0.45
    dirty[:, :, 80:82] = np.random.default_rng(2).random((2, ANGLES, 2))
    return dirty


def every_kind(clean):
    return np.where(dead(clean) != clean, dead(clean), large(small(clean)))


def rms(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=float))))


@pytest.mark.parametrize(
    ("step", "plant", "left", "harm"),
    [
        (remove_small_stripes(size=7), small, 0.4, 0.01),
        (remove_stripes_fitting(sigma=4), small, 0.5, 0.03),
        (remove_stripes_filtering(size=7), small, 0.4, 0.01),
        (remove_stripes_wavelet(level=2), small, 0.5, 0.01),
        (remove_stripes_fourier(cutoff=15), small, 0.5, 0.02),
        (remove_large_stripes(size=21), large, 0.15, 0.01),
        (remove_stripes_interpolation(size=21), large, 0.15, 0.01),
        (remove_dead_stripes(size=21, residual=False), dead, 0.1, 0.01),
        (remove_dead_stripes(size=21), dead, 0.1, 0.01),
        (remove_all_stripes(small=7, large=21), every_kind, 0.15, 0.015),
    ],
    ids=lambda value: getattr(value, "use", getattr(value, "__name__", str(value))),
)
def test_planted_stripes_go_and_the_sample_stays(clean, step, plant, left, harm):
    dirty = plant(clean)
    mended = step.run(dirty)
    assert mended.dtype == np.float32
    remaining = rms(mended - step.run(clean)) / rms(dirty - clean)
    changed = rms(step.run(clean) - clean) / rms(clean)
    assert remaining < left
    assert changed < harm


@pytest.mark.parametrize("step", [remove_stripes_titarenko(alpha=0.1), remove_stripes_smoothing(sigma=4)])
def test_methods_for_attenuation(clean, step):
    lines = minus_log(clean)
    stripes = np.zeros(SIZE, np.float32)
    stripes[20:110:6] = 0.05
    remaining = rms(step.run(lines + stripes) - step.run(lines)) / rms(np.broadcast_to(stripes, lines.shape))
    changed = rms(step.run(lines) - lines) / rms(lines)
    assert remaining < 0.5
    assert changed < 0.06


STEPS = [
    remove_small_stripes(size=7),
    remove_large_stripes(size=21),
    remove_dead_stripes(size=21),
    remove_all_stripes(small=7, large=21),
    remove_stripes_filtering(size=7),
    remove_stripes_fitting(),
    remove_stripes_interpolation(size=21),
    remove_stripes_wavelet(level=2),
    remove_stripes_titarenko(blocks=3),
    remove_stripes_fourier(),
    remove_stripes_smoothing(blocks=3),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.use)
def test_a_nan_stays_where_it_was(clean, step):
    broken = clean.copy()
    broken[0, 7, 60] = np.nan
    broken[1, 100:103, 61] = np.inf
    mended = step.run(broken)
    np.testing.assert_array_equal(np.isnan(mended), ~np.isfinite(broken))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.use)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (2, 1, 40), (1, 40, 1), (1, 5, 7)])
def test_tiny_sinograms_come_out_finite(step, shape):
    values = np.random.default_rng(3).random(shape).astype(np.float32)
    result = step.run(values)
    assert result.shape == shape
    assert np.isfinite(result).all()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.use)
def test_air_around_zero_does_not_explode(step):
    """After the logarithm air is noise around 0, by which nothing can be divided."""
    lines = np.random.default_rng(5).normal(0, 1e-3, (1, 60, 80)).astype(np.float32)
    lines[..., 25:55] += 2
    result = step.run(lines)
    assert np.abs(result).max() < 3
    assert np.abs(result[..., :10]).mean() < 0.5


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.use)
def test_integers_and_empty_beam_are_taken(step):
    counts = np.random.default_rng(4).integers(0, 1000, (1, 20, 30)).astype(np.uint16)
    np.testing.assert_array_equal(step.run(counts), step.run(counts.astype(np.float32)))
    assert np.isfinite(step.run(np.zeros((1, 20, 30), np.float32))).all()


def test_columns_without_a_number_are_dead(clean):
    broken = clean.copy()
    broken[:, :, 70:72] = np.nan
    mended = remove_dead_stripes(size=21, residual=False).run(broken)
    line = clean[:, :, 69:70] * [2 / 3, 1 / 3] + clean[:, :, 72:73] * [1 / 3, 2 / 3]
    np.testing.assert_allclose(mended[:, :, 70:72], line, rtol=1e-5)
    alone = remove_dead_stripes(ratio=1000.0, residual=False).run(broken)
    wanted = clean.copy()
    wanted[:, :, 70:72] = line
    np.testing.assert_allclose(alone, wanted, rtol=1e-5)


def test_the_unit_stays_and_windows_have_a_middle(clean):
    with pytest.raises(ValueError, match="no middle"):
        remove_small_stripes(size=6)
    scan = scan_of(clean, axes=("row", "angle", "col"), pixel=0.65)
    assert remove_small_stripes().calibration(scan)["pixel"] == Quantity(0.65, "um")
    assert remove_small_stripes().workspace(scan, 1) >= 3 * 4 * ANGLES * SIZE


def reconstructed(lines):
    return FourierFBP(THETA, SIZE).reconstruct(np.ascontiguousarray(lines))


def test_rings_of_a_slice_go(clean):
    lines = minus_log(clean)
    stripes = np.zeros(SIZE, np.float32)
    stripes[[20, 47, 75, 90]] = 0.1, -0.08, 0.06, 0.1
    truth, dirty = reconstructed(lines), reconstructed(lines + stripes)
    inside = np.broadcast_to(circle(SIZE), truth.shape)
    mended = remove_rings(dirty, width=11)
    remaining = rms((mended - truth)[inside]) / rms((dirty - truth)[inside])
    changed = rms((remove_rings(truth, width=11) - truth)[inside]) / rms(truth[inside])
    assert remaining < 0.5
    assert changed < 0.025


def test_rings_around_another_center_and_with_gaps():
    place = np.arange(80)
    radius = np.hypot(place[:, None] - 35, place[None] - 44)
    ring = (5 * np.exp(-(((radius - 20) / 0.8) ** 2))).astype(np.float32)
    plane = 10 + 0.02 * place[None, :] + 0.01 * place[:, None]
    values = (plane + ring).astype(np.float32)[None]
    values[0, 3, 3] = np.nan
    mended = remove_rings(values, width=9, center_y=35.0, center_x=44.0, rounds=3)
    assert np.isnan(mended[0, 3, 3])
    inside = radius < 30
    assert rms((mended[0] - plane)[inside]) < 0.15 * rms(ring[inside])
    limited = remove_rings(values, width=9, center_y=35.0, center_x=44.0, limit=0.01)
    assert rms((limited[0] - values[0])[inside]) < 0.02 * rms(ring[inside])

"""What is done to slices after the reconstruction, against closed forms, numpy and scipy."""

import builtins
import sys

import numpy as np
import pytest
import scipy.ndimage

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.errors import FirstlightError, MissingExtra
from firstlight.kernels.ellipsoids import SHEPP_LOGAN, ellipsoid_table, plane_coordinates, voxels
from firstlight.kernels.noise import noise_level
from firstlight.operators.after.circular_mask import circular_mask
from firstlight.operators.after.compare_with_truth import compare_with_truth
from firstlight.operators.after.denoise_median import denoise_median
from firstlight.operators.after.denoise_nlm import denoise_nlm
from firstlight.operators.after.denoise_tv import denoise_tv
from firstlight.operators.after.fourier_shell_correlation import fourier_shell_correlation
from firstlight.operators.after.half_set import half_set
from firstlight.operators.after.histogram import Histogram
from firstlight.operators.after.rescale import rescale
from firstlight.operators.after.segment import segment
from firstlight.operators.after.signal_to_noise import signal_to_noise

from .scenes import chunks_of, fold_all, projections, relative_rms, scan_of

RNG = np.random.default_rng(3)


def picture(size=128, noise=0.0):
    """Areas of constant value between 0 and 1, and white noise."""
    table, place = ellipsoid_table(SHEPP_LOGAN, size / 2), plane_coordinates(size)
    truth = voxels(table, np.zeros(1), place[::-1].copy(), place)
    return truth, (truth + RNG.normal(0, noise, truth.shape)).astype(np.float32) if noise else truth


def counted(data, **parameters):
    fold = Histogram(**parameters)
    return fold.result(fold_all(fold, scan_of(data), chunks_of(data)))


@pytest.mark.parametrize("spread", [(0.0, 1.0), (-3e4, 10.0), (1e-7, 1e-8), (-5.0, 1e6)])
def test_percentiles_of_values_of_any_range(spread):
    data = (spread[0] + spread[1] * RNG.standard_normal((20, 30, 40))).astype(np.float32)
    found = counted(data, low=1.0, high=95.0)
    wanted = np.percentile(data, [1.0, 95.0])
    np.testing.assert_allclose([found["low"], found["high"]], wanted, rtol=2e-3, atol=2e-3 * spread[1])


def test_the_histogram_is_numpys():
    data = RNG.gamma(2.0, 1.0, (20, 30, 40)).astype(np.float32)
    found = counted(data, low=0.0, high=100.0, bins=50)
    wanted, _ = np.histogram(data, found["edges"])
    assert found["counts"].sum() == data.size
    assert np.abs(found["counts"] - wanted).sum() < 0.02 * data.size  # one part in 2048 near each edge
    np.testing.assert_allclose([found["edges"][0], found["edges"][-1]], [data.min(), data.max()], rtol=1e-3)


def test_what_does_not_count():
    data = RNG.random((4, 30, 40)).astype(np.float32) + 1
    dirty = data.copy()
    dirty[0], dirty[1, 0], dirty[1, 1] = 0.0, np.nan, -np.inf
    found = counted(dirty, leave_out=0.0)
    assert found["counts"].sum() == data[1:].size - 80
    assert 0.99 < found["low"] < 1.05
    empty = counted(np.zeros((4, 3, 3), np.float32), leave_out=0.0)
    assert np.isnan(empty["low"])
    assert empty["counts"].sum() == 0


def test_otsu_parts_two_classes():
    data = np.where(RNG.random((10, 30, 40)) < 0.3, RNG.normal(5, 0.5, (10, 30, 40)), RNG.normal(1, 0.5, (10, 30, 40)))
    values = data.astype(np.float32)

    def between(limit):
        below = values[values <= limit].astype(float)
        above = values[values > limit].astype(float)
        return below.size * above.size * (below.mean() - above.mean()) ** 2

    best = max(between(limit) for limit in np.linspace(0.5, 5.5, 101))
    assert between(counted(values)["otsu"]) > 0.9999 * best
    apart = np.where(RNG.random((4, 30, 40)) < 0.3, np.float32(5), np.float32(1))
    assert 2.9 < counted(apart, low=0, high=100)["otsu"] < 3.1  # the middle of a valley without counts


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["float32", "float64", "uint16"])
def test_grey_values_are_rounded_and_clipped(bits, kind):
    values = (RNG.random((3, 5, 7)) * 1000).astype(kind)
    top = 2**bits - 1
    wanted = np.clip(np.floor((values.astype(float) - 100) / 700 * top + 0.5), 0, top)
    found = rescale(values, low=100.0, high=800.0, bits=bits)
    assert found.dtype == np.dtype(f"uint{bits}")
    assert np.abs(found.astype(int) - wanted).max() <= (1 if bits == 16 else 0)
    assert (found != wanted).mean() < 0.01  # rounding in single precision
    assert rescale(np.array([np.nan, -np.inf, np.inf], np.float32), low=0.0, high=1.0, bits=bits).tolist() == [
        0,
        0,
        top,
    ]


def test_whole_numbers_beyond_what_single_precision_tells_apart():
    values = np.arange(5) + 2**40
    assert rescale(values, low=2.0**40, high=2.0**40 + 4).tolist() == [0, 64, 128, 191, 255]


def test_from_slices_to_integers_in_one_job():
    data = RNG.normal(10, 2, (12, 20, 24)).astype(np.float32)
    steps = [
        fl.step("histogram", low=1.0, high=99.0),
        {"use": "rescale", "inputs": ["source"], "low": {"from": "histogram.low"}, "high": {"from": "histogram.high"}},
        {"use": "segment", "inputs": ["source"], "thresholds": {"from": "histogram.otsu"}},
    ]
    found = fl.run(MemorySource.of(data, "z y x"), steps).finished(timeout=60)
    grey = found["rescale"].data
    assert grey.dtype == np.uint8
    low, high = np.percentile(data, [1, 99])
    wanted = np.clip(np.floor((data - low) / (high - low) * 255 + 0.5), 0, 255)
    assert np.abs(grey - wanted).max() <= 2  # percentiles to one part in 2048
    assert set(np.unique(found["segment"].data)) == {0, 1}


def test_labels_count_the_thresholds_exceeded():
    values = np.array([0.0, 1.0, 1.5, 2.5, np.nan])
    assert segment(values, thresholds=(1.0, 2.0)).tolist() == [0, 0, 1, 2, 0]
    assert segment(values, thresholds=1.0).tolist() == [0, 0, 1, 1, 0]


def test_a_circular_mask_is_a_disk_about_the_axis():
    slices = np.ones((2, 21, 21), np.float32)
    masked = circular_mask(slices, ratio=0.8, value=-1.0)
    place = np.arange(21) - 10
    np.testing.assert_array_equal(masked[1] == 1, np.hypot(place[:, None], place) <= 8.4)
    assert abs(circular_mask(np.ones((1, 400, 400), np.float32), ratio=1.0).mean() - np.pi / 4) < 1e-3


@pytest.mark.parametrize("size", [3, 5, 7, 13])
@pytest.mark.parametrize("kind", ["float32", "uint16", "float64"])
def test_median_filter_is_scipys(size, kind):
    slices = (RNG.random((2, 17, 300)) * 1000).astype(kind)
    wanted = scipy.ndimage.median_filter(slices, (1, size, size), mode="nearest")
    found = denoise_median(slices, size=size)
    assert found.dtype == slices.dtype
    np.testing.assert_array_equal(found, wanted)


def test_a_pixel_without_a_value_has_no_say_in_the_median():
    slices = np.ones((1, 9, 9), np.float32)
    slices[0, 4, 4] = np.nan
    np.testing.assert_array_equal(denoise_median(slices), 1.0)


def test_noise_of_a_picture_with_edges():
    for level in (0.02, 0.2):
        assert abs(noise_level(picture(256, level)[1][0]) / level - 1) < 0.1
    assert noise_level(picture()[0][0]) < 1e-6


@pytest.mark.parametrize("step", [denoise_nlm, denoise_tv])
def test_denoised_slices_are_nearer_to_the_truth_in_any_unit(step):
    pytest.importorskip("skimage")
    truth, noisy = picture(noise=0.08)
    found = step(noisy)
    assert relative_rms(found, truth) < 0.5 * relative_rms(noisy, truth)
    np.testing.assert_allclose(step(noisy * np.float32(1e-4)) * 1e4, found, atol=0.01)
    np.testing.assert_array_equal(step(np.zeros((1, 20, 20), np.float32)), 0)


@pytest.mark.parametrize("step", [denoise_nlm, denoise_tv])
def test_what_is_no_number_stays_alone_when_noise_is_removed(step):
    pytest.importorskip("skimage")
    _, noisy = picture(noise=0.08)
    holes = noisy.copy()
    holes[0, 20, 30], holes[0, 5, 40] = np.nan, np.inf
    found = step(holes)
    assert np.argwhere(np.isnan(found[0])).tolist() == [[5, 40], [20, 30]]
    far = np.ones(found.shape, bool)
    far[0, :35, 15:55] = False
    assert np.abs(found - step(noisy))[far].max() < 0.02


def test_total_variation_of_a_step_is_the_closed_form():
    """One edge of height 1: both sides of length n move towards each other by weight / n (Strong and Chan 2003)."""
    pytest.importorskip("skimage")
    edge = np.repeat([[[0.0] * 20 + [1.0] * 20]], 40, axis=1)
    found = denoise_tv(edge, weight=2.0, iterations=10_000)[0]
    np.testing.assert_allclose(found[:, :20].mean(), 0.1, atol=0.005)
    np.testing.assert_allclose(found[:, 20:].mean(), 0.9, atol=0.005)


def test_a_missing_library_names_its_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **keywords):
        if name.startswith("skimage"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return real(name, *arguments, **keywords)

    monkeypatch.delitem(sys.modules, "skimage.restoration", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"firstlight\[images\]"):
        denoise_tv(np.zeros((1, 8, 8), np.float32))


def test_signal_to_noise_of_known_noise():
    slices = np.random.default_rng(7).normal(0, 0.5, (3, 200, 200)).astype(np.float32)
    slices[:, 20:160, 20:160] += 10.0
    regions = {"region": (25, 155, 25, 155), "background": (162, 198, 2, 198)}
    found = signal_to_noise(slices, **regions)
    np.testing.assert_allclose(found["ratio"], 20.0, rtol=0.05)
    np.testing.assert_allclose(found["noise"], 0.5, rtol=0.05)
    estimated = signal_to_noise(slices, region=(25, 155, 25, 155))
    np.testing.assert_allclose(estimated["noise"], 0.5, rtol=0.1)
    with pytest.raises(FirstlightError, match="background"):
        signal_to_noise(slices, background=(0, 300, 0, 5))


def test_shell_correlation_of_half_sets_sees_the_noise():
    """The correlation of S + N1 and S + N2 is S / (S + N) in power: from the two levels, in closed form for white signals."""
    signal, first, second = (RNG.standard_normal((48, 48, 48)).astype(np.float32) for _ in range(3))
    for level in (0.3, 1.0, 3.0):
        found = fourier_shell_correlation((signal + level * first)[None], signal + level * second)
        assert abs(found["correlation"][0, 6:24].mean() - 1 / (1 + level**2)) < 0.04
    assert fourier_shell_correlation(signal[None], signal)["resolution"] == 2.0


def test_half_sets_share_no_projection_and_make_volumes_to_compare():
    data, theta = projections(48, 32, np.arange(0, 180, 2.0))
    data = (data + RNG.normal(0, 0.02, data.shape)).astype(np.float32)
    even, odd = (half_set(data.transpose(1, 0, 2), which=which) for which in ("even", "odd"))
    assert even.shape == odd.shape == (32, 45, 48)
    np.testing.assert_array_equal(even[3], data[0::2, 3])
    np.testing.assert_array_equal(odd[3], data[1::2, 3])
    steps = [
        {"use": "half_set", "name": "even", "which": "even"},
        {"use": "fbp", "name": "one"},
        {"use": "half_set", "name": "odd", "which": "odd", "inputs": ["source"]},
        {"use": "fbp", "name": "other"},
        {"use": "assemble", "name": "other_volume"},
        {"use": "fourier_shell_correlation", "inputs": ["one", "other_volume"]},
    ]
    found = fl.run(MemorySource.of(data, angles=theta), steps).finished(timeout=100)
    curve = found["fourier_shell_correlation.correlation"].data
    assert curve.shape == (17,)
    assert curve[1:4].min() > 0.9 > 0.6 > curve[-3:].mean()
    wanted = fl.run(MemorySource.of(data[1::2], angles=theta[1::2]), [fl.step("fbp")]).finished(timeout=100)
    np.testing.assert_allclose(found["other_volume"].data, wanted["fbp"].data, atol=1e-5)


def test_orthogonal_views_are_planes_of_the_volume():
    volume = RNG.random((11, 20, 24)).astype(np.float32)
    step = fl.step("orthogonal_views", z=2, x=5)
    found = fl.run(MemorySource.of(volume, "z y x"), [step]).finished(timeout=60)
    np.testing.assert_array_equal(found["orthogonal_views.xy"].data, volume[2])
    np.testing.assert_array_equal(found["orthogonal_views.xz"].data, volume[:, 10])
    np.testing.assert_array_equal(found["orthogonal_views.yz"].data, volume[:, :, 5])
    with pytest.raises(FirstlightError, match="outside"):
        fl.step("orthogonal_views", y=20).empty(scan_of(volume, axes=("z", "y", "x")))


def test_comparison_with_the_truth():
    truth = RNG.random((12, 20, 24)).astype(np.float32)
    same = compare_with_truth(truth[None], truth)
    assert (same["rms"][0], same["ssim"][0], same["psnr"][0]) == (0.0, 1.0, np.inf)
    off = compare_with_truth(truth[None] + np.float32(0.1), truth, inside=None)
    assert off["rms"][0] == pytest.approx(0.1, rel=1e-4)
    assert off["relative"][0] == pytest.approx(0.1 / np.sqrt(np.mean(truth**2)), rel=1e-4)
    assert off["psnr"][0] == pytest.approx(20 * np.log10(np.ptp(truth) / 0.1), abs=0.01)
    with pytest.raises(FirstlightError, match="shape"):
        compare_with_truth(truth[None], truth[:5])
    broken = truth[None].copy()
    broken[0, 6, 6, 6] = np.inf
    assert not np.isfinite(list(compare_with_truth(broken, truth).values())).any()


def test_mistakes_are_named():
    values = np.zeros((2, 3, 3), np.float32)
    with pytest.raises(FirstlightError, match=r"histogram\.low"):
        rescale(values, low=1.0)
    with pytest.raises(FirstlightError, match="above"):
        rescale(values, low=1.0, high=1.0)
    with pytest.raises(FirstlightError, match=r"histogram\.otsu"):
        segment(values)

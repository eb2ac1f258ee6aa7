"""`wdd`, `parallax` and `dose_map` against the truth of a simulated scan (exact diffraction)."""

import numpy as np
import pytest
from scipy import fft

import firstlight as fl
from firstlight.connectors.phantom.source_stem import PhantomStemSource
from firstlight.core.chunk import Chunk
from firstlight.core.errors import ChangeRefused, FirstlightError
from firstlight.kernels.electron_optics import aperture_wave, astigmatism_parts
from firstlight.kernels.parallax import gradients
from firstlight.operators.stem.parallax import Parallax
from firstlight.operators.stem.ssb import Ssb
from firstlight.operators.stem.wdd import Wdd

from .scenes import relative_rms

SLOW = pytest.mark.slow
EXACT = {"noise": False, "dose": 1e6, "scan_y": 20, "scan_x": 21}


def folded(fold, source):
    scan = source.open()
    fold = fold.calibrated(scan)
    state = fold.empty(scan)
    for item in source.items():
        if isinstance(item, Chunk):
            fold.add(state, fold.digest(item))
    return fold, state


def about_zero(values):
    return values - values.mean()


@pytest.mark.parametrize("given", [{}, pytest.param({"defocus": -12.0, "spherical": 1.0}, marks=SLOW)])
def test_deconvolution_recovers_a_weak_phase(given):
    source = PhantomStemSource(**EXACT, **given)
    fold, state = folded(Wdd(epsilon=1e-3, **given), source)
    found = fold.result(state)
    assert relative_rms(found["phase"], about_zero(source.truth().phase)) < 0.006
    assert found["amplitude"].std() < 0.001
    assert fold.after(source.scan())["phase"].unit == "rad"


def test_deconvolution_recovers_a_strong_phase_where_side_bands_do_not():
    source = PhantomStemSource(strength=0.8, defocus=20.0, **EXACT)
    truth = about_zero(source.truth().phase)
    fold, state = folded(Wdd(defocus=20.0, epsilon=1e-4, reach=1.5), source)
    found = fold.result(state)
    assert relative_rms(about_zero(found["phase"]), truth) < 0.015
    assert found["amplitude"].std() < 0.006
    weak, spectrum = folded(Ssb(defocus=20.0), source)
    assert relative_rms(weak.result(spectrum)["phase"], truth) > 0.04


@SLOW
def test_the_filter_and_aberrations_of_a_deconvolution_change_while_it_runs():
    source = PhantomStemSource(defocus=20.0, **EXACT)
    truth = about_zero(source.truth().phase)
    fold, state = folded(Wdd(), source)
    assert relative_rms(fold.result(state)["phase"], truth) > 0.2
    better = fold.model_copy(update={"defocus": 20.0, "epsilon": 1e-3})
    assert relative_rms(better.result(better.adapt(state, fold))["phase"], truth) < 0.01
    with pytest.raises(ChangeRefused):
        fold.model_copy(update={"reach": 2.0}).adapt(state, fold)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"defocus": 20.0}, marks=SLOW),
        {"defocus": -12.0, "rotation": 90.0, "flip": True},
        {"defocus": 25.0, "spherical": 1.0},
    ],
)
def test_defocus_is_found_and_images_come_over_each_other(given):
    source = PhantomStemSource(**{**EXACT, **given})
    known = {name: given[name] for name in ("rotation", "flip", "spherical") if name in given}
    fold, state = folded(Parallax(**known), source)
    assert fold.findings(state)["parallax.defocus"] == pytest.approx(given["defocus"], rel=0.002)
    image = fold.result(state)["image"]
    assert image.mean() == pytest.approx(1.0, abs=1e-5)
    assert relative_rms(image - 1, expected_of(source, fold, given["defocus"])) < 0.025


@pytest.mark.parametrize(
    "given",
    [
        {"defocus": 15.0, "astigmatism": 6.0, "astigmatism_angle": 25.0},
        pytest.param({"defocus": -12.0, "astigmatism": 10.0, "astigmatism_angle": 130.0, "rotation": 90.0}, marks=SLOW),
        pytest.param({"defocus": 8.0, "astigmatism": 12.0, "astigmatism_angle": 70.0, "flip": True}, marks=SLOW),
        pytest.param({"defocus": 20.0}, marks=SLOW),
    ],
)
def test_astigmatism_is_found_with_defocus(given):
    source = PhantomStemSource(**{**EXACT, **given})
    known = {name: given[name] for name in ("rotation", "flip") if name in given}
    fold, state = folded(Parallax(find_astigmatism=True, **known), source)
    found = fold.findings(state)
    size = given.get("astigmatism", 0.0)
    assert found["parallax.defocus"] == pytest.approx(given["defocus"], abs=0.05)
    assert found["parallax.astigmatism"] == pytest.approx(size, abs=0.05)
    if size:
        assert found["parallax.astigmatism_angle"] == pytest.approx(given["astigmatism_angle"], abs=0.5)
    fixed = {name: given[name] for name in ("defocus", "astigmatism", "astigmatism_angle") if name in given}
    told = fold.model_copy(update={"find_astigmatism": False, **fixed})
    image = fold.result(state)["image"]
    assert relative_rms(image - 1, expected_of(source, told, given["defocus"])) < 0.03


@pytest.mark.parametrize("make", [Ssb, pytest.param(Wdd, marks=SLOW)])
def test_known_astigmatism_is_corrected(make):
    given = {"defocus": 10.0, "astigmatism": 8.0, "astigmatism_angle": 30.0}
    source = PhantomStemSource(**EXACT, **given)
    truth = about_zero(source.truth().phase)
    off = {}
    for told in (given, {"defocus": 10.0}, {**given, "astigmatism_angle": 120.0}):
        fold, state = folded(make(**told), source)
        off[len(off)] = relative_rms(about_zero(fold.result(state)["phase"]), truth)
    assert off[0] < 0.02
    assert min(off[1], off[2]) > 5 * off[0]


def test_the_wave_has_the_defocus_of_its_direction():
    """Along the direction of astigmatism C1 + A1, across C1 - A1: the wave of a round lens with that defocus."""
    optics = {"radius": 20.0, "length": 2e-12, "pixel_angle": 1e-3}
    far = np.arange(1.0, 19.0)
    for azimuth in (0.0, 30.0, 45.0, 100.0):
        astigmatic = {"defocus": 5e-9, "astigmatism": astigmatism_parts(3e-9, azimuth)}
        for turn, defocus in ((azimuth, 8e-9), (azimuth + 90, 2e-9), (azimuth + 45, 5e-9)):
            row, col = far * np.sin(np.deg2rad(turn)), far * np.cos(np.deg2rad(turn))
            found = aperture_wave(row, col, **optics, **astigmatic)
            np.testing.assert_allclose(found, aperture_wave(row, col, **optics, defocus=defocus), atol=1e-9)


def expected_of(source, fold, defocus):
    """The contrast of the known phase under the transfer of a weak object, the images shifted back; by another way."""
    down, right = fold.frequencies(*source.truth().phase.shape)
    length, _, angle, _, _ = fold.optics()
    _, rows, cols = fold.places((48, 48))
    known = {"length": length, "pixel_angle": angle, "spherical": fold.spherical * 1e-3}
    twofold = astigmatism_parts(fold.astigmatism * 1e-9, fold.astigmatism_angle)
    slopes = gradients(rows, cols, defocus=defocus * 1e-9, astigmatism=twofold, **known)
    total = np.zeros(down.shape, complex)
    for row, col, slope in zip(rows, cols, slopes, strict=True):
        here = fold.wave(row, col, defocus)
        minus, plus = fold.wave(row - down, col - right, defocus), fold.wave(row + down, col + right, defocus)
        gamma = 1j * (minus * np.conj(here) - np.conj(plus) * here)
        total += gamma * np.exp(-1j * (slope[0] * down + slope[1] * right))
    return fft.irfft2(fft.rfft2(source.truth().phase) * total / len(rows), s=source.truth().phase.shape)


@pytest.mark.slow
def test_defocus_is_found_in_few_electrons_and_live():
    source = PhantomStemSource(defocus=20.0, strength=0.3, dose=5e3)
    run = fl.run(source, [fl.step("parallax"), fl.step("wdd", defocus=20.0)])
    results = run.finished(60)
    assert run.report()["parallax.defocus"] == pytest.approx(20.0, abs=2.0)
    assert results["parallax"].data.shape == (32, 32)
    assert set(results) == {"parallax.image", "wdd.phase", "wdd.amplitude"}


@pytest.mark.slow
def test_astigmatism_is_found_in_few_electrons():
    given = {"defocus": 20.0, "astigmatism": 7.0, "astigmatism_angle": 40.0}
    run = fl.run(PhantomStemSource(**given, strength=0.3, dose=5e3), [fl.step("parallax", find_astigmatism=True)])
    run.finished(60)
    found = run.report()
    assert found["parallax.defocus"] == pytest.approx(20.0, abs=1.0)
    assert found["parallax.astigmatism"] == pytest.approx(7.0, abs=1.0)
    assert found["parallax.astigmatism_angle"] == pytest.approx(40.0, abs=3.0)


def test_the_dose_is_that_of_the_scan():
    source = PhantomStemSource(scan_y=6, scan_x=5, field=2.0, dose=5000.0)
    result = fl.run(source, [fl.step("dose_map", counts_per_electron=2.0)]).finished(60)["dose_map"]
    frames = source.read({})
    assert result.unit == "1/nm^2"
    assert np.allclose(result.data, frames.sum((2, 3)) / 2.0 / (2.0 / 6 * 2.0 / 5))
    assert result.data.mean() == pytest.approx(2500.0 / (4.0 / 30), rel=0.01)
    with pytest.raises(FirstlightError, match="distance of scan points"):
        fl.step("dose_map").run(np.ones((1, 4, 4)))

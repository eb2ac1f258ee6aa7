"""Centre of rotation: within a quarter of a column on the noisy phantom, within half a column on the tooth."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from firstlight.kernels.center import center_by_correlation, center_by_sinogram
from firstlight.kernels.center_mass import center_by_mass

from . import phantom_exact as exact

TOOTH = Path(__file__).resolve().parents[3] / "shared" / "data" / "tomography" / "tooth.h5"


def noisy(columns: int, angles: NDArray[np.float64], center: float, dose: float, seed: int = 0) -> NDArray[np.float32]:
    """Line integrals measured with `dose` photons in the open beam; the phantom lets one in seven through."""
    rng = np.random.default_rng(seed)
    clean = exact.sinogram(columns, angles, center=center)
    counts = rng.poisson(dose * np.exp(-2.0 * clean / clean.max()))
    return -np.log(np.maximum(counts, 0.5) / dose).astype(np.float32)


@pytest.mark.parametrize("offset", [0.0, -7.3, 21.6])
@pytest.mark.parametrize("columns", [256, 511])
def test_both_methods_find_the_center_of_the_noisy_phantom(columns: int, offset: float) -> None:
    angles = np.arange(450) * 0.4
    center = (columns - 1) / 2 + offset
    sinogram = noisy(columns, angles, center, dose=2000)
    for found in (center_by_correlation(sinogram, angles), center_by_sinogram(sinogram, angles)):
        assert found.value == pytest.approx(center, abs=0.25)
        assert 0.4 < found.confidence <= 1


def test_several_rows_and_shuffled_and_full_turn_angles() -> None:
    angles = np.random.default_rng(0).permutation(np.arange(0, 360, 0.8))
    rows = np.stack([noisy(200, angles, 93.4, 500, seed) for seed in range(6)], axis=1)
    found = center_by_correlation(rows, angles)
    assert found.value == pytest.approx(93.4, abs=0.25)
    assert found.confidence > 0.9
    assert center_by_sinogram(rows[:, 2], angles).value == pytest.approx(93.4, abs=0.25)


def test_pairs_that_miss_half_a_turn_are_corrected() -> None:
    angles = np.arange(180) * 179.0 / 180  # ends almost 2 degree before the half turn
    sinogram = exact.sinogram(300, angles, center=140.0)
    assert center_by_correlation(sinogram, angles).value == pytest.approx(140.0, abs=0.25)


def test_sample_wider_than_the_detector() -> None:
    angles = np.arange(450) * 0.4
    sinogram = noisy(512, angles, 250.2, 1e4)[:, 64:448]
    found = center_by_sinogram(sinogram, angles)
    assert found.value == pytest.approx(250.2 - 64, abs=0.3)


def test_unequal_steps_are_resampled() -> None:
    angles = np.sort(np.random.default_rng(0).random(600)) * 181
    angles[[0, -1]] = 0, 181
    sinogram = exact.sinogram(256, angles, center=120.0)
    assert center_by_sinogram(sinogram, angles).value == pytest.approx(120.0, abs=0.25)


def test_noise_alone_earns_no_confidence() -> None:
    noise = np.random.default_rng(0).standard_normal((300, 256))
    angles = np.arange(300) * 0.6
    assert center_by_sinogram(noise, angles).confidence < 0.1
    assert center_by_correlation(noise, angles).confidence < 0.2


def test_empty_frames_do_not_divide_by_nothing() -> None:
    flat = np.zeros((100, 64), np.float32)
    angles = np.arange(100) * 1.8
    assert center_by_sinogram(flat, angles).confidence == 0
    assert center_by_correlation(flat, angles).confidence == 0


def test_limits_are_kept() -> None:
    angles = np.arange(225) * 0.8
    sinogram = exact.sinogram(256, angles)
    assert 90 <= center_by_sinogram(sinogram, angles, low=90, high=110).value <= 110
    with pytest.raises(ValueError, match="range of columns"):
        center_by_sinogram(sinogram, angles, low=110, high=90)


def test_what_cannot_be_done_is_refused_with_a_way_out() -> None:
    rows = np.ones((90, 64))
    with pytest.raises(ValueError, match="give the center yourself"):
        center_by_correlation(rows, np.arange(90.0))
    with pytest.raises(ValueError, match="give the center yourself"):
        center_by_sinogram(rows, np.arange(90.0))
    with pytest.raises(ValueError, match="angles_degrees"):
        center_by_correlation(rows, np.arange(80.0))
    with pytest.raises(ValueError, match="angles_degrees"):
        center_by_sinogram(rows, np.arange(80.0))


@pytest.mark.skipif(not TOOTH.exists(), reason="the tooth scan is not beside this checkout")
def test_tooth() -> None:
    import h5py

    with h5py.File(TOOTH) as file:
        data, theta = file["exchange/data"][:], file["exchange/theta"][:]
        dark, flat = file["exchange/data_dark"][:].mean(0), file["exchange/data_white"][:].mean(0)
    lines = -np.log(np.clip((data - dark) / (flat - dark), 1e-3, None))
    for found in (center_by_correlation(lines, theta), *(center_by_sinogram(lines[:, r], theta) for r in (0, 1))):
        assert found.value == pytest.approx(296.0, abs=0.5)
        assert found.confidence > 0.5
    for count in (170, 150, 120):
        assert center_by_mass(lines[:count, 0], theta[:count]).value == pytest.approx(296.0, abs=0.5)


@pytest.mark.parametrize(("start", "span"), [(0, 170), (20, 150), (50, 120), (0, 360)])
def test_centres_of_mass_need_only_a_part_of_the_turn(start: float, span: float) -> None:
    angles = np.arange(start, start + span, 0.6)
    found = center_by_mass(noisy(256, angles, 120.3, dose=5000), angles)
    assert found.value == pytest.approx(120.3, abs=0.25)
    assert found.confidence > 0.8


def test_centres_of_mass_of_a_sample_cut_off_or_of_air_are_not_believed() -> None:
    angles = np.arange(0, 150, 0.6)
    whole = noisy(256, angles, 120.3, dose=5000)
    for part in (whole[:, 60:200], whole[:, :190], np.random.default_rng(0).normal(0, 0.01, whole.shape)):
        assert center_by_mass(part, angles).confidence < 0.1

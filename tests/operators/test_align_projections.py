"""Projections of a known phantom, each moved by a known amount."""

import numpy as np
import pytest

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.errors import FirstlightError
from firstlight.kernels.reproject import moved
from firstlight.operators.tomography.align_projections import align_projections

from .scenes import circle, projections, relative_rms


def scene(size=48, rows=32, seed=0):
    rng = np.random.default_rng(seed)
    data, theta = projections(size, rows, np.arange(0, 180, 4.0))
    data = np.pad(data, ((0, 0), (6, 6), (6, 6)))
    off = rng.normal(0, 1.2, (len(theta), 2))
    off[:, 0] -= off[:, 0].mean()
    noise = rng.normal(0, 0.01, data.shape)
    return data, theta, off, (moved(data, -off) + noise).astype(np.float32)


def seen(off, theta):
    """Shifts without those that a sample at another place would cause."""
    turn = np.deg2rad(theta)
    waves = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    across = off[:, 1] - waves @ np.linalg.lstsq(waves, off[:, 1], rcond=None)[0]
    return np.stack([off[:, 0] - off[:, 0].mean(), across], axis=1)


def test_known_shifts_are_found_and_slices_get_sharp():
    data, theta, off, wrong = scene()
    found = align_projections(wrong[None], rounds=12, angle=theta)
    shifts = found["shifts"][0]
    assert shifts.shape == (45, 2)
    np.testing.assert_allclose(found["data"][0], moved(wrong, shifts), atol=1e-5)
    left = np.sqrt(np.mean(seen(shifts - off, theta) ** 2, axis=0))
    assert left.max() < 0.05  # 0.3 across where shifts are measured by phase correlation to the end
    aligned = [fl.step("align_projections", rounds=12), fl.step("fbp")]
    blurred, volume, sharp = (
        fl.run(MemorySource.of(each, angles=theta), steps).finished(timeout=110)["fbp"].data
        for each, steps in ((wrong, aligned[1:]), (wrong, aligned), (data, aligned[1:]))
    )
    place = volume.shape[0] // 2
    contrast = [float(each[place][circle(60, 0.42)].var()) for each in (blurred, volume, sharp)]
    assert contrast[0] < 0.85 * contrast[2]
    assert contrast[1] > (contrast[0] + contrast[2]) / 2


def test_what_is_aligned_stays_where_it_is():
    """Shifts that a sample elsewhere would cause too must not pile up over the rounds."""
    data, theta = projections(48, 24, np.arange(0, 180, 3.0), 24.3)
    shifts = align_projections(data[None], center=24.3, angle=theta)["shifts"][0]
    assert np.abs(shifts).max() < 0.15  # 6.5 where they do
    assert np.sqrt(np.mean(shifts**2)) < 0.06


def test_large_shifts_of_a_noisy_scan_are_found():
    data, theta, _, _ = scene()
    rng = np.random.default_rng(9)
    off = rng.normal(0, 4, (len(theta), 2))
    wide = np.pad(data, ((0, 0), (10, 10), (10, 10)))
    wrong = (moved(wide, -off) + rng.normal(0, 0.05, wide.shape)).astype(np.float32)
    shifts = align_projections(wrong[None], angle=theta)["shifts"][0]
    assert np.sqrt(np.mean(seen(shifts - off, theta) ** 2, axis=0)).max() < 0.15


def test_what_was_moved_is_moved_back():
    data, _, off, _ = scene()
    back = moved(moved(data, -off), off)
    assert relative_rms(back, data) < 0.12  # two interpolations of sharp rims
    whole = np.round(off)
    np.testing.assert_allclose(moved(moved(data, -whole), whole)[:, 8:-8, 8:-8], data[:, 8:-8, 8:-8], atol=1e-4)


def test_frames_too_small_to_bin_are_refused():
    data = np.zeros((1, 10, 20, 20), np.float32)
    with pytest.raises(FirstlightError, match="bin 8"):
        align_projections(data, binning=8, angle=np.arange(10) * 18.0)

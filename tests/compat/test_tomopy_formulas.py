"""Steps under tomopy's names beside what tomopy's documentation and papers say, written anew in numpy; parameters as there."""

import numpy as np
import pytest
import scipy.ndimage

from firstlight.compat.tables import row
from firstlight.core import registry

RNG = np.random.default_rng(5)
COUNTS = RNG.integers(200, 60_000, (4, 9, 12), dtype=np.uint16)
"""Projections: angle, row, col."""
LIGHT = (0.2 + RNG.random((4, 9, 12))).astype(np.float32)


def step_of(name, **given):
    """Our step for tomopy's function, with its parameters and what is usual there."""
    found, _ = row("tomopy", name).step(given)
    return registry.get("operators", found.pop("use")).step(**found)


def test_normalize_divides_by_what_the_mean_flat_has_over_the_mean_dark():
    dark, flat = RNG.random((3, 9, 12)) * 90, 60_000 + RNG.random((5, 9, 12)) * 900
    wanted = (COUNTS - dark.mean(axis=0)) / np.maximum(flat.mean(axis=0) - dark.mean(axis=0), 1e-6)
    found = step_of("normalize").run(COUNTS, dark.mean(axis=0, dtype=np.float32), flat.mean(axis=0, dtype=np.float32))
    np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-7)


def test_minus_log():
    np.testing.assert_allclose(step_of("minus_log").run(LIGHT), -np.log(LIGHT.astype(float)), rtol=1e-6, atol=1e-6)


def test_normalize_roi_divides_by_the_mean_of_a_window():
    given, remarks = row("tomopy", "normalize_roi").step({"roi": [1, 2, 5, 9]})
    assert "rows and columns" in remarks[0]
    found = registry.get("operators", given["use"]).step(rows=(1, 5), columns=(2, 9), level=1.0).run(LIGHT)
    np.testing.assert_allclose(found, LIGHT / LIGHT[:, 1:5, 2:9].mean(axis=(1, 2), keepdims=True), rtol=1e-5)


def test_normalize_bg_with_its_usual_column_of_air_draws_a_line_between_both_rims():
    air = np.linspace(LIGHT[..., 0], LIGHT[..., -1], 12, axis=-1)
    found = np.stack([step_of("normalize_bg").run(each) for each in LIGHT])
    np.testing.assert_allclose(found, LIGHT / air, rtol=1e-5)


@pytest.mark.parametrize("ratio", [1, 0.7])
def test_circ_mask(ratio):
    for shape in ((3, 9, 14), (2, 14, 14)):
        slices = RNG.random(shape).astype(np.float32)
        y, x = np.ogrid[: shape[1], : shape[2]]
        away = (y + 0.5 - shape[1] / 2) ** 2 + (x + 0.5 - shape[2] / 2) ** 2
        wanted = np.where(away <= (ratio * min(shape[1:]) / 2) ** 2, slices, -2)  # there: <
        given = {} if ratio == 1 else {"ratio": ratio}
        np.testing.assert_array_equal(step_of("circ_mask", axis=0, val=-2.0, **given).run(slices), wanted)


@pytest.mark.parametrize("size", [3, 5])
def test_remove_outlier_takes_bright_ones_alone(size):
    frames = LIGHT.copy()
    frames[1, 4, 5], frames[2, 3, 3] = 40, -40
    middle = np.stack([scipy.ndimage.median_filter(each, size, mode="nearest") for each in frames])
    wanted = np.where(frames - middle >= 0.3, middle, frames)
    np.testing.assert_array_equal(step_of("remove_outlier", dif=0.3, size=size).run(frames), wanted)


def test_remove_outlier3d_goes_by_half_the_size_of_its_cube():
    volume = LIGHT.copy()
    volume[1, 4, 5], volume[2, 3, 3] = 40, -40
    for half in (1, 2):
        middle = scipy.ndimage.median_filter(volume, 2 * half + 1, mode="nearest")
        wanted = np.where(np.abs(volume - middle) >= 0.3, middle, volume)
        found = step_of("remove_outlier3d", dif=0.3, kernel_half_size=half).run(volume[None])[0]
        np.testing.assert_array_equal(found, wanted)
    assert step_of("remove_outlier3d").parameters()["threshold"] == 0.1


def test_median_filter_remove_neg_and_remove_nan():
    slices = LIGHT - 0.6
    wanted = np.stack([scipy.ndimage.median_filter(each, 3) for each in slices])
    np.testing.assert_array_equal(step_of("median_filter").run(slices), wanted)
    np.testing.assert_array_equal(step_of("remove_neg").run(slices), np.where(slices < 0, 0, slices))
    slices[0, 1, 2] = np.nan
    np.testing.assert_array_equal(step_of("remove_nan").run(slices), np.nan_to_num(slices))
    assert "remove_nan: val = 3" in row("tomopy", "tomopy.misc.corr.remove_nan").step({"val": 3})[1][0]


def test_remove_stripe_fw_has_the_wavelet_and_the_damping_of_tomopy():
    """The method itself is compared with PyWavelets in tests/kernels/test_stripes.py."""
    assert step_of("remove_stripe_fw").parameters() == {"level": 16, "sigma": 2.0, "moments": 5}
    assert step_of("remove_stripe_fw", wname="haar", level=3).parameters() == {"level": 3, "sigma": 2.0, "moments": 1}


def test_remove_stripe_sf_is_near_a_running_mean_of_the_profile():
    x = np.arange(400)
    sinogram = np.tile(np.sin(x / 40), (7, 1)) + 0.1 * RNG.random((7, 400))
    sinogram[:, ::9] += 0.3
    profile = sinogram.mean(axis=0)
    smooth = scipy.ndimage.uniform_filter1d(profile, 21, mode="nearest")
    wanted = sinogram - (profile - smooth)
    found = step_of("remove_stripe_sf", size=21).run(sinogram.astype(np.float32)[None])[0]
    change = np.linalg.norm(wanted - sinogram)
    assert np.linalg.norm(found - wanted) < 0.15 * change


def test_remove_stripe_ti_counts_no_blocks_as_one():
    assert step_of("remove_stripe_ti").parameters() == step_of("remove_stripe_ti", nblock=0).parameters()
    assert step_of("remove_stripe_ti", nblock=3).parameters()["blocks"] == 3

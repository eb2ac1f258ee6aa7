"""Metrics of pictures: against plain formulas, and what they are for."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import differential_entropy, norm

from firstlight.kernels.contact_sheet import sheet, sheet_shape, shrunk, shrunk_shape
from firstlight.kernels.picture_metrics import (
    COARSE,
    FINE,
    INSIDE,
    SMOOTHING,
    entropy,
    histogram,
    metrics,
    negativity,
    sharpness,
    spread,
)
from firstlight.kernels.smooth import smoothed

RNG = np.random.default_rng(2)


def disk(blur=0.0, size=96):
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return (
        gaussian_filter((np.hypot(x, y) < size / 4).astype(float), blur) if blur else (np.hypot(x, y) < size / 4) * 1.0
    )


def circle(n):
    y, x = np.mgrid[:n, :n] - (n - 1) / 2
    return np.hypot(x, y) <= INSIDE * n / 2


def inside(picture, width=SMOOTHING):
    return gaussian_filter(picture, width)[circle(len(picture))]


@pytest.mark.parametrize("size", [0.02, 1.0, 700.0])
def test_entropy_is_the_differential_entropy_of_values_over_their_deviation(size):
    for picture, expected in ((RNG.normal(0, 1, (300, 300)), norm().entropy()), (RNG.random((300, 300)), None)):
        values = inside(picture)
        found = entropy(histogram(size * picture))
        exact = differential_entropy(values / values.std(), base=2) if expected is None else expected / np.log(2)
        assert found == pytest.approx(exact, abs=0.04)


def test_no_metric_knows_how_bright_a_picture_is():
    picture = disk() + RNG.normal(0, 0.05, (96, 96))
    for scale in (0.98, 0.3, 40.0):
        assert entropy(histogram(scale * picture)) == pytest.approx(entropy(histogram(picture)), abs=0.02)
        for number in (sharpness, negativity, spread):
            assert number(scale * picture) == pytest.approx(number(picture))


def test_a_wider_range_changes_nothing_but_the_bins():
    one, other = histogram(RNG.normal(0, 1, (40, 40))), histogram(RNG.normal(0, 50, (40, 40)))
    left, right = one + other, other + one
    assert left.power == right.power == max(one.power, other.power)
    assert np.array_equal(left.counts, right.counts)
    assert left.counts.sum() == one.counts.sum() + other.counts.sum()
    assert len(left.counts) == FINE


def test_metrics_against_plain_formulas():
    picture = disk() - 0.2
    values = inside(picture)
    assert spread(picture) == pytest.approx(values.std() / np.abs(values).mean())
    assert negativity(picture) == pytest.approx(values[values < 0].sum() / np.abs(values).sum())
    assert -1 <= negativity(picture) < 0
    smooth, there = gaussian_filter(picture, COARSE), circle(len(picture))
    there[:-1, :-1] &= there[1:, :-1] & there[:-1, 1:]
    rise = np.diff(smooth, axis=0)[:, :-1] ** 2 + np.diff(smooth, axis=1)[:-1] ** 2
    expected = rise[there[:-1, :-1]].mean() / np.abs(inside(picture, COARSE)).mean() ** 2
    assert sharpness(picture) == pytest.approx(expected)
    counted, numbers = metrics(picture)
    assert np.array_equal(counted.counts, histogram(picture).counts)
    assert numbers == {"sharpness": sharpness(picture), "negativity": negativity(picture), "std": spread(picture)}


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f2", "u1"])
@pytest.mark.parametrize(("shape", "deviation"), [((40, 53), 0.7), ((9, 8), 2.0)])
def test_smoothing_is_that_of_scipy(kind, shape, deviation):
    picture = (100 * RNG.random(shape)).astype(kind)
    expected = gaussian_filter(picture.astype(float), deviation)
    np.testing.assert_allclose(smoothed(picture, deviation), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="expected 8 or more"):
        smoothed(picture[:7], 2.0)


def test_what_is_blurred_is_less_sharp_and_has_more_entropy():
    sharp, blurred = disk() + RNG.normal(0, 0.02, (96, 96)), disk(3) + RNG.normal(0, 0.02, (96, 96))
    assert sharpness(sharp) > 1.2 * sharpness(blurred)
    assert spread(sharp) > spread(blurred)
    assert entropy(histogram(sharp)) < entropy(histogram(blurred)) - 0.3


@pytest.mark.parametrize("picture", [np.zeros((20, 20)), np.full((20, 20), np.nan), np.ones((1, 5)), np.ones((3, 3))])
def test_pictures_without_content_do_no_harm(picture):
    assert np.isfinite([sharpness(picture), negativity(picture), spread(picture)]).all()
    assert not entropy(histogram(picture)) > 0  # NaN: nothing can be said


@pytest.mark.parametrize("shape", [(640, 640), (101, 101), (7, 5), (300, 20)])
def test_tiles_and_sheets_have_the_shape_that_is_told(shape):
    tile = shrunk(RNG.random(shape), 128)
    assert tile.shape == shrunk_shape(shape, 128)
    assert max(tile.shape) <= 128
    texts = ["center 1.5", "2", "3"]
    drawn = sheet([tile, None, tile], texts, tile.shape, None, 2)
    assert drawn.shape == sheet_shape(texts, tile.shape, None)
    assert (drawn == 255).any()

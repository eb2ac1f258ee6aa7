from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.core.chunk import Stream
from firstlight.core.errors import FirstlightError
from firstlight.core.run import ViewInfo
from firstlight.core.view import Shown
from firstlight.jobs.picture import Wanted, area_mean, picture


def shown(data, axes=("y", "x")):
    return Shown(
        data, Stream(axes, dict(zip(axes, data.shape, strict=True)), str(data.dtype), arrival=0, unit="1/cm"), 7, id=41
    )


def slow_mean(image, rows, columns):
    height, width = -(-image.shape[0] // rows), -(-image.shape[1] // columns)
    out = np.full((height, width), np.nan)
    for i in range(height):
        for j in range(width):
            block = image[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
            known = block[np.isfinite(block)]
            if known.size:
                out[i, j] = known.mean()
    return out


@given(
    st.integers(1, 17),
    st.integers(1, 17),
    st.integers(1, 6),
    st.integers(1, 6),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_area_mean_is_the_mean_of_known_pixels(height, width, rows, columns, holes, random):
    image = np.array([[random.uniform(-5, 5) for _ in range(width)] for _ in range(height)], np.float32)
    if holes:
        image[random.randrange(height), :] = np.nan
    np.testing.assert_allclose(area_mean(image, rows, columns), slow_mean(image, rows, columns), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float64", "bool"])
def test_any_type_is_averaged(dtype):
    image = (np.arange(64).reshape(8, 8) % 2).astype(dtype)
    np.testing.assert_allclose(area_mean(image, 2, 2), 0.5)


def test_what_fits_the_screen_is_sent_as_it_is():
    data = np.arange(12, dtype=np.uint16).reshape(3, 4)
    header, pixels = picture("v", shown(data), Wanted(100, 100))
    assert header["dtype"] == "uint16"
    np.testing.assert_array_equal(pixels, data)


def test_a_region_is_cut_and_scaled():
    data = np.random.default_rng(0).normal(size=(400, 600)).astype(np.float32)
    header, pixels = picture("v", shown(data), Wanted(100, 100, (100, 300, 200, 500)))
    assert header["region"] == [100, 300, 200, 500]
    assert header["full_shape"] == [400, 600]
    assert header["shape"] == [100, 100]
    np.testing.assert_allclose(pixels[0, 0], data[100:102, 200:203].mean(), rtol=1e-5)
    part = data[100:300, 200:500]
    assert header["range"] == pytest.approx([part.min(), part.max()])


@pytest.mark.parametrize("region", [(-5, 9999, -5, 9999), (399, 399, 0, 0), (5, 1, 5, 1), (9999, 99999, 0, 1)])
def test_a_region_outside_is_brought_inside(region):
    header, pixels = picture("v", shown(np.ones((400, 600), np.float32)), Wanted(100, 100, region))
    row0, row1, column0, column1 = header["region"]
    assert 0 <= row0 < row1 <= 400
    assert 0 <= column0 < column1 <= 600
    assert pixels.size > 0


def test_levels_and_histogram():
    data = np.random.default_rng(1).uniform(0, 1, (300, 300)).astype(np.float32)
    data[0, 0], data[1, 1] = 1e6, np.nan
    header, _ = picture("v", shown(data), Wanted(300, 300))
    assert header["levels"] == pytest.approx([0.005, 0.995], abs=0.01)
    assert header["range"][1] == 1e6
    assert len(header["histogram"]["counts"]) == 128
    assert sum(header["histogram"]["counts"]) == 300 * 300 - 1


@pytest.mark.parametrize("value", [0.0, np.nan, -3.0, 1e30])
def test_constant_and_empty_images(value):
    header, pixels = picture("v", shown(np.full((10, 10), value, np.float32)), Wanted(5, 5))
    assert np.isfinite(
        [*header["range"], *header["levels"], header["histogram"]["low"], header["histogram"]["high"]]
    ).all()
    assert pixels.shape == (5, 5)


def test_lines_volumes_numbers_and_complex_values():
    header, pixels = picture("v", shown(np.arange(5.0), ("x",)), Wanted())
    assert (header["shape"], header["axes"], header["region"]) == ([5], ["x"], None)
    header, pixels = picture(
        "v", shown(np.arange(24, dtype=np.float32).reshape(2, 3, 4), ("z", "y", "x")), Wanted(index=(0,))
    )
    np.testing.assert_array_equal(pixels, np.arange(12).reshape(3, 4))
    assert header["axes"] == ["y", "x"]
    header, pixels = picture("v", shown(np.full((2, 2), 3 + 4j)), Wanted())
    assert pixels[0, 0] == 5
    header, pixels = picture("v", shown(np.float32(2).reshape(()), ()), Wanted())
    assert header["shape"] == [1]


def test_half_precision_only_where_it_fits():
    assert picture("v", shown(np.ones((4, 4), np.float32)), Wanted(half=True))[0]["dtype"] == "float16"
    assert picture("v", shown(np.full((4, 4), 1e5, np.float32)), Wanted(half=True))[0]["dtype"] == "float32"


def test_units_come_from_the_view():
    info = ViewInfo("v", "s", "xy", ("y", "x"), (4, 4), "1/cm", (0.65, 0.65), "um")
    header, _ = picture("v", shown(np.ones((4, 4), np.float32)), Wanted(), info)
    assert (header["unit"], header["pixel_size"], header["pixel_unit"]) == ("1/cm", [0.65, 0.65], "um")


@pytest.mark.parametrize(
    "given",
    [{"width": 0}, {"width": "5"}, {"height": 1e9}, {"width": 1.5}, {"width": True}, {"region": 3}, {"region": [1, 2, 3]}, {"region": ["a"] * 4},
     {"index": 3}, {"index": [-1]}, {"width": None}],
)  # fmt: skip
def test_screens_that_make_no_sense(given):
    with pytest.raises(FirstlightError):
        Wanted.of(given)


def test_a_screen_comes_back_from_its_fields():
    wanted = Wanted(3, 4, (0, 1, 2, 3), (1,), True)
    assert Wanted.of(wanted.fields()) == wanted
    assert Wanted.of({"width": 640.0}).width == 640


def test_complex_values_are_sent_as_they_are_or_as_magnitude():
    data = (np.arange(24).reshape(4, 6) * np.exp(1j * np.linspace(-3, 3, 24).reshape(4, 6))).astype(np.complex64)
    header, pixels = picture("v", shown(data), Wanted(100, 100, phase=True))
    assert header["dtype"] == "complex64"
    np.testing.assert_array_equal(pixels, data)
    np.testing.assert_allclose(header["range"], [0, 23], rtol=1e-6)
    _, half = picture("v", shown(data), Wanted(3, 2, phase=True))
    np.testing.assert_allclose(half, data.reshape(2, 2, 3, 2).mean(axis=(1, 3)), rtol=1e-5)
    _, magnitude = picture("v", shown(data), Wanted(100, 100))
    np.testing.assert_allclose(magnitude, np.abs(data))


def test_planes_lie_side_by_side():
    data = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    header, pixels = picture("v", shown(data, ("mode", "v", "u")), Wanted(100, 100, beside=True))
    np.testing.assert_array_equal(pixels, np.concatenate(list(data), axis=1))
    assert (header["axes"], header["full_shape"]) == (["v", "u"], [4, 15])


def test_what_has_not_come_is_nan():
    covered = np.arange(12).reshape(3, 4) < 7
    filling = replace(shown(np.arange(12).reshape(3, 4), ("scan_y", "scan_x")), covered=covered)
    header, pixels = picture("v", filling, Wanted(100, 100))
    np.testing.assert_array_equal(np.isnan(pixels), ~covered)
    assert header["range"] == [0, 6]


def test_places_are_thinned_not_averaged():
    places = np.random.default_rng(0).normal(size=(50_000, 2))
    header, sent = picture("v", shown(places, ("point", "yx")), Wanted(100, 100))
    np.testing.assert_allclose(sent, places[::3].astype(np.float32))
    assert header["full_shape"] == [50_000, 2]

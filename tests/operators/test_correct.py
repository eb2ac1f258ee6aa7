import pickle

import numpy as np
import pytest

from firstlight.core.errors import AxesError
from firstlight.core.held import Held, Version
from firstlight.core.units import Quantity
from firstlight.kernels.elementwise import fuse
from firstlight.operators.correct.bin import bin
from firstlight.operators.correct.crop import crop
from firstlight.operators.correct.flat_field import flat_field, parts
from firstlight.operators.correct.minus_log import minus_log
from firstlight.operators.correct.remove_outliers import remove_outliers

from .scenes import scan_of


def held(values, at, epoch=0):
    versions = tuple(
        Version(np.asarray(v, np.float32), (epoch, int(a)), float(a)) for v, a in zip(values, at, strict=True)
    )
    return Held(versions)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int16", "float32", "float64"])
def test_transmission_of_every_type(dtype):
    rng = np.random.default_rng(1)
    frames = rng.integers(20, 100, (4, 3, 5)).astype(dtype)
    dark, flat = rng.uniform(1, 5, (3, 5)), rng.uniform(90, 110, (3, 5))
    result = flat_field(frames, dark, flat)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, (frames.astype(float) - dark) / (flat - dark), rtol=2e-6)


def test_flats_are_interpolated_by_id_and_clamped():
    frames = np.full((5, 1, 2), 60, np.uint16)
    dark = np.full((1, 2), 10.0)
    flats = held([np.full((1, 2), 110.0), np.full((1, 2), 210.0)], at=[100, 200])
    ids = np.array([50, 100, 150, 200, 900])
    result = flat_field(frames, dark, flats.bind(0, ids))
    np.testing.assert_allclose(result[:, 0, 0], [0.5, 0.5, 50 / 150, 0.25, 0.25], rtol=1e-6)
    order = [3, 0, 4, 2, 1]
    shuffled = flat_field(frames, dark, flats.bind(0, ids[order]))
    np.testing.assert_array_equal(shuffled, result[order])


def test_dark_and_flat_may_drift_apart_in_time():
    frames = np.full((3, 1, 1), 60.0, np.float32)
    darks = held([[[10.0]], [[20.0]]], at=[0, 10])
    flats = held([[[100.0]], [[120.0]], [[140.0]]], at=[0, 5, 10])
    ids = np.array([2, 7, 10])
    result = flat_field(frames, darks.bind(0, ids), flats.bind(0, ids))[:, 0, 0]
    dark, flat = np.array([12.0, 17.0, 20.0]), np.array([108.0, 128.0, 140.0])
    np.testing.assert_allclose(result, (60 - dark) / (flat - dark), rtol=1e-6)


def test_another_epoch_does_not_mix_with_the_one_before():
    frames = np.full((1, 1, 1), 50.0, np.float32)
    flats = Held((Version(np.array([[100.0]]), (0, 0), 0.0), Version(np.array([[200.0]]), (1, 0), 0.0)))
    dark = np.zeros((1, 1))
    assert flat_field(frames, dark, flats.bind(0, np.array([7])))[0, 0, 0] == 0.5
    assert flat_field(frames, dark, flats.bind(1, np.array([7])))[0, 0, 0] == 0.25


def test_pixels_without_light_let_everything_through():
    frames = np.array([[[5, 5, 5, 5]]], np.uint16)
    dark = np.array([[1.0, 5.0, 1.0, 1.0]])
    flat = np.array([[1.0, 3.0, np.nan, 9.0]])
    np.testing.assert_allclose(flat_field(frames, dark, flat), [[[1, 1, 1, 0.5]]])


def test_an_image_of_the_wrong_size_is_named():
    with pytest.raises(AxesError, match=r"dark.*region and binning"):
        flat_field(np.zeros((2, 3, 4), np.uint16), np.zeros((3, 3)), np.ones((3, 4)))


def test_parts_are_what_a_runner_fuses():
    frames = np.random.default_rng(2).integers(20, 90, (9, 2, 3)).astype(np.uint16)
    flats = held([np.full((2, 3), 100.0), np.full((2, 3), 120.0)], at=[2, 6]).bind(0, np.arange(9))
    dark = Held.of(np.full((2, 3), 3.0)).bind(0, np.arange(9))
    out = np.empty(frames.shape, np.float32)
    for part in parts(9, dark, flats):
        chain = fuse([part.body, minus_log.step.scalar])
        chain(frames[part.frames], part.images, [*part.numbers, 1e-6], out[part.frames])
    np.testing.assert_allclose(out, minus_log(flat_field(frames, dark, flats)), atol=1e-6)


def test_minus_log_raises_what_is_too_low_and_keeps_nan():
    values = np.array([1.0, np.exp(-2.0), 0.0, -1.0, np.nan], np.float32)
    result = minus_log(values, floor=1e-3)
    np.testing.assert_allclose(result, [0, 2, np.log(1e3), np.log(1e3), np.nan], atol=1e-5)
    assert minus_log(floor=0.01).floor == 0.01
    with pytest.raises(ValueError, match="floor"):
        minus_log(floor=0.0)


def test_crop_tells_and_makes_the_same_sizes():
    frames = np.arange(2 * 5 * 7, dtype=np.uint16).reshape(2, 5, 7)
    step = crop(rows=(1, -1), columns=(2, 7))
    result = step.run(frames)
    np.testing.assert_array_equal(result, frames[:, 1:4, 2:])
    stream = step.after(scan_of(frames))["data"]
    assert (stream.frame_shape, stream.dtype) == ((3, 5), "uint16")
    with pytest.raises(AxesError, match="rows"):
        crop(rows=(4, 4)).after(scan_of(frames))


@pytest.mark.parametrize("method", ["mean", "sum"])
@pytest.mark.parametrize("dtype", ["uint16", "int64", "float32"])
def test_bin_combines_blocks(method, dtype):
    frames = np.random.default_rng(5).integers(0, 60_000, (3, 7, 9)).astype(dtype)
    step = bin(rows=2, columns=3, method=method)
    result = step.run(frames)
    blocks = frames[:, :6].reshape(3, 3, 2, 3, 3).astype(float)
    np.testing.assert_allclose(result, getattr(blocks, method)((2, 4)), rtol=1e-6)
    stream = step.after(scan_of(frames))["data"]
    assert (stream.frame_shape, np.dtype(stream.dtype)) == (result.shape[1:], result.dtype)


def test_bin_makes_pixels_larger():
    scan = scan_of(np.zeros((3, 8, 8), np.float32), pixel=0.65)
    assert bin(rows=2, columns=4).calibration(scan)["pixel"] == Quantity(2.6, "um")


@pytest.mark.parametrize("step", [flat_field(), minus_log(floor=1e-3), crop(rows=(0, 3)), bin(method="sum")], ids=repr)
def test_steps_survive_a_process_border(step):
    assert pickle.loads(pickle.dumps(step)) == step


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_zingers_go_and_the_rest_stays(dtype):
    frames = np.random.default_rng(6).integers(100, 120, (3, 16, 18)).astype(dtype)
    clean = frames.copy()
    frames[1, 5, 7] = 5000
    frames[2, 0, 0] = 4000
    frames[0, 9, 9] = 0
    step = remove_outliers(threshold=60, size=5)
    result = step.run(frames)
    assert result.dtype == np.dtype(dtype)
    assert result[1, 5, 7] < 120
    assert result[2, 0, 0] < 120
    assert result[0, 9, 9] == 0
    same = frames == clean
    np.testing.assert_array_equal(result[same], clean[same])
    assert step.halo() == {"row": 2, "col": 2}
    assert remove_outliers(threshold=60, kind="both").run(frames)[0, 9, 9] > 90


def test_a_window_without_middle_is_refused():
    with pytest.raises(ValueError, match="no middle"):
        remove_outliers(threshold=1, size=4)

"""Phantoms: the same frames by every road, and truth that fits them."""

import time

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.connectors.phantom.noise import expose, generator
from firstlight.connectors.phantom.source import PhantomSource
from firstlight.connectors.phantom.source4d import Phantom4DSource
from firstlight.core.chunk import MAIN, Chunk, End
from firstlight.core.errors import UnknownName
from firstlight.core.source import RandomAccess

SMALL = {
    "columns": 48,
    "rows": 37,
    "angles": 11,
    "flats": 3,
    "darks": 2,
    "sets": 2,
    "zingers": 3,
    "rings": 2,
    "dead": 1,
}


def frames_of(source, stream=MAIN):
    source.open()
    chunks = [item for item in source.items() if isinstance(item, Chunk) and item.stream == stream]
    source.close()
    return np.concatenate([chunk.data for chunk in chunks]), np.concatenate([chunk.ids for chunk in chunks])


@given(chunk=st.integers(1, 50_000), start=st.integers(0, 36), length=st.integers(1, 37), angle=st.integers(0, 10))
@settings(max_examples=15, deadline=None)
def test_any_chunking_gives_identical_frames(chunk, start, length, angle):
    whole = {stream: frames_of(PhantomSource(**SMALL), stream)[0] for stream in ("dark", "flat", MAIN)}
    source = PhantomSource(**SMALL, chunk=chunk)
    for stream, data in whole.items():
        np.testing.assert_array_equal(frames_of(source, stream)[0], data)
        np.testing.assert_array_equal(
            source.read({"row": slice(start, start + length, 2)}, stream), data[:, start : start + length : 2]
        )
    block = source.read({"angle": slice(angle, angle + 2), "col": slice(3, 9)})
    np.testing.assert_array_equal(block, whole[MAIN][angle : angle + 2, :, 3:9])


def test_streams_and_their_ends():
    source = PhantomSource(**SMALL, chunk=4000, pixel="2 um")
    assert isinstance(source, RandomAccess)
    scan = source.open()
    assert scan.order == ("dark", "flat", MAIN)
    assert scan.pixel("um") == 2
    assert "simulated" in scan.metadata
    items = list(source.items())
    assert [(i.stream, i.set) for i in items if isinstance(i, End)] == [
        ("dark", 0), ("dark", 1), ("dark", None), ("flat", 0), ("flat", 1), ("flat", None), (MAIN, None),
    ]  # fmt: skip
    assert frames_of(source, "flat")[1].tolist() == [-3, -2, -1, 11, 12, 13]
    data, ids = frames_of(source)
    assert data.dtype == np.uint16
    assert data.shape == (11, 37, 48)
    assert ids.tolist() == list(range(11))
    angles = np.concatenate([i.coords["angle"] for i in items if isinstance(i, Chunk) and i.stream == MAIN])
    np.testing.assert_allclose(angles, scan.coords["angle"])
    assert (data == 65535).sum() > 5  # zingers
    assert "dark" not in PhantomSource(darks=0).scan().streams


def test_truth_is_what_the_projections_hold():
    source = PhantomSource(columns=64, rows=20, angles=4, noise=False, structure=0, dark=0, counts=60000)
    data, _ = frames_of(source)
    attenuation = -np.log(data / 60000)
    truth = source.truth()
    assert truth.shape == (20, 64, 64)
    # 0 degree: along y; 90 degree (number 2): a column is y, which points up while rows run down
    np.testing.assert_allclose(attenuation[0], truth.sum(1), atol=0.12)
    np.testing.assert_allclose(attenuation[2], truth.sum(2)[:, ::-1], atol=0.12)
    assert abs(attenuation[0] - truth.sum(1)).mean() < 6e-3
    np.testing.assert_array_equal(source.truth([3, 7]), truth[[3, 7]])
    per_cm = PhantomSource(columns=64, rows=20, pixel=5.0).truth([3])
    np.testing.assert_allclose(per_cm, truth[[3]] / 5e-4, rtol=1e-5)


def test_axis_offset_shifts_the_projections():
    fixed = {"columns": 65, "rows": 3, "angles": 2, "noise": False, "structure": 0, "dark": 0}
    middle, moved = (frames_of(PhantomSource(**fixed, center=center))[0] for center in (None, 35.0))
    np.testing.assert_array_equal(moved[..., 3:], middle[..., :-3])


def test_an_axis_that_rolls_turns_the_projections():
    """In parallel beam the picture turns as a whole: clockwise as row 0 stands on top, since the top of the axis goes right."""
    clean = {"columns": 96, "rows": 96, "angles": 2, "noise": False, "structure": 0, "counts": 50_000, "opacity": 1.0}
    upright, rolled = (frames_of(PhantomSource(**clean, roll=roll))[0].astype(float) for roll in (0, 7))
    inner = np.s_[:, 16:-16, 16:-16]
    still = np.abs(upright - rolled)[inner].mean()
    for angle, least, most in ((-7, 0.0, 0.25), (7, 1.5, 3.0)):  # sharp rims are blurred by the interpolation here
        turned = scipy.ndimage.rotate(upright, angle, axes=(1, 2), reshape=False, order=1, mode="nearest")
        assert least <= np.abs(turned - rolled)[inner].mean() / still < most


def test_noise_is_that_of_photons():
    quiet = {
        "columns": 64,
        "rows": 32,
        "angles": 1,
        "structure": 0,
        "dark": 100,
        "readout": 3,
        "flats": 200,
        "darks": 50,
    }
    flat, _ = frames_of(PhantomSource(**quiet, counts=5000), "flat")
    dark, _ = frames_of(PhantomSource(**quiet), "dark")
    assert flat.mean() == pytest.approx(5100, abs=1)
    assert flat.astype(float).var(axis=0, ddof=1).mean() == pytest.approx(5000 + 9, rel=0.015)
    assert dark.mean() == pytest.approx(100, abs=0.1)
    assert dark.astype(float).std() == pytest.approx(3, rel=0.03)
    few = expose(np.full((200, 200), 4.0, np.float32), generator(1, 0, 0), offset=0, readout=0, noise=True)
    assert few.mean() == pytest.approx(4, abs=0.05)
    assert few.astype(float).var() == pytest.approx(4, rel=0.05)


def test_drift_rings_and_dead_columns():
    given_ = {"columns": 64, "rows": 8, "angles": 21, "structure": 0, "noise": False, "dark": 0, "opacity": 1e-6}
    data, _ = frames_of(PhantomSource(**given_, drift=0.2))
    np.testing.assert_allclose(data.mean((1, 2)), 20000 * np.linspace(1, 0.8, 21), atol=1)
    flat, _ = frames_of(PhantomSource(**given_, drift=0.2, sets=2), "flat")
    assert sorted(set(flat.ravel().tolist())) == [16000, 20000]
    data, _ = frames_of(PhantomSource(**given_, rings=3, dead=2))
    flat, _ = frames_of(PhantomSource(**given_, rings=3, dead=2), "flat")
    ratio = data[0, 0].astype(float) / np.maximum(flat[0, 0], 1)
    assert (ratio == 0).sum() == 2
    assert (abs(ratio[ratio > 0] - 1) > 0.01).sum() == 3


def test_seed_and_json():
    assert not np.array_equal(frames_of(PhantomSource(**SMALL))[0], frames_of(PhantomSource(**SMALL, seed=2))[0])
    for source in (PhantomSource(**SMALL, pixel="0.65 um"), Phantom4DSource(scan_y=3)):
        assert type(source).model_validate_json(source.model_dump_json()) == source
    with pytest.raises(ValueError, match="extra"):
        PhantomSource(colums=3)
    with pytest.raises(UnknownName, match="no axis"):
        PhantomSource().read({"y": slice(0, 1)})


def test_rate_and_stop():
    source = PhantomSource(columns=16, rows=2, angles=1000, darks=0, flats=0, chunk=1, rate=500)
    source.open()
    items = source.items()
    begun = time.monotonic()
    for _ in range(30):
        next(items)
    assert time.monotonic() - begun > 0.055
    source.stop()
    assert list(items) == []
    source.close()
    source.close()


def test_centre_of_mass_is_the_gradient_of_the_phase():
    source = Phantom4DSource(scan_y=9, scan_x=12, dose=200_000, chunk=30_000)
    scan = source.open()
    assert scan.arrival == ("scan_y", "scan_x")
    data, ids = frames_of(source)
    assert ids.tolist() == list(range(108))
    patterns = data.reshape(9, 12, 64, 64).astype(float)
    truth = source.truth()
    total = patterns.sum((2, 3))
    place = np.arange(64) - 31.5
    np.testing.assert_allclose((patterns * place[:, None]).sum((2, 3)) / total, truth.shift_row, atol=0.08)
    np.testing.assert_allclose((patterns * place).sum((2, 3)) / total, truth.shift_col, atol=0.08)
    np.testing.assert_allclose(total / 200_000, truth.transmission, rtol=0.015)
    # the shifts are the gradient of the phase: going along a line sums them up to its difference
    assert abs(truth.shift_col).max() > 1
    np.testing.assert_allclose(
        np.gradient(truth.phase, axis=1)[:, 2:-2] * 8, truth.shift_col[:, 2:-2], atol=0.35 * abs(truth.shift_col).max()
    )


def test_blocks_of_the_4d_scan():
    source = Phantom4DSource(scan_y=4, scan_x=5, rows=16, columns=12, radius=3)
    data, _ = frames_of(source)
    whole = data.reshape(4, 5, 16, 12)
    block = source.read({"scan_y": slice(1, 3), "scan_x": slice(0, 5, 2), "row": slice(4, 9)})
    np.testing.assert_array_equal(block, whole[1:3, ::2, 4:9])
    with pytest.raises(UnknownName, match="no axis"):
        source.read({"angle": slice(0, 1)})

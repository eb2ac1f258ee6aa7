"""Rings, sectors, orders, counting and images over frames, against sums written out in numpy."""

from dataclasses import replace

import numpy as np
import pytest

import firstlight as fl
from firstlight.core.chunk import Chunk
from firstlight.core.errors import FirstlightError
from firstlight.operators.reduce.log_sum import LogSum
from firstlight.operators.reduce.max import Max
from firstlight.operators.reduce.std import Std
from firstlight.operators.stem.azimuthal_profile import azimuthal_profile
from firstlight.operators.stem.count_electrons import count_electrons
from firstlight.operators.stem.fluctuation import fluctuation
from firstlight.operators.stem.pick import Pick
from firstlight.operators.stem.radial_fourier import radial_fourier
from firstlight.operators.stem.radial_profile import radial_profile
from firstlight.operators.stem.virtual_detector import virtual_detector
from firstlight.operators.stem.virtual_detectors import virtual_detectors

from .scenes import chunks_of, fold_all, scan_of

FRAMES = np.random.default_rng(0).integers(0, 4096, (12, 20, 24), dtype=np.uint16)
ROWS, COLS = np.mgrid[:20, :24]
CENTER = (9.0, 12.0)
RADIUS, ANGLE = np.hypot(ROWS - 9.0, COLS - 12.0), np.arctan2(ROWS - 9.0, COLS - 12.0)


def test_segments_are_exact_and_share_no_pixel():
    found = virtual_detectors(FRAMES, edges=(0, 4, 8), sectors=4, center=CENTER)
    assert found.dtype == np.uint64
    first = (RADIUS < 4) & (ANGLE >= 0) & (ANGLE < np.pi / 2)
    np.testing.assert_array_equal(found[:, 0], FRAMES[:, first].sum(1))
    np.testing.assert_array_equal(found.sum(1), FRAMES[:, RADIUS < 8].sum(1))
    with pytest.raises(FirstlightError, match="rise"):
        virtual_detectors(FRAMES, edges=(4, 4))


def test_points_pixels_and_complex_masks():
    np.testing.assert_array_equal(virtual_detector(FRAMES, shape="point", center=CENTER), FRAMES[:, 9, 12])
    two = virtual_detector(FRAMES, shape="pixels", pixels=((1, 2, 1.0), (3, 4, 1.0)))
    np.testing.assert_array_equal(two, FRAMES[:, 1, 2].astype(int) + FRAMES[:, 3, 4])
    assert two.dtype == np.uint64
    weighted = virtual_detector(FRAMES, shape="pixels", pixels=((1, 2, 0.5), (3, 4, -2.0)))
    np.testing.assert_allclose(weighted, 0.5 * FRAMES[:, 1, 2] - 2.0 * FRAMES[:, 3, 4])
    rng = np.random.default_rng(1)
    real, imaginary = rng.random((20, 24)), rng.random((20, 24))
    rows = [tuple(map(tuple, part)) for part in (real, imaginary)]
    found = virtual_detector(FRAMES, shape="mask", mask=rows[0], imaginary=rows[1])
    np.testing.assert_allclose(found, (FRAMES * (real + 1j * imaginary)).sum((1, 2)))
    with pytest.raises(FirstlightError, match="outside"):
        virtual_detector(FRAMES, shape="pixels", pixels=((20, 2, 1.0),))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_profiles_are_means(dtype):
    frames = FRAMES.astype(dtype)
    profile = radial_profile(frames, bins=4, outer=8, center=CENTER)
    for number in range(4):
        ring = (RADIUS >= 2 * number) & (RADIUS < 2 * number + 2)
        np.testing.assert_allclose(profile[:, number], FRAMES[:, ring].mean(1), rtol=1e-6)
    around = azimuthal_profile(frames, bins=6, inner=2, outer=8, center=CENTER)
    for number in range(6):
        part = (RADIUS >= 2) & (RADIUS < 8) & (np.floor(ANGLE % (2 * np.pi) / (np.pi / 3)) == number)
        np.testing.assert_allclose(around[:, number], FRAMES[:, part].mean(1), rtol=1e-6)


def test_orders_tell_symmetry_and_direction():
    turn = 0.4
    pattern = np.where(RADIUS < 9, 100 * (1 + np.cos(3 * (ANGLE - turn))), 0)[None]
    found = radial_fourier(pattern, orders=6, outer=9, center=CENTER)[0, 0]
    written_out = [(pattern * np.exp(-1j * m * ANGLE) * (RADIUS < 9)).sum() for m in range(7)]
    np.testing.assert_allclose(found, written_out)
    assert np.argmax(np.abs(found[1:])) + 1 == 3
    assert np.angle(found[3]) / -3 == pytest.approx(turn, abs=0.02)


def test_fluctuation_of_speckle():
    rng = np.random.default_rng(2)
    speckle = rng.exponential(100, (3, 128, 128))
    deviation, mean, variance = fluctuation(speckle, inner=10, outer=60)
    # a fully developed speckle pattern has a normalised variance of 1
    np.testing.assert_allclose(variance, 1, atol=0.08)
    np.testing.assert_allclose(deviation / mean, 1, atol=0.04)
    assert fluctuation(np.full((1, 16, 16), 7.0), inner=1)[2][0] == 0


def test_every_electron_is_counted_once():
    rng = np.random.default_rng(3)
    frames = np.zeros((2, 40, 40), np.float32)
    truth = np.zeros((2, 40, 40), np.uint8)
    for number in range(2):
        for row, col in rng.permutation(100)[:30, None] // [10, 1] % 10 * 4 + 1:
            truth[number, row, col] = 1
            frames[number, row - 1 : row + 2, col - 1 : col + 2] += np.array([[2, 5, 2], [5, 60, 20], [2, 20, 9]])
    frames += rng.normal(0, 1, frames.shape).astype(np.float32)
    np.testing.assert_array_equal(count_electrons(frames, threshold=40), truth)
    assert count_electrons(frames, threshold=40, saturation=50).sum() == 0
    flat = np.full((1, 3, 3), 9, np.uint16)
    assert count_electrons(flat, threshold=5).sum() == 1


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_images_over_frames(dtype):
    frames = FRAMES.astype(dtype)
    scan, chunks = scan_of(frames), list(chunks_of(frames, size=5))
    found = {}
    for fold in (Std(), Max(), LogSum()):
        found |= {f"{fold.use}.{name}": values for name, values in fold.result(fold_all(fold, scan, chunks)).items()}
    np.testing.assert_allclose(found["std.std"], FRAMES.std(0), rtol=1e-10)
    np.testing.assert_allclose(found["std.mean"], FRAMES.mean(0), rtol=1e-10)
    np.testing.assert_array_equal(found["max.data"], frames.max(0))
    least = FRAMES.min((1, 2), keepdims=True)
    np.testing.assert_allclose(found["log_sum.data"], np.log(FRAMES - least + 1.0).sum(0))


def test_standard_deviation_of_large_numbers():
    frames = 1e8 + np.random.default_rng(4).normal(0, 1, (60, 4, 4))
    state = fold_all(Std(), scan_of(frames), chunks_of(frames, size=7))
    np.testing.assert_allclose(Std().result(state)["std"], frames.std(0), rtol=1e-6)


def test_pick_takes_the_pattern_of_a_point():
    frames = FRAMES.reshape(3, 4, 20, 24)
    scan = scan_of(frames, axes=("scan_y", "scan_x", "row", "col"))
    scan = scan.with_main(replace(scan.main, arrival=2))
    fold = Pick(scan_y=1, scan_x=2)
    state = fold.empty(scan)
    assert not fold.ready(state)
    fold.add(state, Chunk(FRAMES[:8], ("row", "col"), np.arange(8)))
    np.testing.assert_array_equal(fold.result(state)["data"], frames[1, 2])
    with pytest.raises(FirstlightError, match="outside"):
        Pick(scan_y=3, scan_x=0).empty(scan)


STEPS = [
    {"use": "virtual_detector", "name": "bright", "inputs": ["source.data"], "outer": 8},
    {"use": "virtual_detector", "name": "ring", "inputs": ["source.data"], "shape": "annulus", "inner": 9, "outer": 14},
    {"use": "virtual_detectors", "inputs": ["source.data"], "edges": [0, 4, 8], "sectors": 4},
    {"use": "center_of_mass", "inputs": ["source.data"]},
    {"use": "center_of_mass", "name": "inside", "inputs": ["source.data"], "radius": 8},
    {"use": "dpc", "inputs": ["source.data"], "rotation": 0},
    {"use": "sum", "inputs": ["source.data"]},
    {"use": "mean", "inputs": ["source.data"]},
    {"use": "live_patterns", "inputs": ["source.data"], "outer": 7.5},
]


def test_steps_over_the_same_frames_share_one_pass_and_find_the_same():
    source = fl.source("phantom_stem", scan_y=9, scan_x=7, pixels=32, aperture=8.0, chunk=20000)
    together = fl.run(source, STEPS)
    found = together.finished(60)
    assert any(name.count(" & ") == 7 for name in together.report()["stages"])
    frames = source.read({}).reshape(63, 32, 32)
    np.testing.assert_array_equal(found["sum"].data, frames.sum(0, dtype=np.uint64))
    np.testing.assert_array_equal(found["bright"].data.ravel(), virtual_detector(frames, outer=8))
    alone = {}
    for step in STEPS:
        alone |= dict(fl.run(source, [step]).finished(60))
    naive = fl.run(source, STEPS, runner="naive").finished(60)
    assert found.keys() == alone.keys() == naive.keys()
    for name, result in found.items():
        np.testing.assert_array_equal(result.data, alone[name].data, err_msg=name)
        np.testing.assert_array_equal(result.data, naive[name].data, err_msg=name)

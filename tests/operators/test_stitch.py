"""Tiles of a known picture, joined again."""

import numpy as np
import pytest

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import FirstlightError
from firstlight.operators.tomography.find_overlap import FindOverlap
from firstlight.operators.tomography.stitch import stitch

from .scenes import chunks_of, fold_all, projections, relative_rms

WIDE, THETA = projections(160, 64, np.arange(0, 180, 15.0))
AXES = ("tile", "row", "col")


def tiles(starts, width=70):
    return np.stack([WIDE[:, :, start : start + width] for start in starts], axis=1)


def scan_of_tiles(data):
    axes = ("angle", *AXES)
    return Scan({MAIN: Stream(axes, dict(zip(axes, data.shape, strict=True)), "float32")})


def noisy(data, dose=5000.0):
    counts = np.maximum(np.random.default_rng(0).poisson(dose * np.exp(-data)), 1)
    return -np.log(counts / dose).astype(np.float32)


@pytest.mark.parametrize("starts", [(0, 50), (0, 58), (0, 45, 90), (90, 45, 0)])
def test_tiles_beside_each_other_are_found_and_joined(starts):
    data, step = tiles(starts), starts[1] - starts[0]
    fold = FindOverlap()
    found = fold.result(fold_all(fold, scan_of_tiles(data), chunks_of(noisy(data), axes=AXES)))
    assert abs(found["offset"] - step) < 0.35
    assert abs(found["overlap"] - (70 - abs(step))) < 0.35
    assert 0.3 < found["confidence"] <= 1
    joined = stitch(data, offset=float(step))
    seen = WIDE[:, :, min(starts) : max(starts) + 70]
    np.testing.assert_allclose(joined, seen, atol=1e-5)


def test_tiles_above_each_other():
    data = np.stack([WIDE[:, :40], WIDE[:, 24:]], axis=1)
    fold = FindOverlap(direction="vertical")
    found = fold.result(fold_all(fold, scan_of_tiles(data), chunks_of(noisy(data), axes=AXES)))
    assert abs(found["offset"] - 24) < 0.25
    np.testing.assert_allclose(stitch(data, direction="vertical", offset=24.0), WIDE, atol=1e-5)


def test_between_pixels():
    x = np.arange(-20, 140) + 0.0

    def picture(at):
        return np.stack([np.sin(at / 5 + n) + np.cos(at / 11 - n / 3) for n in range(12)])

    data = np.stack([picture(x[:100]), picture(x[:100] + 61.4)])[None].astype(np.float32)
    fold = FindOverlap()
    found = fold.result(fold_all(fold, scan_of_tiles(data), chunks_of(data, axes=AXES)))
    assert abs(found["offset"] - 61.4) < 0.05
    joined = stitch(data, offset=61.4)
    assert joined.shape == (1, 12, 162)
    assert relative_rms(joined[0, :, :160], picture(x)) < 2e-3  # a cubic between pixels


def test_a_job_finds_the_overlap_and_joins_before_anything_else():
    data = tiles((0, 50))
    steps = [
        fl.step("find_overlap"),
        {"use": "stitch", "inputs": ["source"], "offset": {"from": "find_overlap"}, "size": 120},
    ]
    source = MemorySource.of(data, axes="angle tile row col", angles=THETA, arrival=1)
    found = fl.run(source, steps).finished(timeout=60)
    assert abs(found["find_overlap"].data - 50) < 0.1
    assert found["stitch"].data.shape == (12, 64, 120)
    assert relative_rms(found["stitch"].data, WIDE[:, :, :120]) < 0.02


def test_the_size_is_settled_before_the_offset_is_known():
    scan = scan_of_tiles(tiles((0, 50)))
    assert stitch().calibrated(scan).size == 140
    assert stitch(offset=50.0).calibrated(scan).size == 120
    assert stitch(direction="vertical", offset=-20.5).calibrated(scan).size == 85
    assert stitch(size=99).calibrated(scan).size == 99


def test_an_offset_that_makes_no_sense_is_refused():
    with pytest.raises(FirstlightError, match="find_overlap"):
        stitch(tiles((0, 50)))
    with pytest.raises(FirstlightError, match="70"):
        stitch(tiles((0, 50)), offset=80.0)

"""A region of any form, given as an array: the result is that of numpy over the points that are wanted."""

import numpy as np
import pytest

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.connectors.npy.source import NpySource
from firstlight.core.errors import FirstlightError

FRAMES = np.random.default_rng(0).integers(0, 1000, (5, 6, 8, 10)).astype(np.uint16)
DISK = np.hypot(*np.ogrid[-2:3, -2.5:3.5]) < 2.4


@pytest.fixture
def source(tmp_path):
    np.save(tmp_path / "scan.npy", FRAMES)
    return NpySource(path=tmp_path / "scan.npy", ignore=(9,))


def test_only_the_points_of_a_disk_are_worked_on(source):
    wanted = DISK.copy()
    assert wanted.flat[9], "the frame that is ignored anyway lies in the region"
    run = fl.run(source, {"total": fl.step("sum"), "image": fl.virtual_detector(outer=3)}, only=wanted)
    found = run.finished()
    wanted.flat[9] = False
    total = next(np.asarray(values) for name, values in found.items() if "total" in name)
    np.testing.assert_array_equal(total, FRAMES[wanted].sum(0))
    result = next(values for name, values in found.items() if "image" in name)
    image = np.asarray(result)
    np.testing.assert_array_equal(result.covered, wanted)
    whole = np.asarray(next(iter(fl.run(source, [fl.virtual_detector(outer=3)]).finished().values())))
    np.testing.assert_array_equal(image[wanted], whole[wanted])
    assert source.ignore == (9,)


def test_a_region_that_makes_no_sense_is_refused(source):
    steps = [fl.step("sum")]
    for wanted in (DISK[1:], np.zeros_like(DISK)):
        with pytest.raises(FirstlightError, match=r"does not fit the scan, or is empty.*\(5, 6\)"):
            fl.run(source, steps, only=wanted)
    with pytest.raises(FirstlightError, match="an array of int64"):
        fl.run(source, steps, only=DISK.astype(np.int64))
    with pytest.raises(FirstlightError, match="of a recorded file alone"):
        fl.run(MemorySource.of(FRAMES, "scan_y scan_x row col"), steps, only=DISK)

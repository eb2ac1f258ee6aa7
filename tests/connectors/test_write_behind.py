"""Large results leave the memory as they are written: which bytes of the file are given up, and when."""

import math

import numpy as np
import pytest

from firstlight.connectors.hdf5 import target
from firstlight.connectors.hdf5.sink import Hdf5Sink
from firstlight.connectors.hdf5.source import Hdf5Source
from firstlight.connectors.recorded import behind
from firstlight.core.chunk import Chunk

from .hdf5_written import RECORD, scan_of

FRAMES = np.random.default_rng(5).random((6, 64, 80)).astype(np.float32)
EACH = FRAMES[0].nbytes


@pytest.fixture
def small(monkeypatch):
    """Every write counts as large, the last two frames are kept, and a busy machine is no slow disk."""
    monkeypatch.setattr(target, "LARGE", EACH)
    monkeypatch.setattr(behind, "KEPT", 2 * EACH)
    monkeypatch.setattr(behind, "GRACE", math.inf)


@pytest.fixture
def told(small, monkeypatch):
    """What the system is told."""
    found = []
    monkeypatch.setattr(behind, "_advise", lambda handle, start, size: found.append((start, size)))
    return found


def written(path, orders, **options):
    """A file with the frames of each list in one write."""
    sink = Hdf5Sink(path=path, **options)
    sink.open(scan_of(FRAMES, "angle row col", coords={"angle": np.arange(6.0)}), RECORD)
    for ids in orders:
        sink.write(Chunk(FRAMES[ids], ("row", "col"), np.array(ids)))
    sink.close(RECORD, complete=True)
    return path.read_bytes()


def test_each_frame_is_given_up_when_written_and_again_behind_those_that_are_kept(tmp_path, told):
    found = written(tmp_path / "a.nxs", [[0], [1, 2], [4], [3], [5]])
    runs = [[0], [1, 2], [0], [4], [3], [1, 2], [5], [4]]
    assert [found[start : start + size] for start, size in told] == [FRAMES[run].tobytes() for run in runs]


@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"swmr": True}, {"chunks": (1, 64, 80)}])
def test_what_has_no_place_of_its_own_in_the_file_is_left_to_the_system(tmp_path, told, options):
    written(tmp_path / "a.nxs", [[0], [1]], **options)
    assert not told


def test_frames_here_and_there_parts_of_frames_and_small_writes_are_left_to_the_system(tmp_path, told, monkeypatch):
    written(tmp_path / "a.nxs", [[0, 2], [5, 1]])
    sink = Hdf5Sink(path=tmp_path / "b.nxs")
    sink.open(scan_of(FRAMES, "angle row col", coords={"angle": np.arange(6.0)}), RECORD)
    sink.write(Chunk(FRAMES[:, :32], ("row", "col"), np.arange(6), where={"row": slice(0, 32)}))
    sink.close(RECORD, complete=False)
    monkeypatch.setattr(target, "LARGE", EACH + 1)
    written(tmp_path / "c.nxs", [[0], [1]])
    assert not told


def test_a_disk_that_is_waited_for_is_left_to_the_system(tmp_path, told, monkeypatch):
    monkeypatch.setattr(behind, "GRACE", -math.inf)
    written(tmp_path / "a.nxs", [[0], [1]])
    assert not told


def test_nothing_is_lost(tmp_path, small, monkeypatch):
    monkeypatch.setattr(behind, "KEPT", 0)
    written(tmp_path / "a.nxs", [[0, 1], [5], [4], [2, 3]])
    source = Hdf5Source(path=tmp_path / "a.nxs")
    source.open()
    np.testing.assert_array_equal(source.read({}), FRAMES)
    source.close()

"""The HDF5 sink when its writer is killed, or the disk is full: the file opens and says what is missing."""

import contextlib
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from firstlight.connectors.hdf5.sink import Hdf5Sink
from firstlight.connectors.hdf5.source import Hdf5Source
from firstlight.connectors.hdf5.state import read_state
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.errors import SinkError

from .hdf5_written import RECORD


def _write_for_ever(path, parameters, known, started):
    data = np.arange(32 * 32, dtype=np.uint16).reshape(1, 32, 32)
    stream = Stream(("angle", "row", "col"), {"angle": 100_000 if known else None, "row": 32, "col": 32}, "uint16")
    sink = Hdf5Sink(path=path, **parameters)
    sink.open(Scan({MAIN: stream}), RECORD)
    for frame in range(100_000):
        sink.write(
            Chunk(data + np.uint16(frame), ("row", "col"), np.array([frame]), coords={"angle": np.array([frame * 0.1])})
        )
        if frame == 20:
            started.set()


@pytest.mark.parametrize(
    ("parameters", "known"),
    [
        ({}, True),
        ({}, False),
        ({"compression": "gzip"}, True),
        ({"compression": "bslz4"}, False),
        ({"swmr": True}, False),
    ],
    ids=["known", "growing", "gzip", "growing-bslz4", "growing-swmr"],
)
def test_killed_writer_leaves_a_file_that_opens_and_names_what_is_missing(tmp_path, parameters, known):
    path = tmp_path / "killed.nxs"
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=_write_for_ever, args=(path, parameters, known, started))
    process.start()
    assert started.wait(60)
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    state = read_state(path)
    assert not state.complete
    assert state.covered > 20
    assert state.record == RECORD
    if known:
        assert state.missing == ((0, state.covered, 99_999),)
    source = Hdf5Source(path=path, axes="angle row col", dataset="entry/data/data")
    source.open()
    frames = source.read({"angle": slice(0, state.covered)})
    source.close()
    expected = np.arange(32 * 32).reshape(32, 32) + np.arange(state.covered)[:, None, None]
    np.testing.assert_array_equal(frames, expected.astype(np.uint16))


@pytest.fixture
def small_disk():
    """A disk of 8 MiB of our own."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    with tempfile.TemporaryDirectory(prefix="firstlight-small-disk-") as folder:
        command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"no small disk can be mounted here: {made.stderr.strip()}")
        try:
            yield Path(folder)
        finally:
            # lazily: a file that a failed test left open must not keep the mount
            subprocess.run(["umount", "-l", folder], check=True)


def noisy(frame):
    """A frame that can not be compressed."""
    return np.random.default_rng(frame).integers(0, 2**16, (1, 128, 256), np.uint16)


def fill(sink, scan, frames):
    """Write until the sink refuses; how many frames it took."""
    sink.open(scan, RECORD)
    for frame in range(frames):
        try:
            sink.write(Chunk(noisy(frame), ("row", "col"), np.array([frame])))
        except SinkError as error:
            return frame, error
    raise AssertionError("the disk never filled up")


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_full_disk_is_named_and_the_file_stays_valid(small_disk, compression):
    stream = Stream(("angle", "row", "col"), {"angle": None, "row": 128, "col": 256}, "uint16")
    sink = Hdf5Sink(path=small_disk / "full.nxs", compression=compression)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2**20))
    done, error = fill(sink, Scan({MAIN: stream}), 200)
    assert "full.nxs" in str(error)
    assert re.search(r"\(\d+ byte\)", str(error))
    assert "Free some space" in str(error)
    with pytest.raises(SinkError, match="earlier write"):
        sink.write(Chunk(np.zeros((1, 128, 256), np.uint16), ("row", "col"), np.array([done])))
    sink.close({**RECORD, "failed": str(error)}, complete=True)
    state = read_state(sink.path)
    assert not state.complete
    assert state.covered == done > 0
    assert "failed" in state.record


def test_what_can_not_fit_is_refused_before_the_first_frame(small_disk):
    stream = Stream(("angle", "row", "col"), {"angle": 1000, "row": 128, "col": 256}, "uint16")
    sink = Hdf5Sink(path=small_disk / "big.nxs")
    with pytest.raises(SinkError, match=r"make room for all frames \(65537000 byte\)"):
        sink.open(Scan({MAIN: stream}), RECORD)
    assert not sink.path.exists()
    sink = Hdf5Sink(path=sink.path, overwrite=True)
    sink.path.write_text("precious")
    with pytest.raises(SinkError, match="replace the file"):
        sink.open(Scan({MAIN: stream}), RECORD)
    assert sink.path.read_text() == "precious"


@contextlib.contextmanager
def file_size_limit(size):
    """Let no file grow beyond a size: the operating system then refuses in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("known", [True, False])
def test_write_refused_by_the_system_leaves_a_valid_file(tmp_path, known):
    stream = Stream(("angle", "row", "col"), {"angle": 100 if known else None, "row": 128, "col": 256}, "uint16")
    sink = Hdf5Sink(path=tmp_path / "limited.nxs")
    scan = Scan({MAIN: stream})
    with file_size_limit(2**22):
        if known:
            with pytest.raises(SinkError, match="limit on file size"):
                sink.open(scan, RECORD)
            assert not sink.path.exists()
            return
        done, error = fill(sink, scan, 100)
        assert "limit on file size" in str(error)
        sink.close(RECORD, complete=False)
    state = read_state(sink.path)
    assert not state.complete
    assert state.covered == done > 5

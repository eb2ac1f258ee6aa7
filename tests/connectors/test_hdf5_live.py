"""HDF5 files that grow while they are read: written by another process, with SWMR, virtual, or by our own sink."""

import subprocess
import sys
import textwrap
import threading
import time

import h5py
import numpy as np
import pytest

from firstlight.connectors.hdf5.live import Hdf5LiveSource
from firstlight.core.chunk import MAIN, Chunk, End, Gap
from firstlight.core.errors import FirstlightError, SourceError

HEAD = """
import sys, time
import h5py, numpy as np
path = sys.argv[1]
def frame(n):
    return np.full((4, 6), n + 1, np.uint16)
"""
SWMR = """
with h5py.File(path, "w", libver="latest", locking=False) as file:
    data = file.create_dataset("data", (0, 4, 6), "u2", maxshape=(None, 4, 6), chunks=(1, 4, 6))
    angle = file.create_dataset("angle", (0,), "f8", maxshape=(None,), chunks=(64,))
    done = file.create_dataset("done", data=0)
    file["flat"] = np.full((2, 4, 6), 9, np.uint16)
    file.swmr_mode = True
    for n in range(FRAMES):
        data.resize(n + 1, axis=0)
        data[n] = frame(n)
        data.flush()
        angle.resize(n + 1, axis=0)
        angle[n] = 10.0 * n
        angle.flush()
        time.sleep(0.03)
    done[()] = 1
    done.flush()
    AFTER
"""


def writer(path, script, **names):
    for name, value in names.items():
        script = script.replace(name, str(value))
    return subprocess.Popen([sys.executable, "-c", HEAD + textwrap.dedent(script), str(path)])


def played(source):
    scan = source.open()
    try:
        items = list(source.items())
    finally:
        source.close()
    chunks = [item for item in items if isinstance(item, Chunk) and item.stream == MAIN]
    return scan, items, chunks


def values(chunks):
    return {int(n): int(frame[0, 0]) for chunk in chunks for n, frame in zip(chunk.ids, chunk.data, strict=True)}


def test_a_file_in_swmr_mode_that_appears_late_and_says_when_it_is_done(tmp_path):
    path = tmp_path / "grow.h5"
    source = Hdf5LiveSource(
        path=path,
        dataset="data",
        angles="angle",
        flats="flat",
        finished="done",
        every=0.05,
        timeout=60,
        axes="angle row col",
    )
    process = writer(path, SWMR, FRAMES=12, AFTER="time.sleep(1)")
    try:
        scan, items, chunks = played(source)
    finally:
        process.wait(30)
    assert scan.main.frames is None
    assert scan.streams["flat"].frames == 2
    assert values(chunks) == {n: n + 1 for n in range(12)}
    angles = {int(n): float(a) for c in chunks for n, a in zip(c.ids, c.coords["angle"], strict=True)}
    assert angles == {n: 10.0 * n for n in range(12)}
    assert [item for item in items if isinstance(item, End)][-1] == End(MAIN)
    assert not [item for item in items if isinstance(item, Gap)]


def test_a_writer_that_was_killed_leaves_gaps_and_no_hang(tmp_path):
    path = tmp_path / "grow.h5"
    assert writer(path, SWMR, FRAMES=5, AFTER="import os; os._exit(9)").wait(60) == 9
    source = Hdf5LiveSource(
        path=path, dataset="data", frames=8, angles="0::10", every=0.05, timeout=0.5, axes="angle row col"
    )
    scan, items, chunks = played(source)
    assert scan.main.frames == 8
    assert values(chunks) == {n: n + 1 for n in range(5)}
    assert [(g.first, g.last, g.kind) for g in items if isinstance(g, Gap)] == [(5, 7, "lost")]


def test_a_virtual_dataset_over_a_file_that_grows(tmp_path):
    master, part = tmp_path / "master.h5", tmp_path / "part.h5"
    with h5py.File(part, "w", libver="latest") as file:
        file.create_dataset("data", (0, 4, 6), "u2", maxshape=(None, 4, 6), chunks=(1, 4, 6))
    with h5py.File(master, "w", libver="latest") as file:
        layout = h5py.VirtualLayout((1, 4, 6), "u2", maxshape=(None, 4, 6))
        source = h5py.VirtualSource("part.h5", "data", (1, 4, 6), maxshape=(None, 4, 6))
        layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
        file.create_virtual_dataset("data", layout)
    process = writer(part, SWMR, FRAMES=9, AFTER="time.sleep(0.5)")
    live = Hdf5LiveSource(path=master, dataset="data", frames=9, angles="0:180", every=0.05, timeout=30)
    try:
        _, _, chunks = played(live)
    finally:
        process.wait(30)
    assert values(chunks) == {n: n + 1 for n in range(9)}


OWN = """
from firstlight.connectors.hdf5.sink import Hdf5Sink
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
sizes = {"angle": 10, "row": 4, "col": 6}
sink = Hdf5Sink(path=path, swmr=SWMR_MODE)
sink.open(Scan({MAIN: Stream(tuple(sizes), sizes, "uint16")}), {})
for n in [3, 0, 1, 2, 5, 4, 9, 8, 7]:
    sink.write(Chunk(frame(n)[None], ("row", "col"), np.array([n]), coords={"angle": np.array([18.0 * n])}))
    time.sleep(0.05)
time.sleep(0.3)
sink.close({}, complete=True)
"""


@pytest.mark.parametrize("swmr", [False, True])
def test_what_our_own_sink_writes_in_any_order(tmp_path, swmr):
    path = tmp_path / "own.h5"
    process = writer(path, OWN, SWMR_MODE=swmr)
    source = Hdf5LiveSource(
        path=path, dataset="entry/data/data", frames=10, angles="0:180", finished="entry@complete", every=0.05
    )
    try:
        _, items, chunks = played(source)
    finally:
        process.wait(30)
    assert values(chunks) == {n: n + 1 for n in range(10) if n != 6}
    assert [(g.first, g.last) for g in items if isinstance(g, Gap)] == [(6, 6)]


def test_a_finished_file_plays_at_once(tmp_path):
    path = tmp_path / "whole.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.arange(5, dtype=np.uint16)[:, None, None] * np.ones((1, 4, 6), np.uint16)
        file.attrs["done"] = True
    source = Hdf5LiveSource(path=path, dataset="data", angles="0::3", finished="/@done", every=0.02, timeout=30)
    _, _, chunks = played(source)
    assert values(chunks) == {n: n for n in range(5)}


def test_what_never_comes_is_named_and_stop_ends_the_wait(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        Hdf5LiveSource(path=tmp_path / "never.h5", timeout=0.1, every=0.02).open()
    (tmp_path / "text.h5").write_text("not HDF5 at all")
    with pytest.raises(SourceError, match="can not be opened"):
        Hdf5LiveSource(path=tmp_path / "text.h5", timeout=0.1, every=0.02).open()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = np.zeros((3, 4, 6))
    with pytest.raises(SourceError, match="does not exist"):
        Hdf5LiveSource(path=tmp_path / "a.h5", dataset="other", timeout=0.1, every=0.02).open()
    with pytest.raises(SourceError, match="dimensions"):
        Hdf5LiveSource(path=tmp_path / "a.h5", dataset="data", axes="angle row", timeout=0.1, every=0.02).open()
    waiting = Hdf5LiveSource(path=tmp_path / "never.h5", timeout=600)
    threading.Timer(0.3, waiting.stop).start()
    started = time.monotonic()
    with pytest.raises(FirstlightError, match="stopped"):
        waiting.open()
    assert time.monotonic() - started < 60

"""Wherever a kill cuts off what the HDF5 sink writes: the file opens, and what it marks as there is right."""

import io
import struct

import h5py
import hdf5plugin  # noqa: F401  (registers the compression filters)
import numpy as np
import pytest

from firstlight.connectors.hdf5 import writing
from firstlight.connectors.hdf5.sink import Hdf5Sink
from firstlight.connectors.hdf5.source import Hdf5Source
from firstlight.connectors.hdf5.state import read_state
from firstlight.connectors.hdf5.superblock import lookup3
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.errors import SourceError

from .hdf5_written import RECORD

SIDE = 32
LOOKED_AT = (0, 1, 2, 30, 63, 64, 65, 66)
"""Frames after whose writes the file is looked at; the index of the storage chunks takes a second node at the 65th."""
SPLITS = 2
"""Writes for which the older format's index points to a node that is not there yet, each time that it grows."""


class Writes(io.RawIOBase):
    """A file in memory that remembers every write, as a kill could cut them off."""

    def __init__(self):
        self.kept, self.done, self.place = bytearray(), [], 0

    def seek(self, offset, whence=io.SEEK_SET):
        self.place = offset + (0, self.place, len(self.kept))[whence]
        return self.place

    def tell(self):
        return self.place

    def readinto(self, out):
        found = self.kept[self.place : self.place + len(out)]
        out[: len(found)] = found
        self.place += len(found)
        return len(found)

    def write(self, data):
        put(self.kept, self.place, bytes(data))
        self.done.append((self.place, bytes(data)))
        self.place += len(data)
        return len(data)

    def truncate(self, size=None):
        size = self.place if size is None else size
        assert size >= len(self.kept), "the sink never cuts the file while it writes"
        put(self.kept, size, b"")
        return size


def put(file, place, data):
    file.extend(bytes(max(0, place + len(data) - len(file))))
    file[place : place + len(data)] = data


def written(monkeypatch, parameters, known):
    """All writes of a sink, and how many there were after the head and after each frame."""
    writes, counts = Writes(), []

    def create(path, *, overwrite, latest=False):
        return h5py.File(writes, "w", libver="latest" if latest else "earliest")

    monkeypatch.setattr(writing, "create_file", create)
    monkeypatch.setattr(writing, "take_space", lambda path, file, doing, size: None)
    frame = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(1, SIDE, SIDE)
    count = max(LOOKED_AT) + 1
    stream = Stream(("angle", "row", "col"), {"angle": count if known else None, "row": SIDE, "col": SIDE}, "uint16")
    sink = Hdf5Sink(path="killed.nxs", **parameters)
    sink.open(Scan({MAIN: stream}), RECORD)
    for n in range(count):
        counts.append(len(writes.done))
        sink.write(Chunk(frame + np.uint16(n), ("row", "col"), np.array([n]), coords={"angle": np.array([n * 0.1])}))
    sink._writing.file.id.close()  # as a kill: nothing more is written, and nobody reads what would be
    return writes.done, [*counts, len(writes.done)]


def marked_open(file):
    """A file in memory is not marked by HDF5 as one on a disk is: open for writing, in SWMR mode."""
    marked = bytearray(file)
    if marked[8] == 3:
        marked[11] = 5
        struct.pack_into("<I", marked, 44, lookup3(bytes(marked[:44])))
    return bytes(marked)


def look(path, there):
    """Whether the file can be read; if so, it is right, and has at least the frames whose writing had ended."""
    try:
        state = read_state(path)
        assert state.covered >= there
        if not state.covered:
            return True
        angles = {"angles": "entry/data/angle", "angle_unit": "deg"}
        source = Hdf5Source(path=path, axes="angle row col", dataset="entry/data/data", **angles)
        source.open()
        try:
            frames = source.read({"angle": slice(0, state.covered)})
        finally:
            source.close()
    except SourceError as error:
        if "B-tree" not in str(error):
            raise
        return False
    expected = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) + np.arange(state.covered)[:, None, None]
    np.testing.assert_array_equal(frames, expected.astype(np.uint16))
    return True


@pytest.mark.parametrize(
    ("parameters", "known", "splits"),
    [
        ({}, True, 0),
        ({}, False, SPLITS),
        ({"compression": "gzip"}, True, SPLITS),
        ({"compression": "bslz4"}, False, 2 * SPLITS),
        ({"swmr": True}, False, 0),
        ({"swmr": True, "compression": "zstd"}, True, 0),
    ],
    ids=["known", "growing", "gzip", "growing-bslz4", "growing-swmr", "zstd-swmr"],
)
def test_wherever_the_writer_is_killed_what_is_marked_is_right(tmp_path, monkeypatch, parameters, known, splits):
    writes, counts = written(monkeypatch, parameters, known)
    path, file, unreadable = tmp_path / "killed.nxs", bytearray(), 0
    for number, (place, data) in enumerate(writes, start=1):
        put(file, place, data)
        there = sum(count <= number for count in counts) - 1  # frames whose last write is in the file
        if there not in LOOKED_AT:
            continue
        path.write_bytes(marked_open(file) + bytes(4096))  # room that was taken, and not used
        unreadable += not look(path, there)
    assert unreadable <= splits


def test_a_file_that_is_just_being_closed_is_gone_on_with(tmp_path, monkeypatch):
    """What is added at the end changes groups; cut off there, it is taken back."""
    writes, count, path = Writes(), 4, tmp_path / "killed.nxs"
    beside, kept = tmp_path / "killed.nxs.before", []
    stream = Stream(("angle", "row", "col"), {"angle": count, "row": SIDE, "col": SIDE}, "uint16")
    frames = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) + np.arange(count)[:, None, None]
    parts = [Chunk(frames[n : n + 1].astype(np.uint16), ("row", "col"), np.array([n])) for n in range(count)]

    def close(path, file):
        kept.append(beside.read_bytes())
        file.close()

    with monkeypatch.context() as patched:
        patched.setattr(writing, "create_file", lambda path, **given: h5py.File(writes, "w", libver="earliest"))
        patched.setattr(writing, "take_space", lambda path, file, doing, size: None)
        patched.setattr(writing, "close_file", close)
        flush = h5py.File.flush

        def flushed(self):
            flush(self)
            path.write_bytes(writes.kept)

        patched.setattr(h5py.File, "flush", flushed)
        sink = Hdf5Sink(path=path)
        sink.open(Scan({MAIN: stream}), RECORD)
        for part in parts[:-1]:
            sink.write(part)
        begun = len(writes.done)
        sink.close({**RECORD, "counts": {"done": count}}, complete=False)
    assert not beside.exists()
    file = bytearray()
    for number, (place, data) in enumerate(writes.done, start=1):
        put(file, place, data)
        if number < begun:
            continue
        path.write_bytes(bytes(file))
        beside.write_bytes(kept[0])
        again = Hdf5Sink(path=path)
        again.resume(Scan({MAIN: stream}), RECORD, np.arange(count - 1))
        assert not beside.exists()
        again.write(parts[-1])
        again.close(RECORD, complete=True)
        with h5py.File(path) as whole:
            np.testing.assert_array_equal(whole["entry/data/data"], frames)
            assert whole["entry/data/covered"][()].all()
            assert whole["entry"].attrs["complete"]
    assert len(writes.done) - begun > 9

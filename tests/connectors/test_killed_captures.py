"""Wherever a kill cuts off a capture of a raw scan: the file is refused, or what it marks as there is right."""

import h5py
import numpy as np
import pytest

from firstlight.connectors.dxfile.sink import DXfileSink
from firstlight.connectors.dxfile.source import DXfileSource
from firstlight.connectors.hdf5 import writing
from firstlight.connectors.nxtomo.sink import NXtomoSink
from firstlight.connectors.nxtomo.source import NXtomoSource
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.errors import SourceError

from .hdf5_written import RECORD
from .test_hdf5_killed import Writes, put

SIDE = 8
COUNTS = {"dark": 2, "flat": 2, MAIN: 8}
FIRST = {"dark": 100, "flat": 200, MAIN: 1000}
"""Value of the first frame of each stream."""


LOOKED_AT = (0, 1, 2)


def scan(known):
    streams = {}
    for name, count in COUNTS.items():
        axis = "angle" if name == MAIN else "frame"
        sizes = {axis: count if known else None, "row": SIDE, "col": SIDE}
        streams[name] = Stream((axis, "row", "col"), sizes, "uint16", first=0 if name == MAIN else -count)
    return Scan(streams)


def written(monkeypatch, sink, known):
    """All writes of a sink, and how many there were after each frame."""
    writes, counts = Writes(), []
    monkeypatch.setattr(writing, "create_file", lambda path, **given: h5py.File(writes, "w", libver="earliest"))
    monkeypatch.setattr(writing, "take_space", lambda path, file, doing, size: None)
    sink.open(scan(known), RECORD)
    for stream, count in COUNTS.items():
        for n in range(count):
            frame = np.full((1, SIDE, SIDE), FIRST[stream] + n, np.uint16)
            ids = np.array([n if stream == MAIN else n - count])
            coords = {"angle": np.array([n * 10.0])} if stream == MAIN else {}
            sink.write(Chunk(frame, ("row", "col"), ids, coords=coords, stream=stream))
            counts.append(len(writes.done))
    sink._writing.file.id.close()
    return writes.done, counts


def look(source):
    source.open()
    try:
        return [item for item in source.items() if isinstance(item, Chunk)]
    finally:
        source.close()


@pytest.mark.parametrize("known", [True, False], ids=["known", "growing"])
@pytest.mark.parametrize(("kind", "source"), [(NXtomoSink, NXtomoSource), (DXfileSink, DXfileSource)])
def test_wherever_the_writer_is_killed_what_is_marked_is_right(tmp_path, monkeypatch, kind, source, known):
    writes, counts = written(monkeypatch, kind(path="killed.h5"), known)
    path, file, images = tmp_path / "killed.h5", bytearray(), COUNTS["dark"] + COUNTS["flat"]
    for number, (place, data) in enumerate(writes, start=1):
        put(file, place, data)
        there = sum(count <= number for count in counts) - images  # projections whose last write is in the file
        if there not in LOOKED_AT:
            continue
        path.write_bytes(bytes(file) + bytes(4096))  # room that was taken, and not used
        try:
            found = look(source(path=path))
        except SourceError:
            assert there == 0  # it has no projection yet
            continue
        assert sum(len(chunk) for chunk in found if chunk.stream == MAIN) >= there
        for chunk in found:
            values = chunk.data[:, 0, 0] - FIRST[chunk.stream]
            if chunk.stream == MAIN:
                np.testing.assert_array_equal(values, chunk.ids)
                np.testing.assert_array_equal(chunk.coords["angle"], chunk.ids * 10.0)
            else:
                assert values.tolist() == [0, 1]

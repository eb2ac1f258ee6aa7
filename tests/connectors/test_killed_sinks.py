"""Wherever a kill cuts off what a sink writes: the result is refused, or what it marks as there is right."""

import numpy as np
import pytest

from firstlight.connectors.npy.sink import NpySink
from firstlight.connectors.npy.source import NpySource
from firstlight.connectors.raw.sink import RawSink
from firstlight.connectors.raw.source import RawSource
from firstlight.connectors.recorded.mapped import MappedArray
from firstlight.connectors.tiff.sink import TiffSink
from firstlight.connectors.tiff.source import TiffSource
from firstlight.connectors.zarr.sink import ZarrSink
from firstlight.connectors.zarr.source import ZarrSource
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.errors import SourceError

from ..killed import every_moment

COUNT = 6
FRAMES = 1 + np.random.default_rng(0).random((COUNT, 3, 4)).astype(np.float32)
SCAN = Scan({MAIN: Stream(("angle", "row", "col"), {"angle": COUNT, "row": 3, "col": 4}, "float32")}, "scan")
WAYS = {
    "raw": (RawSink, RawSource, "out.raw", {}),
    "npy": (NpySink, NpySource, "out.npy", {}),
    "folder": (TiffSink, TiffSource, "out", {}),
    "pages": (TiffSink, TiffSource, "out.tif", {}),
    "zarr": (ZarrSink, ZarrSource, "out.zarr", {"chunks": (4, 3, 4)}),
}
OLD = 100
"""What is added to the frames of the result that is replaced."""


def chunk(place, more=0):
    ids = np.array([place])
    return Chunk(FRAMES[ids] + np.float32(more), ("row", "col"), ids, coords={"angle": 10.0 * ids})


def write(sink, places, *, more=0, complete=True):
    sink.open(SCAN, {"more": more})
    for place in places:
        sink.write(chunk(place, more))
    sink.close({"more": more}, complete=complete)


def seen(source):
    """The frames that a source gives, by id, and whether it names those that it lacks; None if it refuses."""
    try:
        source.open()
        try:
            items = list(source.items())
        finally:
            source.close()
    except SourceError:
        return None
    return {n: frame for item in items if isinstance(item, Chunk) for n, frame in zip(item.ids, item.data, strict=True)}


def right(found, there):
    """All frames are of one run, and those whose writing had ended are among them."""
    more = OLD if found and min(frame.max() for frame in found.values()) > OLD else 0
    for place, frame in found.items():
        np.testing.assert_array_equal(frame, FRAMES[place] + np.float32(more))
    assert more or set(found) >= set(there)


@pytest.mark.filterwarnings("ignore:Object at")  # zarr, of an array that was being made or removed
@pytest.mark.parametrize("replaced", [False, True], ids=["new", "replaced"])
@pytest.mark.parametrize("way", WAYS)
def test_wherever_the_writer_is_killed_what_is_marked_is_right(tmp_path, monkeypatch, way, replaced):
    kind, source, name, more = WAYS[way]
    folder, written = tmp_path / "now", []
    folder.mkdir()
    sink = kind(path=str(folder / name), overwrite=replaced, **more)
    if replaced:
        write(sink, range(COUNT), more=OLD)
    with every_moment(folder, tmp_path / "cut") as moments:
        covered = MappedArray._cover

        def cover(self, *given):
            moments.now()
            covered(self, *given)

        monkeypatch.setattr(MappedArray, "_cover", cover)
        sink.open(SCAN, {})
        for place in (0, 4):
            sink.write(chunk(place))
            written.append((len(moments.taken), place))
        sink.close({}, complete=True)
    assert len(moments.taken) >= 8
    for number, cut in enumerate(moments.taken):
        found = seen(source(path=str(cut / name)))
        there = [place for after, place in written if after <= number]
        assert found is not None or not there
        right(found or {}, there)

"""NXtomo captures: what went in comes out of our reader and of plain h5py, also unfinished."""

import h5py
import numpy as np
import pytest

from firstlight.connectors.nxtomo.sink import NXtomoSink
from firstlight.connectors.nxtomo.source import NXtomoSource
from firstlight.connectors.phantom.source import PhantomSource
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Scan, Stream
from firstlight.core.errors import SinkError
from firstlight.core.source import Source

PHANTOM = PhantomSource(columns=24, rows=4, angles=15, sets=2, flats=3, darks=2, pixel=2, chunk=900)


def played(source: Source):
    scan = source.open()
    try:
        return scan, list(source.items())
    finally:
        source.close()


def frames(items):
    return {
        (i.stream, i.set, int(n)): frame
        for i in items
        if isinstance(i, Chunk)
        for n, frame in zip(i.ids, i.data, strict=True)
    }


def capture(path, scan, items, **options):
    sink = NXtomoSink(path=path, **options)
    sink.open(scan, {"job": {}})
    for item in items:
        if isinstance(item, Chunk):
            sink.write(item)
    sink.close({"job": {}}, complete=True)


@pytest.mark.parametrize("options", [{}, {"compression": "bslz4"}])
@pytest.mark.parametrize("known", [True, False])
def test_a_captured_scan_plays_back(tmp_path, known, options):
    scan, items = played(PHANTOM)
    if not known:
        main = scan.main
        sizes = {**main.sizes, "angle": None}
        scan = scan.with_main(Stream(main.axes, sizes, main.dtype, unit=main.unit))
    capture(tmp_path / "a.nxs", scan, items, **options)
    found, again = played(NXtomoSource(path=tmp_path / "a.nxs"))
    assert frames(again).keys() == frames(items).keys()
    for key, frame in frames(items).items():
        np.testing.assert_array_equal(frames(again)[key], frame)
    np.testing.assert_allclose(found.coords["angle"], played(PHANTOM)[0].coords["angle"])
    assert found.pixel("um") == pytest.approx(2)
    assert [(e.stream, e.set) for e in again if isinstance(e, End)] == [
        (e.stream, e.set) for e in items if isinstance(e, End)
    ]
    with h5py.File(tmp_path / "a.nxs") as file:
        key = file["entry/instrument/detector/image_key"][()]
        assert {kind: int((key == kind).sum()) for kind in (0, 1, 2, 3)} == {0: 15, 1: 6, 2: 4, 3: 0}
        assert file["entry/definition"].asstr()[()] == "NXtomo"
        assert file["entry/data"].attrs["signal"] == "data"
        assert file["entry/sample/rotation_angle"].attrs["units"] == "degree"


def test_frames_that_never_came_are_invalid_in_the_file(tmp_path):
    scan, items = played(PHANTOM)
    kept = []
    for item in items:
        if isinstance(item, Chunk) and item.stream == MAIN:
            kept.append(item.take(np.flatnonzero(~np.isin(item.ids, [0, 7, 8]))))
        elif not (isinstance(item, Chunk) and item.stream == "dark" and item.set == 1):
            kept.append(item)
    capture(tmp_path / "a.nxs", scan, [item for item in kept if not isinstance(item, Chunk) or len(item)])
    found, again = played(NXtomoSource(path=tmp_path / "a.nxs"))
    assert found.main.frames == 15
    gone = [n for i in again if isinstance(i, Gap) for n in range(i.first, i.last + 1)]
    assert gone == [0, 7, 8]
    original = frames(items)
    for key, frame in frames(again).items():
        np.testing.assert_array_equal(frame, original[key])
    with h5py.File(tmp_path / "a.nxs") as file:
        assert file["entry/firstlight/missing"][()].tolist() == [[0, 0], [7, 8]]
        assert (file["entry/instrument/detector/image_key"][()] == 3).sum() == 5


def test_what_does_not_fit_is_refused(tmp_path):
    sizes = {"z": 3, "y": 4, "x": 5}
    with pytest.raises(SinkError, match="angle row col"):
        NXtomoSink(path=tmp_path / "a.nxs").open(Scan({MAIN: Stream(tuple(sizes), sizes, "float32")}), {})
    scan, items = played(PHANTOM)
    sink = NXtomoSink(path=tmp_path / "a.nxs")
    sink.open(scan, {})
    chunk = next(item for item in items if isinstance(item, Chunk))
    with pytest.raises(SinkError, match="epoch"):
        sink.write(Chunk(chunk.data, chunk.axes, chunk.ids, epoch=1))
    sink.close({}, complete=False)

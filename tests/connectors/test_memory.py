"""Memory source and sink: arrays in, arrays out, in any order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.connectors.memory.sink import MemorySink
from firstlight.connectors.memory.source import ItemSource, MemorySource
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Scan, Stream
from firstlight.core.errors import SinkError, SourceError, UnknownName
from firstlight.core.source import RandomAccess


def pump(source, sink):
    sink.open(source.open(), {"begun": True})
    for item in source.items():
        if isinstance(item, Chunk) and item.stream == MAIN:
            sink.write(item)
        elif isinstance(item, Gap):
            sink.miss(item)
    source.close()
    sink.close({"ended": True}, complete=True)
    return sink.result()


@given(
    seed=st.integers(0, 10**6),
    frames=st.integers(1, 7),
    axes=st.sampled_from(["angle row col", "scan_y scan_x row col", "time z y x", "angle col"]),
    withheld=st.integers(0, 3),
)
def test_round_trip_in_any_order(seed, frames, axes, withheld):
    draw = np.random.default_rng(seed)
    data = draw.random(draw.integers(1, 5, len(axes.split())))
    arrival = 2 if axes.startswith("scan") else 1
    total = int(np.prod(data.shape[:arrival]))
    ids = draw.permutation(total)[: max(1, total - withheld)]
    sink = MemorySink()
    result = pump(MemorySource.of(data, axes, ids=ids, frames=frames, arrival=arrival), sink)
    covered = np.isin(np.arange(total), ids).reshape(data.shape[:arrival])
    assert result.axes == tuple(axes.split())
    np.testing.assert_array_equal(result.data[covered], data[covered])
    assert (covered if result.covered is None else result.covered).tolist() == covered.tolist()
    assert sum(map(len, sink.gaps)) == total - len(ids)
    assert sink.complete
    assert sink.record == {"ended": True}


def test_darks_flats_angles_and_further_streams():
    data = np.arange(40, dtype=np.uint16).reshape(5, 2, 4)
    source = MemorySource.of(
        data,
        angles=np.arange(5) * 36,
        dark=np.zeros((2, 2, 4), np.uint16),
        flat=[np.ones((3, 2, 4), np.uint16), np.ones((1, 2, 4), np.uint16)],
        set_ids={"flat": [[-3, -2, -1], [5]]},
        streams={"monitor": (np.arange(5.0), "angle")},
        frames=2,
    )
    assert isinstance(source, RandomAccess)
    scan = source.open()
    assert scan.order == ("dark", "flat", "monitor", MAIN)
    items = list(source.items())
    assert [i.ids.tolist() for i in items if isinstance(i, Chunk) and i.stream == "flat"] == [[-3, -2], [-1], [5]]
    assert [i.ids.tolist() for i in items if isinstance(i, Chunk) and i.stream == "dark"] == [[-2, -1]]
    ends = [(i.stream, i.set) for i in items if isinstance(i, End)]
    assert ends == [
        ("dark", 0),
        ("dark", None),
        ("flat", 0),
        ("flat", 1),
        ("flat", None),
        ("monitor", None),
        (MAIN, None),
    ]
    last = [i for i in items if isinstance(i, Chunk)][-1]
    assert last.coords["angle"].tolist() == [144]
    assert np.shares_memory(last.data, data)
    np.testing.assert_array_equal(source.read({"angle": slice(1, 3), "col": slice(0, 2)}), data[1:3, :, :2])
    assert source.read({}, "flat").shape == (4, 2, 4)
    with pytest.raises(UnknownName, match="no axis 'y'"):
        source.read({"y": slice(0, 1)})


def test_order_of_streams_can_be_turned_round():
    data = np.zeros((2, 2, 2))
    source = MemorySource.of(data, flat=data, order=(MAIN, "flat"))
    assert source.open().order == (MAIN, "flat")
    assert [i.stream for i in source.items() if isinstance(i, Chunk)] == [MAIN, "flat"]


def test_mistakes_are_named():
    with pytest.raises(SourceError, match="3 different labels"):
        MemorySource.of(np.zeros((2, 2, 2)), "angle row")
    with pytest.raises(SourceError, match=r"angle.*2 values"):
        MemorySource.of(np.zeros((2, 2, 2)), angles=np.zeros(3))
    with pytest.raises(SourceError, match=r"no arrays.*MemorySource\.of"):
        MemorySource().open()
    with pytest.raises(SourceError, match="no items"):
        ItemSource().open()


def test_arrays_do_not_become_json():
    source = MemorySource.of(np.zeros((2, 2, 2)))
    with pytest.raises(Exception, match="Arrays in memory can not become part of a job file"):
        source.model_dump_json()
    assert source.model_dump() == {"axes": "angle row col", "chunk": 2**23, "frames": None}
    assert MemorySource.model_validate_json(MemorySource().model_dump_json()) == MemorySource()
    assert MemorySink.model_validate_json(MemorySink().model_dump_json()) == MemorySink()


def test_a_list_of_items_plays_as_it_is():
    stream = Stream(("angle", "row"), {"angle": None, "row": 2}, "float64")
    chunk = Chunk(np.ones((2, 2)), ("row",), np.array([3, 1]))
    items = [chunk, Gap(0, 0, 0, "test"), Chunk(np.full((1, 2), 2.0), ("row",), np.array([0]), epoch=1), End()]
    source = MemorySource.playing(Scan({MAIN: stream}), items, pausable=False)
    assert not source.pausable
    assert not isinstance(source, RandomAccess)
    sink = MemorySink()
    result = pump(source, sink)
    assert sink.epochs == (0, 1)
    assert result.data.tolist() == [[2, 2]]
    first = sink.result(0)
    assert first.covered.tolist() == [False, True, False, True]
    assert first.data[3].tolist() == [1, 1]
    source.open()
    source.stop()
    assert list(source.items()) == []


def test_blocks_and_single_arrays():
    volume = np.arange(24.0).reshape(4, 3, 2)
    stream = Stream(("z", "y", "x"), {"z": 4, "y": 3, "x": 2}, "float64", 0)
    sink = MemorySink()
    sink.open(Scan({MAIN: stream}), {})
    sink.write(Chunk(volume[None, :3], ("z", "y", "x"), np.array([9]), where={"z": slice(0, 3)}))
    assert sink.result().covered.tolist() == [True, True, True, False]
    sink.write(Chunk(volume[None], ("z", "y", "x"), np.array([9])))
    assert sink.result().covered is None
    np.testing.assert_array_equal(sink.result().data, volume)


def test_what_does_not_fit_is_refused():
    sink = MemorySink()
    with pytest.raises(SinkError, match="not open"):
        sink.write(Chunk(np.zeros((1, 2)), ("row",), np.array([0])))
    sink.open(Scan({MAIN: Stream(("angle", "row"), {"angle": 3, "row": 2}, "float64", first=10)}), {})
    with pytest.raises(SinkError, match="No frame came"):
        sink.result()
    sink.write(Chunk(np.ones((1, 2)), ("row",), np.array([12])))
    with pytest.raises(SinkError, match="ids from 10 to 12"):
        sink.write(Chunk(np.zeros((1, 2)), ("row",), np.array([13])))
    assert sink.result().data.tolist() == [[0, 0], [0, 0], [1, 1]]

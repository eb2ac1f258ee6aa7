"""The HDF5 source: any layout, and errors that name what is wrong."""

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.connectors.hdf5.source import Hdf5Source
from firstlight.connectors.recorded.place import boxes, missing_ranges, runs, volume
from firstlight.core.chunk import MAIN, Chunk, End
from firstlight.core.errors import SourceError, UnknownName
from firstlight.core.source import RandomAccess


@pytest.fixture
def scan_file(tmp_path):
    path = tmp_path / "scan.h5"
    draw = np.random.default_rng(3)
    with h5py.File(path, "w") as file:
        file["a/frames"] = draw.integers(0, 100, (40, 4, 5)).astype(">u2")
        file["a/dark"] = draw.integers(0, 10, (3, 4, 5)).astype(np.uint16)
        file["a/flat"] = draw.integers(50, 99, (2, 4, 5)).astype(np.uint16)
        file["a/rot"] = np.linspace(0, 180, 40, endpoint=False)
        file["a/rad"] = np.linspace(0, np.pi, 40, endpoint=False)
        file["a/grid"] = draw.random((3, 4, 2, 5))
        file["a/text"] = "hello"
        file["a/empty"] = np.zeros((0, 4, 5))
        file["a/gone"] = h5py.ExternalLink("nowhere.h5", "/data")
        file["a/soft"] = h5py.SoftLink("/b/c")
        file["a/packed"] = h5py.ExternalLink("scan.h5", "/a/frames")
    return path


def play(source):
    items = list(source.items())
    return items, np.concatenate([item.data for item in items if isinstance(item, Chunk) and item.stream == MAIN])


@given(start=st.integers(0, 60), length=st.integers(0, 60), shape=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_boxes_join_to_the_range(start, length, shape):
    total = int(np.prod(shape))
    start, stop = min(start, total), min(start + length, total)
    index = np.arange(total).reshape(shape)
    found = list(boxes(start, stop, shape))
    assert [number for box in found for number in index[box].ravel()] == list(range(start, stop))
    assert sum(volume(box) for box in found) == stop - start


@given(st.lists(st.booleans(), max_size=30))
def test_missing_ranges_name_what_is_not_covered(covered):
    ranges = missing_ranges(np.array(covered, dtype=bool))
    listed = [n for first, last in ranges for n in range(first, last + 1)]
    assert listed == [n for n, there in enumerate(covered) if not there]


@given(st.lists(st.integers(0, 9), max_size=12))
def test_runs_cover_a_list_of_ids(ids):
    array = np.array(ids, dtype=np.int64)
    parts = [array[start:stop] for start, stop in runs(array)]
    assert np.concatenate([np.empty(0, int), *parts]).tolist() == ids
    assert all((np.diff(part) == 1).all() for part in parts)


def test_frames_darks_flats_and_angles(scan_file):
    source = Hdf5Source(
        path=scan_file,
        dataset="a/frames",
        axes="angle row col",
        angles="a/rot",
        darks="a/dark",
        flats="a/flat",
        chunk=7 * 40,
    )
    assert source.pausable
    assert isinstance(source, RandomAccess)
    scan = source.open()
    assert scan.order == ("dark", "flat", MAIN)
    assert scan.main.dtype == "uint16"
    items, data = play(source)
    with h5py.File(scan_file, locking=False) as file:
        np.testing.assert_array_equal(data, file["a/frames"][()])
        np.testing.assert_array_equal(source.read({}, "dark"), file["a/dark"][()])
        np.testing.assert_array_equal(
            source.read({"angle": slice(5, 30, 3), "row": slice(1, 3)}), file["a/frames"][5:30:3, 1:3]
        )
    assert data.dtype.isnative
    names = [(item.stream, item.set) if isinstance(item, End) else item.stream for item in items]
    assert names == [
        "dark",
        ("dark", 0),
        ("dark", None),
        "flat",
        ("flat", 0),
        ("flat", None),
        *["data"] * 6,
        ("data", None),
    ]
    chunk = next(item for item in items if isinstance(item, Chunk) and item.stream == MAIN and 8 in item.ids)
    assert chunk.coords["angle"][chunk.ids == 8] == 36.0
    assert items[0].ids.tolist() == [-3, -2, -1]
    source.close()
    source.close()


def test_several_scan_axes_are_flattened(scan_file):
    with Opened(Hdf5Source(path=scan_file, dataset="a/grid", axes="scan_y scan_x row col", chunk=5 * 80)) as (
        source,
        scan,
    ):
        assert scan.arrival == ("scan_y", "scan_x")
        items, data = play(source)
        whole = source.read({})
        np.testing.assert_array_equal(data.reshape(3, 4, 2, 5), whole)
        np.testing.assert_array_equal(source.read({"scan_y": slice(1, 3), "col": slice(0, 2)}), whole[1:3, ..., :2])
        assert [len(item) for item in items if isinstance(item, Chunk)] == [5, 5, 2]


def test_arrival_can_be_set(scan_file):
    with Opened(Hdf5Source(path=scan_file, dataset="a/grid", axes="time z y x", arrival=1)) as (source, scan):
        assert scan.main.frame_axes == ("z", "y", "x")
        assert play(source)[1].shape == (3, 4, 2, 5)


def test_angles_from_start_and_step(scan_file):
    source = Hdf5Source(path=scan_file, dataset="a/frames", axes="angle row col", angles="10::4.5")
    with Opened(source) as (_, scan):
        np.testing.assert_allclose(scan.coords["angle"][:3], [10, 14.5, 19])


def test_sinograms_play_as_projections(scan_file):
    with h5py.File(scan_file, "r+") as file:
        frames = file["a/frames"][()]
        file["a/sinograms"] = frames.swapaxes(0, 1)
    given_ = {"dataset": "a/sinograms", "axes": "row angle col", "angles": "a/rot", "darks": "a/dark", "chunk": 200}
    with Opened(Hdf5Source(path=scan_file, **given_)) as (source, scan):
        assert scan.main.axes == ("angle", "row", "col")
        assert len(scan.coords["angle"]) == 40
        np.testing.assert_array_equal(play(source)[1], frames)
        np.testing.assert_array_equal(source.read({"row": slice(1, 3)}), frames[:, 1:3])


def test_angles_in_radians_are_refused_until_somebody_says_so(scan_file):
    given_ = {"path": scan_file, "dataset": "a/frames", "axes": "angle row col", "angles": "a/rad"}
    with pytest.raises(SourceError, match=r"as if they were radians.*Set angle_unit to 'rad'"):
        Hdf5Source(**given_).open()
    with Opened(Hdf5Source(**given_, angle_unit="rad")) as (_, scan):
        np.testing.assert_allclose(scan.coords["angle"][-1], 175.5)
    with Opened(Hdf5Source(**given_, angle_unit="deg")) as (_, scan):
        assert scan.coords["angle"][-1] < 4
    with h5py.File(scan_file, "r+") as file:
        file["a/rad"].attrs["units"] = "rad"
    with Opened(Hdf5Source(**given_)) as (_, scan):
        np.testing.assert_allclose(scan.coords["angle"][-1], 175.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dataset": "a/fraems"}, ["dataset", "'a/fraems' does not exist", "/a/frames"]),
        ({"dataset": "a"}, ["is a group"]),
        ({"dataset": "a/gone"}, ["nowhere.h5:/data", "not there"]),
        ({"dataset": "a/soft"}, ["/b/c", "not there"]),
        ({"dataset": "a/text", "axes": ""}, ["a/text", "axes"]),
        ({"dataset": "a/empty"}, ["empty"]),
        ({"axes": "angle row"}, ["shape (40, 4, 5)", "3 different labels"]),
        ({"axes": "angle row row"}, ["3 different labels"]),
        ({"darks": "a/grid"}, ["dark frames", "do not fit"]),
        ({"angles": "a/dark"}, ["60 angles", "40 frames"]),
        ({"dataset": None}, ["does not say which dataset"]),
        ({"arrival": 7}, ["arrival"]),
        ({"path": "/nonexistent/scan.h5"}, ["no such file", "folder"]),
    ],
)
def test_mistakes_are_named(scan_file, changes, words):
    given_ = {"path": scan_file, "dataset": "a/frames", "axes": "angle row col"} | changes
    with pytest.raises(SourceError) as error:
        Hdf5Source(**given_).open()
    for word in words:
        assert word in str(error.value)


def test_a_misspelled_file_is_suggested(scan_file):
    with pytest.raises(SourceError, match=r"scan\.h5"):
        Hdf5Source(path=scan_file.with_name("scna.h5"), dataset="x", axes="angle").open()


@pytest.mark.parametrize("keep", [10, 100, 4000])
def test_truncated_file_is_named(scan_file, keep):
    whole = scan_file.read_bytes()
    scan_file.write_bytes(whole[:keep])
    with pytest.raises(SourceError, match=r"cut short|can not be opened") as error:
        Hdf5Source(path=scan_file, dataset="a/frames", axes="angle row col").open()
    assert str(scan_file) in str(error.value)


def test_damaged_frames_are_named(tmp_path):
    path = tmp_path / "damaged.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset(
            "data", data=np.arange(4000.0).reshape(10, 20, 20), chunks=(1, 20, 20), compression="gzip"
        )
        place = made.id.get_chunk_info(6).byte_offset
    with path.open("r+b") as raw:
        raw.seek(place)
        raw.write(b"\xff" * 50)
    with Opened(Hdf5Source(path=path, dataset="data", axes="angle row col", chunk=3200)) as (source, _):
        items = source.items()
        assert sum(len(next(items)) for _ in range(6)) == 6
        with pytest.raises(SourceError, match=r"Frames 6 to 6 of '/data'"):
            next(items)


def test_stopping_ends_the_stream(scan_file):
    with Opened(Hdf5Source(path=scan_file, dataset="a/frames", axes="angle row col", chunk=80)) as (source, _):
        items = source.items()
        next(items)
        source.stop()
        assert list(items) == []
    with Opened(source) as (again, _):
        assert len(play(again)[1]) == 40


def test_a_file_that_this_process_has_open_already_can_be_played(scan_file):
    with (
        h5py.File(scan_file),
        Opened(Hdf5Source(path=scan_file, dataset="a/frames", axes="angle row col")) as (source, _),
    ):
        assert len(play(source)[1]) == 40


def test_unknown_axis_or_stream_and_a_closed_file(scan_file):
    source = Hdf5Source(path=scan_file, dataset="a/frames", axes="angle row col")
    with pytest.raises(SourceError, match="not open"):
        source.read({})
    with Opened(source):
        with pytest.raises(UnknownName, match="no axis 'y'"):
            source.read({"y": slice(0, 1)})
        with pytest.raises(UnknownName, match="no stream 'flat'"):
            source.read({}, "flat")


def test_virtual_dataset_without_its_sources_is_named(tmp_path):
    layout = h5py.VirtualLayout((4, 2, 2), "u2")
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["data"] = np.ones((4, 2, 2), np.uint16)
    layout[:] = h5py.VirtualSource("part.h5", "data", (4, 2, 2))
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    source = Hdf5Source(path=tmp_path / "whole.h5", dataset="data", axes="angle row col")
    with Opened(source):
        assert source.read({}).sum() == 16
    (tmp_path / "part.h5").unlink()
    with pytest.raises(SourceError, match=r"needs part\.h5:data"):
        source.open()


@given(chunk=st.integers(1, 5000), stored=st.integers(1, 12))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_chunk_size_gives_the_same_frames(tmp_path, chunk, stored):
    path = tmp_path / f"{stored}.h5"
    data = np.arange(12 * 6, dtype=np.float32).reshape(12, 2, 3)
    if not path.exists():
        with h5py.File(path, "w") as file:
            file.create_dataset("d", data=data, chunks=(stored, 2, 3), compression="lzf")
    with Opened(Hdf5Source(path=path, dataset="d", axes="angle row col", chunk=chunk)) as (source, _):
        items, got = play(source)
        np.testing.assert_array_equal(got, data)
        np.testing.assert_array_equal(np.concatenate([i.ids for i in items if isinstance(i, Chunk)]), np.arange(12))


def test_parameters_survive_json(scan_file):
    source = Hdf5Source(path=scan_file, dataset="a/frames", axes="angle row col", chunk="1 MiB", pixel="0.65 um")
    assert source.chunk == 2**20
    assert Hdf5Source.model_validate_json(source.model_dump_json()) == source
    with pytest.raises(ValueError, match="greater than 0"):
        Hdf5Source(path=scan_file, chunk=0)


class Opened:
    """Open a source for a block of a test, and close it in the end."""

    def __init__(self, source):
        self.source = source

    def __enter__(self):
        return self.source, self.source.open()

    def __exit__(self, *reason):
        self.source.close()

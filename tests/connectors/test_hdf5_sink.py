"""The HDF5 sink: any order, any axes, readers that follow."""

import json
import subprocess
import sys
import uuid

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.connectors.hdf5.sink import Hdf5Sink
from firstlight.connectors.hdf5.source import Hdf5Source
from firstlight.connectors.hdf5.state import read_state
from firstlight.core.chunk import MAIN, Chunk, Gap, Scan, Stream
from firstlight.core.errors import SinkError
from firstlight.core.units import Quantity

from .hdf5_written import RECORD, chunks_of, scan_of, write


@given(
    seed=st.integers(0, 10**6),
    size=st.integers(1, 9),
    known=st.booleans(),
    layout=st.sampled_from(["angle row col", "scan_y scan_x row col", "time scan_y scan_x col"]),
    compression=st.sampled_from(["none", "gzip", "bslz4", "zstd", "blosc"]),
    swmr=st.booleans(),
    withheld=st.integers(0, 3),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_frames_land_at_their_ids_whatever_the_order(tmp_path, seed, size, known, layout, compression, swmr, withheld):
    draw = np.random.default_rng(seed)
    labels = layout.split()
    arrival = {"angle": 1, "scan_y": 2, "time": 3}[labels[0]]
    data = draw.integers(0, 1000, draw.integers(2, 5, len(labels))).astype(np.uint16)
    frames = int(np.prod(data.shape[:arrival]))
    order = draw.permutation(frames)
    lost = set(order[:withheld].tolist()) if withheld < frames else set()
    order = [frame for frame in order.tolist() if frame not in lost]
    scan = scan_of(
        data,
        layout,
        arrival=arrival,
        sizes=None if known else {labels[0]: None},
        coords={"angle": np.arange(10)[: data.shape[0]]} if labels[0] == "angle" else {},
    )
    path = tmp_path / f"{uuid.uuid4()}.nxs"
    write(path, scan, chunks_of(data, layout, order, size, arrival=arrival), compression=compression, swmr=swmr)

    source = Hdf5Source(path=path)
    source.open()
    got = source.read({})
    covered = np.isin(np.arange(frames), order).reshape(data.shape[:arrival])[: got.shape[0]]
    np.testing.assert_array_equal(got[covered], data[: got.shape[0]][covered])
    seen = np.concatenate([item.ids for item in source.items() if isinstance(item, Chunk)])
    assert sorted(seen.tolist()) == sorted(order)
    source.close()
    listed = {frame for _, first, last in read_state(path).missing for frame in range(first, last + 1)}
    assert listed == {frame for frame in lost if frame < got.shape[0] * int(np.prod(data.shape[1:arrival]))}


def test_blocks_of_frames_make_whole_frames(tmp_path):
    data = np.random.default_rng(1).random((6, 8, 5), dtype=np.float32)
    scan = scan_of(data, "angle row col")
    sink = Hdf5Sink(path=tmp_path / "a.nxs")
    sink.open(scan, RECORD)
    ids = np.arange(6)
    for rows in (slice(5, 8), slice(0, 3), slice(0, 3)):
        sink.write(Chunk(data[:, rows], ("row", "col"), ids, where={"row": rows}))
    assert read_state(sink.path).covered == 0
    sink.write(Chunk(data[:4, 3:5], ("row", "col"), ids[:4], where={"row": slice(3, 5)}))
    sink.close(RECORD, complete=False)
    state = read_state(sink.path)
    assert (state.covered, state.missing, state.complete) == (4, ((0, 4, 5),), False)
    assert "4–5" in str(state)


def test_one_array_in_blocks(tmp_path):
    volume = np.random.default_rng(1).random((6, 5, 5), dtype=np.float32)
    scan = scan_of(volume, "z y x", arrival=0, calibration={"pixel": Quantity(2.0, "um")})
    sink = Hdf5Sink(path=tmp_path / "volume.nxs")
    sink.open(scan, RECORD)
    for planes in (slice(4, 6), slice(0, 3)):
        sink.write(Chunk(volume[None, planes], ("z", "y", "x"), np.array([99]), where={"z": planes}))
    sink.close(RECORD, complete=False)
    assert read_state(sink.path).missing == ((0, 3, 3),)
    with h5py.File(sink.path) as file:
        np.testing.assert_array_equal(file["entry/data/data"][4:], volume[4:])
        np.testing.assert_allclose(file["entry/data/x"], [-4, -2, 0, 2, 4])
        np.testing.assert_allclose(file["entry/data/y"], [4, 2, 0, -2, -4])
        assert file["entry/data/z"].attrs["units"] == "um"


def test_a_single_number(tmp_path):
    sink = write(
        tmp_path / "n.nxs", Scan({MAIN: Stream((), {}, "float64", 0)}), [Chunk(np.array([296.1]), (), np.array([0]))]
    )
    with h5py.File(sink.path) as file:
        assert file["entry/data/data"][()] == 296.1
    assert read_state(sink.path).missing == ()


def test_readers_follow_default_and_signal(tmp_path):
    data = np.zeros((4, 2, 3), np.float32)
    scan = scan_of(data, "angle row col", coords={"angle": np.array([0.0, 45, 90, 135])}, metadata={"sample": "tooth"})
    sink = write(tmp_path / "deep" / "er" / "a.nxs", scan, chunks_of(data, "angle row col", range(4), 2))
    with h5py.File(sink.path) as file:
        entry = file[file.attrs["default"]]
        group = entry[entry.attrs["default"]]
        signal = group[group.attrs["signal"]]
        assert (file.attrs["NX_class"], entry.attrs["NX_class"], group.attrs["NX_class"]) == (
            "NXroot",
            "NXentry",
            "NXdata",
        )
        assert signal.shape == (4, 2, 3)
        assert signal.attrs["units"] == "1/cm"
        axes = [name.decode() for name in group.attrs["axes"]]
        assert axes == ["angle", "row", "col"]
        assert [len(group[name]) for name in axes] == [4, 2, 3]
        np.testing.assert_allclose(group["angle"], [0, 45, 90, 135])
        assert group["angle"].attrs["units"] == "deg"
        assert bool(entry.attrs["complete"])
        assert json.loads(entry["process/record"][()])["complete"] is True
    assert sink.location() == str(sink.path)


def test_angles_of_a_scan_of_unknown_length_come_with_the_frames(tmp_path):
    data = np.arange(24, dtype=np.uint16).reshape(6, 2, 2)
    scan = scan_of(data, "angle row col", sizes={"angle": None})
    chunks = [
        Chunk(data[part], ("row", "col"), np.array(part), coords={"angle": np.array(part) * 10.0})
        for part in ([3, 2], [0], [5])
    ]
    sink = write(tmp_path / "a.nxs", scan, chunks)
    source = Hdf5Source(path=sink.path)
    with h5py.File(sink.path) as file:
        np.testing.assert_array_equal(file["entry/data/angle"], [0, np.nan, 20, 30, np.nan, 50])
    scan = source.open()
    np.testing.assert_array_equal(scan.coords["angle"][[0, 2, 3, 5]], [0, 20, 30, 50])
    assert [item for item in source.items() if isinstance(item, Gap)] == [
        Gap(0, 1, 1, "missing in the file"),
        Gap(0, 4, 4, "missing in the file"),
    ]
    source.close()


def test_restart_of_the_detector_gets_its_own_group(tmp_path):
    data = np.arange(16, dtype=np.uint16).reshape(4, 2, 2)
    again = [Chunk(data[:2] + 100, ("row", "col"), np.array([0, 1]), epoch=1)]
    gap = Gap(1, 2, 3, "never came")
    sink = write(
        tmp_path / "a.nxs",
        scan_of(data, "angle row col"),
        [*chunks_of(data, "angle row col", range(4), 4), *again],
        gaps=[gap],
    )
    with h5py.File(sink.path) as file:
        np.testing.assert_array_equal(file["entry/data/data"], data)
        np.testing.assert_array_equal(file["entry/epoch_1/data"][:2], data[:2] + 100)
        assert file["entry/missing"][()].tolist() == [[1, 2, 3]]
        assert "never came" in file["entry/missing_reason"][()].decode()
    assert read_state(sink.path).missing == ((1, 2, 3),)


def test_ids_need_not_begin_at_zero(tmp_path):
    data = np.arange(16, dtype=np.uint16).reshape(4, 2, 2)
    scan = scan_of(data, "angle row col", first=100)
    sink = write(tmp_path / "a.nxs", scan, chunks_of(data, "angle row col", [0, 1, 3], 2, first=100))
    assert read_state(sink.path).missing == ((0, 102, 102),)
    sink = Hdf5Sink(path=tmp_path / "b.nxs")
    sink.open(scan, RECORD)
    with pytest.raises(SinkError, match="ids from 100 to 103"):
        sink.write(Chunk(data, ("row", "col"), np.arange(4)))
    sink.close(RECORD, complete=False)
    assert not read_state(sink.path).complete


def test_dark_frames_are_stored_as_they_come_with_their_ids(tmp_path):
    data = np.arange(12, dtype=np.uint16).reshape(3, 2, 2)
    scan = scan_of(data, "frame row col", first=-2)
    chunks = [
        Chunk(data[:2], ("row", "col"), np.array([-2, -1])),
        Chunk(data[2:], ("row", "col"), np.array([500]), set=1),
    ]
    sink = write(tmp_path / "dark.nxs", scan, chunks)
    with h5py.File(sink.path) as file:
        np.testing.assert_array_equal(file["entry/data/data"], data)
        assert file["entry/data/frame"][()].tolist() == [-2, -1, 500]


def test_an_existing_file_is_not_overwritten_unless_told(tmp_path):
    path = tmp_path / "a.nxs"
    path.write_text("precious")
    data = np.zeros((2, 2, 2), np.uint16)
    with pytest.raises(SinkError, match=r"exists already.*overwrite"):
        Hdf5Sink(path=path).open(scan_of(data, "angle row col"), RECORD)
    assert path.read_text() == "precious"
    write(path, scan_of(data, "angle row col"), chunks_of(data, "angle row col", [0, 1], 2), overwrite=True)
    assert read_state(path).complete


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match=r"can not be created.*file/a\.nxs"):
        Hdf5Sink(path=tmp_path / "file" / "a.nxs").open(scan_of(np.zeros((2, 2)), "angle col"), RECORD)


def test_storage_chunks_must_fit_the_axes(tmp_path):
    sink = Hdf5Sink(path=tmp_path / "a.nxs", chunks=(1, 2))
    with pytest.raises(SinkError, match="one per axis"):
        sink.open(scan_of(np.zeros((2, 2, 2)), "angle row col"), RECORD)
    assert not sink.path.exists()


def test_another_file_can_be_read_while_it_is_written(tmp_path):
    data = np.arange(32, dtype=np.uint16).reshape(8, 2, 2)
    for number, parameters in enumerate(({}, {"compression": "gzip"}, {"swmr": True})):
        sink = Hdf5Sink(path=tmp_path / f"{number}.nxs", **parameters)
        sink.open(scan_of(data, "angle row col"), RECORD)
        for done, chunk in enumerate(chunks_of(data, "angle row col", range(8), 4), 1):
            sink.write(chunk)
            state = _in_another_process(sink.path)
            assert state == (4 * done, data[: 4 * done].sum(dtype=int))
        sink.close(RECORD, complete=True)


def _in_another_process(path):
    """Covered frames and sum, as a fresh process with ordinary h5py sees them."""
    code = "import sys, h5py, hdf5plugin; f = h5py.File(sys.argv[1], 'r', swmr=sys.argv[2] == '1'); print(f['entry/data/covered'][()].sum(), f['entry/data/data'][()].sum())"
    swmr = "1" if path.name == "2.nxs" else "0"
    done = subprocess.run([sys.executable, "-c", code, str(path), swmr], capture_output=True, text=True, check=True)
    return tuple(int(number) for number in done.stdout.split())


def test_parameters_survive_json_and_closing_is_harmless(tmp_path):
    sink = Hdf5Sink(path=tmp_path / "a.nxs", compression="gzip", chunks=(1, 2, 3))
    assert Hdf5Sink.model_validate_json(sink.model_dump_json()) == sink
    sink.close({}, complete=True)
    with pytest.raises(SinkError, match="not open"):
        sink.write(Chunk(np.zeros((1, 1)), ("col",), np.array([0])))

"""Sinks of a 4-D scan: HyperSpy's own reader and numpy get what went in, with calibrated axes."""

import json
import warnings
from dataclasses import replace

import h5py
import numpy as np
import pytest
import zarr

from firstlight.connectors.hdf5.sink import Hdf5Sink
from firstlight.connectors.hspy.sink import HspySink
from firstlight.connectors.npy.sink import NpySink
from firstlight.connectors.npy.source import NpySource
from firstlight.connectors.zarr.sink import ZarrSink
from firstlight.core.chunk import MAIN, Chunk, Gap, Scan, Stream
from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity

DATA = np.random.default_rng(0).integers(0, 4000, (3, 4, 5, 6)).astype(np.uint16)
SIZES = {"scan_y": 3, "scan_x": 4, "row": 5, "col": 6}
MEASURED = {
    "step_y": Quantity(0.5, "nm"),
    "step_x": Quantity(0.25, "nm"),
    "detector_angle": Quantity(1.5, "mrad"),
    "energy": Quantity(80.0, "keV"),
}
SCAN = Scan({MAIN: Stream(tuple(SIZES), SIZES, "uint16", 2)}, "series 7", MEASURED, metadata={"sample": "SrTiO3"})


def written(sink, lost=(), scan=SCAN):
    sink.open(scan, {"job": {}})
    flat = DATA.reshape(12, 5, 6)
    for ids in (np.array([5, 2, 0, 1]), np.array([3, 4]), np.arange(6, 12)):
        kept = np.array([i for i in ids if i not in lost])
        sink.write(Chunk(flat[kept], ("row", "col"), kept, received=1.7e9 + float(ids[0])))
    for place in lost:
        sink.miss(Gap(0, place, place, "never came"))
    sink.close({"job": {}}, complete=not lost)


@pytest.mark.parametrize("compression", ["none", "gzip", "bslz4"])
def test_hyperspy_opens_a_recording(tmp_path, compression):
    pytest.importorskip("rsciio")
    import hdf5plugin  # noqa: F401
    from rsciio.hspy import file_reader

    written(HspySink(path=tmp_path / "scan.hspy", compression=compression), lost=(4,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (found,) = file_reader(tmp_path / "scan.hspy", lazy=False)
    truth = DATA.copy()
    truth[1, 0] = 0
    np.testing.assert_array_equal(found["data"], truth)
    axes = found["axes"]
    assert [axis["name"] for axis in axes] == ["scan_y", "scan_x", "row", "col"]
    assert [(axis["scale"], axis["units"], axis["navigate"]) for axis in axes] == [
        (0.5, "nm", True),
        (0.25, "nm", True),
        (1.5, "mrad", False),
        (1.5, "mrad", False),
    ]
    assert axes[2]["offset"] == -3.0
    assert found["metadata"]["General"]["title"] == "series 7"
    assert found["metadata"]["Acquisition_instrument"]["TEM"]["beam_energy"] == 80.0
    assert found["original_metadata"]["sample"] == "SrTiO3"


@pytest.mark.slow
def test_hyperspy_itself_makes_a_signal_of_it(tmp_path):
    hyperspy = pytest.importorskip("hyperspy.api")
    written(HspySink(path=tmp_path / "scan.hspy"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signal = hyperspy.load(tmp_path / "scan.hspy", lazy=True)
        assert signal.axes_manager.navigation_shape == (4, 3)
        np.testing.assert_array_equal(signal.inav[1, 2].data.compute(), DATA[2, 1])


def test_numpy_loads_a_recording_and_the_source_knows_what_is_missing(tmp_path):
    written(NpySink(path=tmp_path / "scan.npy"), lost=(4,))
    truth = DATA.copy()
    truth[1, 0] = 0
    np.testing.assert_array_equal(np.load(tmp_path / "scan.npy"), truth)
    times = np.fromfile(tmp_path / "scan.npy.times", "<f8")
    np.testing.assert_array_equal(times[[0, 3, 11]], 1.7e9 + np.array([5, 3, 6]))
    assert np.isnan(times[4])
    source = NpySource(path=tmp_path / "scan.npy")
    scan = source.open()
    assert scan.main.sizes == SIZES
    assert {name: scan.calibration[name] for name in MEASURED} == MEASURED
    assert scan.metadata == {"sample": "SrTiO3"}
    gaps = [item for item in source.items() if isinstance(item, Gap)]
    assert [(gap.first, gap.last, gap.kind) for gap in gaps] == [(4, 4, "lost")]
    source.close()
    assert json.loads((tmp_path / "scan.npy.json").read_text())["missing"] == [[4, 4]]


@pytest.mark.parametrize("lines", [3, None])
def test_hdf5_and_zarr_tell_when_each_frame_came(tmp_path, lines):
    scan = replace(SCAN, streams={MAIN: replace(SCAN.main, sizes={**SIZES, "scan_y": lines})})
    written(Hdf5Sink(path=tmp_path / "scan.h5"), lost=(4,), scan=scan)
    written(ZarrSink(path=str(tmp_path / "scan.zarr")), lost=(4,), scan=scan)
    expected = 1.7e9 + np.array([[5, 5, 5, 3], [np.nan, 5, 6, 6], [6, 6, 6, 6]])
    with h5py.File(tmp_path / "scan.h5") as file:
        np.testing.assert_array_equal(file["entry/data/received"], expected)
        assert file["entry/data/received"].attrs["units"] == "s"
    found = zarr.open_array(str(tmp_path / "scan.zarr"), path="received", mode="r")
    np.testing.assert_array_equal(found[...], expected)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"scan_y": 5}, "scan_y = 5.*divides 12"),
        ({"scan_y": 4, "scan_x": 4}, "scan_y x scan_x = 16.*sync_offset"),
        ({"scan_y": 2, "scan_x": 4}, "scan_y x scan_x = 8"),
    ],
)
def test_a_wrong_scan_shape_names_the_option(tmp_path, given, named):
    np.save(tmp_path / "scan.npy", DATA.reshape(12, 5, 6))
    with pytest.raises(SourceError, match=named):
        NpySource(path=tmp_path / "scan.npy", **given).open()


def test_a_scan_that_begins_later_than_the_file(tmp_path):
    np.save(tmp_path / "scan.npy", DATA.reshape(12, 5, 6))
    source = NpySource(path=tmp_path / "scan.npy", scan_y=2, scan_x=5, sync_offset=3)
    source.open()
    block = source.read({})
    np.testing.assert_array_equal(block.reshape(10, 5, 6)[:9], DATA.reshape(12, 5, 6)[3:])
    np.testing.assert_array_equal(
        source.read({"scan_y": slice(1, 2), "scan_x": slice(1, 3), "col": slice(2, 4)})[0],
        DATA.reshape(12, 5, 6)[9:11, :, 2:4],
    )
    assert not block[1, 4].any()
    source.close()


def test_a_file_that_was_cut_off_lacks_its_last_frames(tmp_path):
    np.save(tmp_path / "scan.npy", DATA)
    whole = (tmp_path / "scan.npy").read_bytes()
    (tmp_path / "scan.npy").write_bytes(whole[:-70])
    source = NpySource(path=tmp_path / "scan.npy")
    assert source.open().main.sizes == SIZES
    gaps = [item for item in source.items() if isinstance(item, Gap)]
    assert [(gap.first, gap.last) for gap in gaps] == [(10, 11)]
    source.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{'descr'", b"\x93NUMPY\x09\x00\x10\x00" + b" " * 16]
    + [
        b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
        for text in (
            b"{'descr': '|O', 'fortran_order': False, 'shape': (2, 3, 4)}\n",
            b"{'descr': '<u2', 'fortran_order': False, 'shape': (1099511627776, 2, 1099511627776)}\n",
            b"{'descr': '<u2', 'fortran_order': False, 'shape': (-1, 3, 4)}\n",
            b"{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3)}\n",
        )
    ],
)
def test_what_is_no_scan_is_refused_in_words(tmp_path, content):
    (tmp_path / "scan.npy").write_bytes(content)
    with pytest.raises(SourceError, match="path"):
        NpySource(path=tmp_path / "scan.npy").open()

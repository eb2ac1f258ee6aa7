"""The TIFF and raw sinks: other programs' readers get what went in, and an unfinished result says so."""

import json

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.connectors.raw.sink import RawSink
from firstlight.connectors.raw.source import RawSource
from firstlight.connectors.tiff.result import _as_texts, read_state
from firstlight.connectors.tiff.sink import TiffSink
from firstlight.connectors.tiff.source import TiffSource
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.errors import SinkError, SourceError
from firstlight.core.units import Quantity

VOLUME = np.random.default_rng(0).random((7, 5, 6)).astype(np.float32)
SIZES = {"z": 7, "y": 5, "x": 6}


def scan(sizes=SIZES, arrival=1, dtype="float32", first=0):
    stream = Stream(tuple(sizes), sizes, dtype, arrival, unit="1/cm", first=first)
    return Scan({MAIN: stream}, "volume", {"pixel": Quantity(0.65, "um")})


def written(sink, order=range(7), seen=None):
    sink.open(seen or scan(), {"job": {}})
    for place in order:
        sink.write(Chunk(VOLUME[place : place + 1], ("y", "x"), np.array([place])))
    sink.close({"job": {}}, complete=True)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_a_folder_with_one_file_a_slice(tmp_path, options):
    written(TiffSink(path=tmp_path / "out", **options), order=[3, 0, 6, 1, 5, 2, 4])
    files = sorted((tmp_path / "out").glob("*.tif"))
    assert [file.name for file in files] == [f"z_{n:05}.tif" for n in range(7)]
    np.testing.assert_array_equal(np.stack([tifffile.imread(file) for file in files]), VOLUME)
    with tifffile.TiffFile(files[0]) as file:
        tags = file.pages[0].tags
        assert tags["XResolution"].value[0] / tags["XResolution"].value[1] == pytest.approx(1e4 / 0.65, rel=1e-5)
        assert json.loads(tags["ImageDescription"].value)["unit"] == "1/cm"
    told = json.loads((tmp_path / "out" / "record.json").read_text())
    assert told["complete"]
    assert told["axes"] == ["z", "y", "x"]


def test_one_file_with_all_slices_in_any_order(tmp_path):
    written(TiffSink(path=tmp_path / "out.tif"), order=[3, 0, 6, 1, 5, 2, 4])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), VOLUME)
    assert not (tmp_path / "out.tif.covered").exists()
    source = TiffSource(path=tmp_path / "out.tif")
    assert source.open().pixel("um") == pytest.approx(0.65)
    np.testing.assert_array_equal(source.read({}), VOLUME)
    source.close()


def test_one_array_that_comes_in_blocks(tmp_path):
    sink = TiffSink(path=tmp_path / "out.tif")
    sink.open(scan(arrival=0), {})
    for start in (4, 0):
        part = {"z": slice(start, min(start + 4, 7))}
        sink.write(Chunk(VOLUME[None, part["z"]], ("z", "y", "x"), np.zeros(1, np.int64), where=part))
    sink.close({}, complete=True)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), VOLUME)


def test_halves_of_a_slice_count_once_both_came(tmp_path):
    sink = TiffSink(path=tmp_path / "out.tif")
    sink.open(scan(), {})
    for cols in (slice(0, 4), slice(0, 4), slice(4, 6)):
        assert not read_state(tmp_path / "out.tif").covered[2]
        sink.write(Chunk(VOLUME[2:3, :, cols], ("y", "x"), np.array([2]), where={"x": cols}))
    assert read_state(tmp_path / "out.tif").covered.tolist() == [False, False, True, *[False] * 4]
    sink.close({}, complete=False)
    assert json.loads((tmp_path / "out.tif.json").read_text())["missing"] == [[0, 1], [3, 6]]


@pytest.mark.parametrize("name", ["out", "out.tif"])
def test_a_run_goes_on_where_it_was_interrupted(tmp_path, name):
    sink = TiffSink(path=tmp_path / name)
    written(sink, order=[0, 1, 2])
    sink.resume(scan(), {}, np.array([0, 2]))
    for place in (1, 3, 4, 5, 6):
        sink.write(Chunk(VOLUME[place : place + 1], ("y", "x"), np.array([place])))
    sink.close({}, complete=True)
    assert read_state(tmp_path / name).covered.all()
    files = sorted((tmp_path / name).glob("*.tif")) if name == "out" else [tmp_path / name]
    np.testing.assert_array_equal(
        np.concatenate([np.atleast_3d(tifffile.imread(f)).reshape(-1, 5, 6) for f in files]), VOLUME
    )


def test_what_is_there_is_not_lost_by_accident(tmp_path):
    for name in ("out", "out.tif"):
        written(TiffSink(path=tmp_path / name))
        with pytest.raises(SinkError, match=r"overwrite"):
            TiffSink(path=tmp_path / name).open(scan(), {})
        written(TiffSink(path=tmp_path / name, overwrite=True))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(SinkError, match="firstlight did not write"):
        TiffSink(path=tmp_path / "mine", overwrite=True).open(scan(), {})
    assert (tmp_path / "mine" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("seen", "options", "words"),
    [
        (scan(dtype="complex64"), {}, "no stack of images"),
        (scan({"t": 2, "z": None, "y": 5, "x": 6}), {}, "no stack of images"),
        (scan({"z": None, "y": 5, "x": 6}), {"layout": "file"}, "all lengths"),
        (scan(), {"layout": "file", "compression": "zlib"}, "not compressed"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, seen, options, words):
    with pytest.raises(SinkError, match=words):
        TiffSink(path=tmp_path / "out", **options).open(seen, {})
    assert not any(tmp_path.iterdir())


def test_a_sweep_is_a_file_for_each_slice_and_value(tmp_path):
    sizes = {"z": 2, "fbp.center": 3, "y": 4, "x": 5}
    marks = {"fbp.center": (82.0, 82.5, 83.0)}
    swept = Scan({MAIN: Stream(tuple(sizes), sizes, "float32", marks=marks)}, "sweep")
    data = np.random.default_rng(1).random((2, 3, 4, 5), np.float32)
    sink = TiffSink(path=tmp_path / "out")
    sink.open(swept, {"job": {}})
    sink.write(Chunk(data[1:], ("fbp.center", "y", "x"), np.array([1])))
    (tmp_path / "out" / "fbp.center_82.0_z_00000.tif").write_bytes(b"one of three")
    sink.close({"job": {}}, complete=False)
    assert read_state(tmp_path / "out").covered.tolist() == [False, True]
    names = [f"fbp.center_{value}_z_00001.tif" for value in ("82.0", "82.5", "83.0")]
    np.testing.assert_array_equal(np.stack([tifffile.imread(tmp_path / "out" / name) for name in names]), data[1])
    again = TiffSink(path=tmp_path / "out")
    again.resume(swept, {"job": {}}, np.array([1]))
    again.write(Chunk(data[:1], ("fbp.center", "y", "x"), np.array([0])))
    again.close({"job": {}}, complete=True)
    assert read_state(tmp_path / "out").covered.all()


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ((9.5, 10.0), ["09.5", "10.0"]),
        ((8, 16), ["08", "16"]),
        ((1e-7, 1e-6), ["1e-07", "1e-06"]),
        ((0.3333333333, 0.3333333334), ["0.3333333333", "0.3333333334"]),
        (("ram-lak", "a/b"), ["ram-lak", "a-b"]),
    ],
)
def test_values_in_the_names_of_files_are_in_order_and_never_alike(values, names):
    assert _as_texts(values) == names


def test_frames_of_an_unknown_number_go_to_a_folder(tmp_path):
    seen = scan({"angle": None, "row": 5, "col": 6})
    sink = TiffSink(path=tmp_path / "out")
    sink.open(seen, {})
    for place in (0, 1, 4):
        sink.write(Chunk(VOLUME[:1], ("row", "col"), np.array([place]), coords={"angle": np.array([2.0 * place])}))
    sink.close({}, complete=True)
    told = json.loads((tmp_path / "out" / "record.json").read_text())
    assert told["missing"] == [[2, 3]]
    assert told["angles"] == [0.0, 2.0, None, None, 8.0]


def test_raw_numbers_play_back_with_their_calibration(tmp_path):
    seen = scan({"angle": 7, "row": 5, "col": 6}, first=3)
    sink = RawSink(path=tmp_path / "out.raw")
    sink.open(seen, {})
    for place in (0, 1, 2, 5, 6):
        chunk = Chunk(VOLUME[place : place + 1], ("row", "col"), np.array([place + 3]))
        sink.write(Chunk(chunk.data, chunk.axes, chunk.ids, coords={"angle": np.array([10.0 * place])}))
    sink.close({}, complete=True)
    source = RawSource(path=tmp_path / "out.raw")
    found = source.open()
    assert found.main.first == 3
    assert found.pixel("um") == pytest.approx(0.65)
    assert found.main.unit == "1/cm"
    items = list(source.items())
    ids = [n for item in items if isinstance(item, Chunk) for n in item.ids.tolist()]
    assert ids == [3, 4, 5, 8, 9]
    np.testing.assert_array_equal(
        np.concatenate([i.data for i in items if isinstance(i, Chunk)]), VOLUME[[0, 1, 2, 5, 6]]
    )
    source.close()


PLAIN = {"shape": [3, 4, 5], "dtype": "uint16", "byteorder": "little", "axes": ["angle", "row", "col"]}
JUNK = st.one_of(
    st.none(), st.integers(), st.text(max_size=5), st.lists(st.integers(-5, 10**12), max_size=4), st.booleans()
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(
        st.sampled_from([*PLAIN, "arrival", "first_id", "angles", "calibration", "unit", "offset"]), JUNK, max_size=3
    )
)
def test_damaged_descriptions_end_in_a_clear_error_or_in_frames(tmp_path, changes):
    np.zeros(60, np.uint16).tofile(tmp_path / "a.raw")
    (tmp_path / "a.raw.json").write_text(json.dumps({**PLAIN, **changes}))
    source = RawSource(path=tmp_path / "a.raw")
    try:
        source.open()
        list(source.items())
    except SourceError:
        pass
    finally:
        source.close()


def test_an_image_that_is_as_large_as_the_scan_makes_it(tmp_path):
    """The phase of a ptychographic object: nobody knows its size before it is there."""
    scan = Scan({MAIN: Stream(("y", "x"), {"y": None, "x": None}, "float32", 0, unit="rad")}, "star")
    image = np.random.default_rng(5).normal(size=(1, 5, 7)).astype(np.float32)
    sink = TiffSink(path=tmp_path / "phase.tif")
    sink.open(scan, {})
    sink.write(Chunk(image, ("y", "x"), np.zeros(1, np.int64)))
    sink.close({}, complete=True)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "phase.tif"), image[0])
    with pytest.raises(SinkError, match="exists already"):
        TiffSink(path=tmp_path / "phase.tif").open(scan, {})
    with pytest.raises(SinkError, match="no stack of images"):
        TiffSink(path=tmp_path / "folder").open(scan, {})
    sink = TiffSink(path=tmp_path / "none.tif")
    sink.open(scan, {})
    sink.close({}, complete=False)
    assert not (tmp_path / "none.tif").exists()

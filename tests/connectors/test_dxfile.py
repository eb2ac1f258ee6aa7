"""DXfile: the real tooth, the capture sink, and files with something wrong."""

import shutil

import h5py
import numpy as np
import pytest

from firstlight.connectors.dxfile.sink import DXfileSink
from firstlight.connectors.dxfile.source import DXfileSource
from firstlight.connectors.hdf5.source import Hdf5Source
from firstlight.connectors.nxtomo.source import NXtomoSource
from firstlight.connectors.phantom.source import PhantomSource
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Scan, Stream
from firstlight.core.errors import SinkError, SourceError


@pytest.fixture
def tooth(data_folder):
    return data_folder / "tomography" / "tooth.h5"


def test_the_tooth(tooth):
    source = DXfileSource(path=tooth, chunk="100 kB")
    scan = source.open()
    assert scan.main.axes == ("angle", "row", "col")
    assert dict(scan.main.sizes) == {"angle": 181, "row": 2, "col": 640}
    assert scan.streams["flat"].frames == scan.streams["dark"].frames == 10
    assert scan.order == ("dark", "flat", MAIN)
    assert scan.metadata["sample"] == "Tooth"
    assert scan.coords["angle"][-1] == pytest.approx(179.0055, abs=1e-4)
    items = list(source.items())
    with h5py.File(tooth, locking=False) as file:
        for stream, path in (("dark", "data_dark"), ("flat", "data_white"), (MAIN, "data")):
            got = np.concatenate([item.data for item in items if isinstance(item, Chunk) and item.stream == stream])
            np.testing.assert_array_equal(got, file["exchange"][path][()])
    angles = np.concatenate([item.coords["angle"] for item in items if isinstance(item, Chunk) and item.stream == MAIN])
    np.testing.assert_array_equal(angles, scan.coords["angle"])
    assert [item.stream for item in items if isinstance(item, End) and item.set is None] == ["dark", "flat", MAIN]
    source.close()


def test_only_its_own_source_recognises_a_file(tooth, data_folder, tmp_path):
    k11 = data_folder / "tomography" / "k11-18014.nxs"
    kinds = (DXfileSource, NXtomoSource, Hdf5Source)
    assert [kind.recognises(tooth) for kind in kinds] == [True, False, False]
    assert [kind.recognises(k11) for kind in kinds[:2]] == [False, True]
    text = tmp_path / "a.txt"
    text.write_text("no HDF5")
    assert not any(kind.recognises(text) or kind.recognises(tmp_path / "absent.h5") for kind in kinds)


@pytest.fixture
def copy(tooth, tmp_path):
    path = tmp_path / "copy.h5"
    shutil.copy(tooth, path)
    path.chmod(0o644)
    return path


@pytest.mark.parametrize(
    ("change", "given_", "words"),
    [
        ("del exchange/data", {}, ["/exchange/data", "does not exist"]),
        ("del exchange/theta", {}, ["holds no angles", "0:180"]),
        ("radians", {}, ["radians", "angle_unit"]),
        ("short theta", {}, ["100 angles", "181 frames"]),
        ("del exchange/data_white", {"flats": "exchange/data_white"}, ["flats", "does not exist"]),
        ("other flats", {}, ["flat frames", "do not fit"]),
    ],
)
def test_mistakes_are_named(copy, change, given_, words):
    with h5py.File(copy, "r+") as file:
        theta = file["exchange/theta"][()]
        if change.startswith("del "):
            del file[change[4:]]
        if change in ("radians", "short theta"):
            del file["exchange/theta"]
            file["exchange/theta"] = np.deg2rad(theta) if change == "radians" else theta[:100]
        if change == "other flats":
            del file["exchange/data_white"]
            file["exchange/data_white"] = np.zeros((3, 2, 639))
    with pytest.raises(SourceError) as error:
        DXfileSource(path=copy, **given_).open()
    for word in words:
        assert word.lstrip("/") in str(error.value)


def test_missing_flats_show_in_the_scan(copy):
    with h5py.File(copy, "r+") as file:
        del file["exchange/data_white"]
    source = DXfileSource(path=copy)
    assert set(source.open().streams) == {MAIN, "dark"}
    source.close()
    source = DXfileSource(path=copy, darks=None)
    assert set(source.open().streams) == {MAIN}
    source.close()


def test_truncated_copy_is_named(copy):
    whole = copy.read_bytes()
    copy.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="cut short"):
        DXfileSource(path=copy).open()


def test_calibration_of_the_file_and_of_the_user(copy):
    with h5py.File(copy, "r+") as file:
        instrument = file["measurement"].create_group("instrument")
        instrument["detector/pixel_size"] = 6.5
        instrument["detector/pixel_size"].attrs["units"] = "microns"
        instrument["detection_system/objective/magnification"] = 10.0
        instrument["monochromator/energy"] = 25000.0
        instrument["monochromator/energy"].attrs["units"] = "eV"
    source = DXfileSource(path=copy)
    scan = source.open()
    assert scan.calibration["energy"].to("keV") == 25
    assert scan.pixel("um") == pytest.approx(0.65)
    source.close()
    with h5py.File(copy, "r+") as file:
        file["measurement/instrument/detector/pixel_size"].attrs["units"] = "furlong"
    assert "pixel" not in source.open().calibration
    assert DXfileSource(path=copy, pixel="1 mm").open().pixel("um") == pytest.approx(1000)
    source.close()


def test_a_range_stands_in_for_missing_angles(copy):
    with h5py.File(copy, "r+") as file:
        del file["exchange/theta"]
    scan = DXfileSource(path=copy, angles="0:180").open()
    assert scan.coords["angle"][1] == pytest.approx(180 / 181)


@pytest.mark.parametrize("known", [True, False])
def test_captured_scan_plays_back(tmp_path, known):
    phantom = PhantomSource(columns=32, rows=6, angles=25, sets=2, flats=3, darks=2, pixel=2, chunk=900, range=360)
    scan = phantom.open()
    if not known:
        stream = scan.main
        scan = scan.with_main(Stream(stream.axes, {**stream.sizes, "angle": None}, stream.dtype))
        scan = Scan(scan.streams, "phantom", scan.calibration)
    sink = DXfileSink(path=tmp_path / "capture.h5", compression="none" if known else "gzip")
    sink.open(scan, {"job": {}})
    chunks = [item for item in phantom.items() if isinstance(item, Chunk)]
    for chunk in chunks[::-1] if known else chunks:
        sink.write(chunk)
    sink.close({"counts": {}}, complete=True)
    source = DXfileSource(path=sink.path)
    again = source.open()
    assert again.pixel("um") == 2
    np.testing.assert_allclose(again.coords["angle"], 360 * np.arange(25) / 25)
    np.testing.assert_array_equal(source.read({}), phantom.read({}))
    sets = {(i.stream, i.set): i.ids.tolist() for i in source.items() if isinstance(i, Chunk) and i.stream != MAIN}
    if not known:
        assert sets == {
            ("dark", 0): [-2, -1],
            ("dark", 1): [25, 26],
            ("flat", 0): [-3, -2, -1],
            ("flat", 1): [25, 26, 27],
        }
    for stream in ("dark", "flat"):
        got = {
            f: x
            for i in source.items()
            if isinstance(i, Chunk) and i.stream == stream
            for f, x in zip(i.ids, i.data, strict=True)
        }
        ids = sorted(got)
        np.testing.assert_array_equal(np.stack([got[f] for f in ids]), phantom.read({}, stream))
    source.close()
    with h5py.File(sink.path) as file:
        assert bool(file.attrs["complete"])
        assert file["process/firstlight/missing"].shape == (0, 2)


def test_interrupted_capture_says_what_is_missing(tmp_path):
    stream = Stream(("angle", "row", "col"), {"angle": 6, "row": 2, "col": 2}, "uint16")
    sink = DXfileSink(path=tmp_path / "a.h5")
    sink.open(Scan({MAIN: stream}), {})
    sink.write(
        Chunk(np.ones((2, 2, 2), np.uint16), ("row", "col"), np.array([4, 1]), coords={"angle": np.array([4.0, 1.0])})
    )
    sink.close({}, complete=False)
    with h5py.File(sink.path) as file:
        assert file["process/firstlight/missing"][()].tolist() == [[0, 0], [2, 3], [5, 5]]
        assert not file.attrs["complete"]
    source = DXfileSource(path=sink.path)
    source.open()
    items = list(source.items())
    assert [(g.first, g.last, g.kind) for g in items if isinstance(g, Gap)] == [
        (0, 0, "lost"),
        (2, 3, "lost"),
        (5, 5, "lost"),
    ]
    source.close()


def test_what_a_dxfile_can_not_hold_is_refused(tmp_path):
    sink = DXfileSink(path=tmp_path / "a.h5")
    volume = Stream(("z", "y", "x"), {"z": 2, "y": 2, "x": 2}, "float32", 0)
    with pytest.raises(SinkError, match="detector frames"):
        sink.open(Scan({MAIN: volume}), {})
    assert not sink.path.exists()
    sink.open(Scan({MAIN: Stream(("angle", "row", "col"), {"angle": 2, "row": 2, "col": 2}, "uint16")}), {})
    with pytest.raises(SinkError, match="no place"):
        sink.write(Chunk(np.zeros((1, 2, 2), np.uint16), ("row", "col"), np.array([0]), stream="monitor"))
    sink.close({}, complete=False)


def test_a_scan_without_darks_takes_the_level_that_is_given(copy):
    with h5py.File(copy, "r+") as file:
        del file["exchange/data_dark"]
    assert set(DXfileSource(path=copy).open().streams) == {MAIN, "flat"}
    source = DXfileSource(path=copy, dark_level=7)
    scan = source.open()
    assert scan.order[0] == "dark"
    assert scan.streams["dark"].frames == 1
    dark = [item for item in source.items() if getattr(item, "stream", None) == "dark"]
    assert (dark[0].data == 7).all()
    assert dark[-1] == End("dark")
    np.testing.assert_array_equal(source.read({}, stream="dark"), dark[0].data)
    source.close()


def test_darks_in_the_file_win_over_a_level(copy):
    source = DXfileSource(path=copy, dark_level=7)
    assert source.open().streams["dark"].frames == 10
    source.close()

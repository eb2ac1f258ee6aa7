"""NXtomo: the real k11 file with its dangling links, and files of known content."""

import os
import shutil

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.connectors.hdf5.sink import Hdf5Sink
from firstlight.connectors.nxtomo.keys import sort_frames
from firstlight.connectors.nxtomo.source import NXtomoSource
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Scan, Stream
from firstlight.core.errors import SourceError
from firstlight.core.job import Job
from firstlight.core.pipeline import pipeline
from firstlight.core.units import Quantity
from firstlight.jobs.start import start


def make(path, key, *, angles=None, entry="entry", units="deg", definition="NXtomo", **more):
    frames = len(key)
    with h5py.File(path, "w") as file:
        group = file.create_group(entry)
        if definition:
            group["definition"] = definition
        group["instrument/detector/data"] = np.arange(frames, dtype=np.uint16)[:, None, None] * np.ones(
            (1, 3, 4), np.uint16
        )
        group["instrument/detector/image_key"] = key
        group["sample/rotation_angle"] = np.linspace(0, 180, frames) if angles is None else angles
        if units:
            group["sample/rotation_angle"].attrs["units"] = units
        group["sample/name"] = "test"
        for name, value in more.items():
            group[name.replace("__", "/")] = value
    return path


def test_the_k11_scan(data_folder):
    path = data_folder / "tomography" / "k11-18014.nxs"
    source = NXtomoSource(path=path, chunk="500 kB")
    scan = source.open()
    assert dict(scan.main.sizes) == {"angle": 3001, "row": 22, "col": 26}
    assert scan.streams["dark"].frames == scan.streams["flat"].frames == 100
    assert scan.coords["angle"][[0, -1]] == pytest.approx([89.9951, 269.9946], abs=1e-4)
    items = list(source.items())
    sets = {(i.stream, i.set): (i.ids[0], i.ids[-1]) for i in items if isinstance(i, Chunk) and i.stream != MAIN}
    assert sets == {
        ("dark", 0): (-50, -1),
        ("dark", 1): (3051, 3100),
        ("flat", 0): (-100, -51),
        ("flat", 1): (3001, 3050),
    }
    data = np.concatenate([i.data for i in items if isinstance(i, Chunk) and i.stream == MAIN])
    with h5py.File(path, locking=False) as file:
        np.testing.assert_array_equal(data, file["entry/imaging/data"][100:3101])
    assert data.dtype == np.uint16
    mean = {
        name: np.mean([i.data.mean() for i in items if isinstance(i, Chunk) and i.stream == name])
        for name in ("dark", "flat")
    }
    assert mean["dark"] == pytest.approx(99, abs=1)
    assert mean["flat"] == pytest.approx(45033, rel=0.02)
    np.testing.assert_array_equal(source.read({"angle": slice(7, 9)}), data[7:9])
    assert [(e.stream, e.set) for e in items if isinstance(e, End)] == [
        ("dark", 0), ("dark", 1), ("dark", None), ("flat", 0), ("flat", 1), ("flat", None), (MAIN, None),
    ]  # fmt: skip
    source.close()


@pytest.fixture
def k11_copy(data_folder, tmp_path):
    for name in ("k11-18014.nxs", "k11-18014/k11-18014-imaging.h5", "k11-18014/k11-18014-pcompPanda.h5"):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(data_folder / "tomography" / name, target)
        target.chmod(0o644)
    return tmp_path / "k11-18014.nxs"


def test_a_link_that_is_needed_and_dangles_is_named(k11_copy):
    frames = k11_copy.parent / "k11-18014" / "k11-18014-imaging.h5"
    whole = frames.read_bytes()
    frames.unlink()
    with pytest.raises(SourceError, match=r"k11-18014-.*not there"):
        NXtomoSource(path=k11_copy, data="entry/imaging/data").open()
    frames.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"k11-18014-imaging\.h5.*can not be opened"):
        NXtomoSource(path=k11_copy, data="entry/imaging/data").open()
    frames.write_bytes(whole)
    os.remove(k11_copy.parent / "k11-18014" / "k11-18014-pcompPanda.h5")
    with pytest.raises(SourceError, match=r"has no angles.*pcompPanda\.h5"):
        NXtomoSource(path=k11_copy).open()


def test_missing_frames_behind_links_are_named_without_being_asked_for(k11_copy):
    (k11_copy.parent / "k11-18014" / "k11-18014-imaging.h5").unlink()
    with pytest.raises(
        SourceError, match=r"link that leads nowhere.*EtherCAT\.h5|link that leads nowhere.*imaging\.h5"
    ):
        NXtomoSource(path=k11_copy).open()


def test_invalid_frames_are_excluded(tmp_path):
    path = make(tmp_path / "a.nxs", [2, 1, 1, 0, 0, 3, 3, 0, 0, 3, 1])
    source = NXtomoSource(path=path, chunk=3 * 24)
    scan = source.open()
    assert scan.main.frames == 7
    items = list(source.items())
    gaps = [item for item in items if isinstance(item, Gap)]
    assert [(g.first, g.last, g.kind) for g in gaps] == [(2, 2, "excluded"), (3, 3, "excluded"), (6, 6, "excluded")]
    got = {
        f: x[0, 0]
        for i in items
        if isinstance(i, Chunk) and i.stream == MAIN
        for f, x in zip(i.ids.tolist(), i.data, strict=True)
    }
    assert got == {0: 3, 1: 4, 4: 7, 5: 8}
    angle = np.concatenate([i.coords["angle"] for i in items if isinstance(i, Chunk) and i.stream == MAIN])
    np.testing.assert_allclose(angle, np.linspace(0, 180, 11)[[3, 4, 7, 8]])
    expected = len(scan.coords["angle"])
    assert expected == sum(len(i) for i in items if isinstance(i, Gap) or (isinstance(i, Chunk) and i.stream == MAIN))


def test_flats_in_between_are_placed_where_they_were_taken(tmp_path):
    path = make(tmp_path / "a.nxs", [1, 1, 0, 0, 0, 1, 1, 0, 0, 2])
    source = NXtomoSource(path=path)
    source.open()
    sets = {(i.stream, i.set): i.ids.tolist() for i in source.items() if isinstance(i, Chunk)}
    assert sets == {("flat", 0): [-2, -1], ("flat", 1): [3, 4], ("dark", 0): [5], (MAIN, 0): [0, 1, 2]} | {
        (MAIN, 0): sets[MAIN, 0]
    }
    assert source.read({})[:, 0, 0].tolist() == [2, 3, 4, 7, 8]
    source.close()


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, -1]), min_size=1, max_size=40).filter(lambda key: 0 in key))
def test_every_frame_has_one_place(key):
    kinds = sort_frames(np.array(key))
    assert len(kinds.rows) == sum(k in (0, 3, -1) for k in key)
    assert [key[row] == 0 for row in kinds.rows] == kinds.valid.tolist()
    for sets, kind in ((kinds.darks, 2), (kinds.flats, 1)):
        rows = [row for each in sets for row in each.rows.tolist()]
        ids = [frame for each in sets for frame in each.ids.tolist()]
        assert rows == [row for row, k in enumerate(key) if k == kind]
        assert ids == sorted(set(ids))


def test_alignment_frames_are_excluded(tmp_path):
    control = np.array([2, 1, 0, 0, 0, -1, -1])
    path = make(tmp_path / "a.nxs", [2, 1, 0, 0, 0, 0, 0], instrument__detector__image_key_control=control)
    source = NXtomoSource(path=path)
    source.open()
    items = list(source.items())
    assert [(g.first, g.last, g.kind) for g in items if isinstance(g, Gap)] == [(3, 4, "excluded")]


def test_units_and_places_of_facilities(tmp_path):
    key = np.array([2.0, 1.0] + [0.0] * 40)
    angles = np.concatenate([[0, 0], np.linspace(0, np.pi, 40, endpoint=False)])
    path = make(
        tmp_path / "a.nxs", key, angles=angles, units="rad", entry="entry1/tomo_entry",
        instrument__detector__x_pixel_size=6.5e-6, beam__incident_energy=25.0, instrument__detector__distance=0.2,
    )  # fmt: skip
    with h5py.File(path, "r+") as file:
        file["entry1/tomo_entry/beam/incident_energy"].attrs["units"] = "keV"
    scan = NXtomoSource(path=path).open()
    assert scan.coords["angle"][-1] == pytest.approx(175.5)
    assert scan.pixel("um") == pytest.approx(6.5)
    assert scan.calibration["energy"].to("keV") == 25
    assert scan.calibration["distance"].to("mm") == pytest.approx(200)
    assert NXtomoSource(path=path, pixel=1.0, energy="30 keV").open().calibration["energy"].value == 30
    assert scan.metadata["sample"] == "test"


@pytest.mark.parametrize(
    ("key", "changes", "words"),
    [
        ([1, 2, 7, 0], {}, ["image_key", "7", "0 projection"]),
        ([1, 1, 2, 2], {}, ["no frame as a projection"]),
        ([0, 0, 0], {"drop": "instrument/detector/image_key"}, ["no image_key", "instrument/detector/image_key"]),
        ([0, 0, 0], {"drop": "instrument/detector/data"}, ["has no frames"]),
        ([0, 0, 0], {"drop": "sample/rotation_angle"}, ["has no angles", "rotation_angle"]),
        ([0, 0, 0], {"image_key": np.array([0, 0])}, ["2 entries for 3 frames"]),
        ([0] * 40, {"angles": np.linspace(0, 3.14, 40)}, ["radians"]),
        ([0] * 4, {"units": "furlong"}, ["furlong", "angle_unit"]),
    ],
)
def test_mistakes_are_named(tmp_path, key, changes, words):
    path = tmp_path / "a.nxs"
    make(path, key, angles=changes.get("angles"), units=changes.get("units"))
    with h5py.File(path, "r+") as file:
        if "drop" in changes:
            del file["entry"][changes["drop"]]
        if "image_key" in changes:
            del file["entry/instrument/detector/image_key"]
            file["entry/instrument/detector/image_key"] = changes["image_key"]
    with pytest.raises(SourceError) as error:
        NXtomoSource(path=path).open()
    for word in words:
        assert word in str(error.value)


def test_files_that_hold_no_scan(tmp_path):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        file["x"] = 1
    with pytest.raises(SourceError, match="no NXtomo entry"):
        NXtomoSource(path=tmp_path / "a.nxs").open()
    with pytest.raises(SourceError, match="no group 'scan'"):
        NXtomoSource(path=tmp_path / "a.nxs", entry="scan").open()


def test_missing_flats_show_in_the_scan(tmp_path):
    assert set(NXtomoSource(path=make(tmp_path / "a.nxs", [0, 0, 2])).open().streams) == {MAIN, "dark"}


def test_a_reconstruction_plays_as_slices(tmp_path):
    with h5py.File(tmp_path / "rec.nxs", "w") as file:
        file["entry/definition"] = "NXtomoproc"
        file["entry/data/data"] = np.arange(24.0).reshape(2, 3, 4)
    source = NXtomoSource(path=tmp_path / "rec.nxs")
    scan = source.open()
    assert scan.main.axes == ("z", "y", "x")
    assert sum(len(item) for item in source.items() if isinstance(item, Chunk)) == 2
    source.close()


def test_virtual_frames(tmp_path):
    make(tmp_path / "raw.nxs", [0, 0, 0, 1])
    layout = h5py.VirtualLayout((4, 3, 4), "u2")
    layout[:] = h5py.VirtualSource("raw.nxs", "entry/instrument/detector/data", (4, 3, 4))
    path = make(tmp_path / "master.nxs", [0, 0, 0, 1])
    with h5py.File(path, "r+") as file:
        del file["entry/instrument/detector/data"]
        file.create_virtual_dataset("entry/instrument/detector/data", layout)
    source = NXtomoSource(path=path)
    source.open()
    assert source.read({})[:, 0, 0].tolist() == [0, 1, 2]
    source.close()
    (tmp_path / "raw.nxs").unlink()
    with pytest.raises(SourceError, match=r"needs raw\.nxs"):
        source.open()


def without_key(path, **images):
    """Diamond's older layout: no key, darks and flats beside the frames."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry1/tomo_entry")
        entry["definition"] = np.bytes_("NXtomo")
        entry["instrument/detector/data"] = np.arange(6, dtype=np.float32)[:, None, None] * np.ones(
            (1, 3, 4), np.float32
        )
        for name, image in images.items():
            entry[f"instrument/detector/{name}"] = image
        entry["data/rotation_angle"] = np.linspace(0, 180, 6)
    return path


def test_darks_and_flats_in_datasets_of_their_own(tmp_path):
    path = without_key(tmp_path / "a.nxs", darkfield=np.full((3, 4), 7.0), flatfield=np.full((5, 3, 4), 9.0))
    assert NXtomoSource.recognises(path)
    source = NXtomoSource(path=path)
    scan = source.open()
    assert {name: stream.frames for name, stream in scan.streams.items()} == {MAIN: 6, "dark": 1, "flat": 5}
    sets = {(i.stream, int(n)) for i in source.items() if isinstance(i, Chunk) and i.stream != MAIN for n in i.ids}
    assert sets == {("dark", -1), *(("flat", n) for n in range(-5, 0))}
    assert scan.main.dtype == "float32"
    source.close()


def test_darks_and_flats_in_other_files(tmp_path):
    path = without_key(tmp_path / "a.nxs")
    with pytest.raises(SourceError, match="no image_key"):
        NXtomoSource(path=path).open()
    with h5py.File(tmp_path / "flats.h5", "w") as file:
        file["entry/images"] = np.full((4, 3, 4), 9.0)
    source = NXtomoSource(path=path, flats="flats.h5:entry/images", dark_level=0)
    scan = source.open()
    assert scan.streams["flat"].frames == 4
    assert source.read({}, "flat").sum() == 9 * 48
    source.close()
    with h5py.File(tmp_path / "flats.h5", "r+") as file:  # closed with the source
        file["more"] = 1
    for wrong in ("nowhere.h5:entry/images", "flats.h5:entry/nothing", "entry/nothing"):
        with pytest.raises(SourceError):
            NXtomoSource(path=path, flats=wrong).open()


def test_flats_elsewhere_take_the_place_of_those_that_the_key_marks(tmp_path):
    path = make(tmp_path / "a.nxs", [2, 1, 1, 0, 0, 0.0])
    with h5py.File(path, "r+") as file:
        file["better"] = np.full((3, 3, 4), 50.0)
    source = NXtomoSource(path=path, flats="better", angles="0:180")
    scan = source.open()
    assert scan.streams["flat"].frames == 3
    assert source.read({}, "flat").max() == 50
    assert source.read({}, "dark").shape == (1, 3, 4)
    source.close()


def test_our_own_volume_is_an_nxtomoproc(tmp_path):
    sizes = {"z": 3, "y": 4, "x": 4}
    volume = np.random.default_rng(0).random((3, 4, 4)).astype(np.float32)
    scan = Scan({MAIN: Stream(tuple(sizes), sizes, "float32", unit="1/cm")}, calibration={"pixel": Quantity(2, "um")})
    sink = Hdf5Sink(path=tmp_path / "volume.nxs")
    sink.open(scan, {"job": {"source": {"use": "nxtomo", "path": "raw.nxs"}}})
    for z in (0, 2):
        sink.write(Chunk(volume[z : z + 1], ("y", "x"), np.array([z])))
    sink.close({}, complete=True)
    with h5py.File(tmp_path / "volume.nxs") as file:
        assert file["entry/definition"].asstr()[()] == "NXtomoproc"
        assert file["entry/reconstruction/parameters/raw_file"].asstr()[()] == "raw.nxs"
    source = NXtomoSource(path=tmp_path / "volume.nxs")
    found = source.open()
    assert (found.main.axes, found.main.unit, found.pixel("um")) == (("z", "y", "x"), "1/cm", 2)
    items = list(source.items())
    np.testing.assert_array_equal(np.concatenate([i.data for i in items if isinstance(i, Chunk)]), volume[[0, 2]])
    assert [(g.first, g.last, g.kind) for g in items if isinstance(g, Gap)] == [(1, 1, "lost")]
    source.close()


@pytest.mark.parametrize("path", [None, "entry/sample/current"])
def test_frames_are_normalised_by_the_monitor_of_the_file(tmp_path, path):
    key = [2, 1, 0, 0, 3, 0]
    counts = np.array([9.0, 10.0, 20.0, 5.0, 1.0, 0.0])
    where = {"control__data": counts} if path is None else {"sample__current": counts, "control__data": counts + 7}
    file = make(tmp_path / "scan.nxs", key, **where)
    source = NXtomoSource(path=file, monitor=path)
    assert source.open().coords["monitor"].tolist() == [20.0, 5.0, 1.0, 0.0]
    source.close()
    job = Job(source, pipeline([{"use": "normalize_by_monitor", "reference": 10.0}]), collect=True)
    found = start(job).finished(60)["normalize_by_monitor.data"].data
    assert found[0] == pytest.approx(np.full((3, 4), 2 * 10.0 / 20.0))
    assert found[1] == pytest.approx(np.full((3, 4), 3 * 10.0 / 5.0))
    assert np.isnan(found[3]).all(), "the monitor saw no beam"


def test_a_monitor_that_does_not_fit(tmp_path):
    file = make(tmp_path / "scan.nxs", [0, 0, 0], control__data=np.ones(2))
    assert "monitor" not in NXtomoSource(path=file).open().coords
    with pytest.raises(SourceError, match="3 numbers"):
        NXtomoSource(path=file, monitor="entry/control/data").open()
    with pytest.raises(SourceError, match="nowhere"):
        NXtomoSource(path=file, monitor="entry/nowhere").open()

"""Scans in the layouts of ptypy, HXN, ptychodus and pty-chi: recognised, reconstructed, and refused where they make no sense."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import firstlight as fl
from firstlight.connectors.hxn.sim import HxnSimulator
from firstlight.connectors.hxn.source import HxnFileSource
from firstlight.connectors.ptychodus.source import PtychodusSource
from firstlight.connectors.ptypy.source import PtydSource
from firstlight.connectors.recorded.amplitudes import Joined, Squared
from firstlight.connectors.recorded.frames import ArrayReader
from firstlight.core.chunk import MAIN, Gap
from firstlight.core.errors import SourceError
from firstlight.jobs.defaults import suggest

from .ptycho_files import METRES, PIXEL, dumped, hxn, ptychodus, ptyd, scene

MADE = scene()


def written(layout, folder):
    if layout == "ptyd":
        return ptyd(folder / "scan.ptyd", MADE)
    if layout == "linked":
        return ptyd(folder / "scan.ptyd", MADE, linked=True)
    if layout in ("patterns", "product", "unknown optics"):
        frames, product = ptychodus(folder, MADE, optics=layout != "unknown optics")
        return product if layout == "product" else frames
    return {"hxn": hxn, "dumped": dumped}[layout](folder / "scan_7.h5", MADE)


LAYOUTS = ("ptyd", "linked", "hxn", "dumped", "patterns", "product", "unknown optics")


ALIKE = {"linked", "product", "dumped"}
"""Layouts whose frames and positions the next test compares: their reconstructions are slow tests."""


@pytest.mark.parametrize(
    "layout", [pytest.param(each, marks=pytest.mark.slow if each in ALIKE else ()) for each in LAYOUTS]
)
def test_a_file_is_recognised_and_reconstructs_the_phantom(layout, tmp_path):
    """Σ(|Ψ| − √I)² / ΣI comes below four times what the photons' noise leaves, in 60 passes of ePIE."""
    path = written(layout, tmp_path)
    job = suggest(path, tmp_path / "out.h5", overrides={"ptychography.iterations": 60}).job
    (step,) = job["steps"]
    assert ("probe" in step) == (layout in LAYOUTS[-3:])
    source = fl.source(**job["source"])
    found = fl.run(source, [fl.step(**{**step, "iterations": 60, "threads": 2})]).finished()
    assert found["ptychography.error"].data[-1] < 4 * MADE.noise


@pytest.mark.parametrize("layout", LAYOUTS)
def test_frames_positions_and_optics_are_those_of_the_scan(layout, tmp_path):
    path = written(layout, tmp_path)
    source = fl.source(**suggest(path, tmp_path / "out.h5").job["source"])
    scan = source.open()
    frames, places = source.read({}), source.read({}, "positions")
    source.close()
    if layout == "hxn":
        frames = np.fft.fftshift(frames, axes=(1, 2))
    np.testing.assert_allclose(frames, MADE.frames, rtol=1e-5)
    if layout == "unknown optics":
        assert (scan.streams["positions"].unit, dict(scan.calibration)) == ("px", {})
        np.testing.assert_allclose(places, MADE.places / MADE.step, rtol=1e-9)
        return
    factor = {"m": 1, "um": 1e-6}[scan.streams["positions"].unit]
    np.testing.assert_allclose(places * factor, MADE.places, rtol=1e-9)
    found = scan.calibration
    assert found["energy"].to("keV") == pytest.approx(9, rel=1e-6)
    assert found["distance"].to("m") == pytest.approx(METRES)
    assert found["pixel"].to("m") == pytest.approx(PIXEL, rel=1e-6)


def test_frames_without_a_position_are_excluded(tmp_path):
    frames, _ = ptychodus(tmp_path, MADE, skip=(3, 4))
    source = PtychodusSource(path=frames)
    source.open()
    gaps = [item for item in source.items() if isinstance(item, Gap) and item.stream == MAIN]
    source.close()
    assert [(gap.first, gap.last, gap.kind) for gap in gaps] == [(3, 4, "excluded")]


def test_pixels_without_weight_do_not_count(tmp_path):
    path = ptyd(tmp_path / "a.ptyd", MADE)
    with h5py.File(path, "r+") as file:
        file["chunks/1/weights"][5, 2, 3] = False
    source = PtydSource(path=path)
    source.open()
    data = source.read({})
    source.close()
    assert (data[:, 2, 3] == -1).all()
    np.testing.assert_array_equal(data[:, 2, 4], MADE.frames[:, 2, 4])


def test_a_linked_chunk_is_read_from_beside_the_file_alone(tmp_path):
    """Files that were copied elsewhere still fit together; a link can not lead a reader out of the folder."""
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    ptyd(tmp_path / "a" / "x.ptyd", MADE, linked=True)
    for each in (tmp_path / "a").iterdir():
        each.rename(tmp_path / "b" / each.name)
    PtydSource(path=tmp_path / "b" / "x.ptyd").open()
    part = tmp_path / "b" / "x.ptyd.part001"
    part.rename(tmp_path / "a" / "elsewhere")
    with pytest.raises(SourceError, match="no such file beside"):
        PtydSource(path=tmp_path / "b" / "x.ptyd").open()
    part.symlink_to(tmp_path / "a" / "elsewhere")
    with pytest.raises(SourceError, match="out of the folder"):
        PtydSource(path=tmp_path / "b" / "x.ptyd").open()


def test_what_can_not_be_known_is_asked_for(tmp_path):
    frames, product = ptychodus(tmp_path, MADE)
    product.rename(tmp_path / "elsewhere.txt")
    with pytest.raises(SourceError, match=r"source\.product=FILE"):
        suggest(frames, tmp_path / "out.h5")
    given = suggest(frames, tmp_path / "out.h5", source={"product": str(tmp_path / "elsewhere.txt")})
    assert given.job["source"]["use"] == "ptychodus"
    path = ptyd(tmp_path / "a.ptyd", MADE)
    with h5py.File(path, "r+") as file:
        for number in range(3):
            file[f"chunks/{number}/positions"][...] *= 1e6
    with pytest.raises(SourceError, match="position_unit"):
        suggest(path, tmp_path / "out.h5")
    assert suggest(path, tmp_path / "out.h5", source={"position_unit": "um"}).job["source"]["use"] == "ptyd"
    counts = hxn(tmp_path / "scan_1.h5", MADE)
    with h5py.File(counts, "r+") as file:
        file["diffamp"][...] = file["diffamp"][()] ** 2 * 100
    with pytest.raises(SourceError, match=r"source\.values=counts"):
        HxnFileSource(path=counts).open()


def broken(change):
    """Of each layout a file with one thing wrong, and the reader that must say so."""

    def put(file, name, value):
        del file[name]
        file[name] = value

    if change == "positions of another scan":
        return [
            ("ptyd", lambda file: put(file, "chunks/0/positions", np.zeros((5, 2)))),
            ("hxn", lambda file: put(file, "points", np.zeros((2, 80)))),
            ("product", lambda file: put(file, "probe_position_x_m", np.zeros(80))),
        ]
    if change == "no numbers":
        return [
            ("ptyd", lambda file: put(file, "chunks/0/data", [b"abc"])),
            ("hxn", lambda file: put(file, "diffamp", [b"abc"])),
            ("product", lambda file: put(file, "probe_position_y_m", [b"abc"])),
        ]
    if change == "absurd size":
        return [
            ("ptyd", lambda file: _huge(file, "chunks/0/data", (27, 2**20, 2**20))),
            ("hxn", lambda file: _huge(file, "points", (2, 2**40))),
            ("product", lambda file: _huge(file, "probe_position_y_m", (2**45,))),
        ]
    return [
        ("ptyd", lambda file: put(file, "chunks/2/data", np.zeros((27, 16, 16), np.int32))),
        ("hxn", lambda file: put(file, "points", np.zeros((3, 81)))),
        ("product", lambda file: put(file, "probe_position_indexes", np.arange(1, 82))),
    ]


def _huge(file, name, shape):
    del file[name]
    file.create_dataset(name, shape, np.float32, chunks=(1,) * (len(shape) - 1) + (64,))


@pytest.mark.parametrize("change", ["positions of another scan", "no numbers", "absurd size", "wrong shapes"])
def test_files_that_make_no_sense_are_refused(change, tmp_path):
    for number, (layout, spoil) in enumerate(broken(change)):
        (folder := tmp_path / str(number)).mkdir()
        path = written(layout, folder)
        with h5py.File(path, "r+") as file:
            spoil(file)
        reader = {"ptyd": PtydSource, "hxn": HxnFileSource, "product": PtychodusSource}[layout]
        with pytest.raises(SourceError):
            reader(path=path).open()


@pytest.mark.parametrize("layout", ["ptyd", "hxn", "product"])
def test_a_file_cut_short_is_told(layout, tmp_path):
    path = written(layout, tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match=r"cut short|can not be opened"):
        {"ptyd": PtydSource, "hxn": HxnFileSource, "product": PtychodusSource}[layout](path=path).open()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_told(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    path = written(data.draw(st.sampled_from(["ptyd", "hxn", "product"])), folder)
    whole, noise = path.read_bytes(), data.draw(st.binary(min_size=1, max_size=64))
    at = data.draw(st.integers(0, min(len(whole), 12_000) - len(noise)))
    path.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    for reader in (PtydSource, HxnFileSource, PtychodusSource):
        if not reader.recognises(path):
            continue
        source = reader(path=path)
        try:
            source.open()
            list(source.items())
        except SourceError:
            pass
        finally:
            source.close()


@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6), data=st.data())
def test_arrays_that_are_joined_read_as_one(lengths, data):
    parts = [np.random.default_rng(n).normal(size=(length, 2, 3)) for n, length in enumerate(lengths)]
    whole = np.concatenate(parts)
    start = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(start + 1, len(whole)))
    out = np.empty((stop - start, 2, 2))
    Joined([ArrayReader(part, "part") for part in parts]).read_into((slice(start, stop), slice(0, 2), slice(1, 3)), out)
    np.testing.assert_array_equal(out, whole[start:stop, :, 1:])


def test_an_amplitude_that_is_too_large_measures_nothing():
    out = np.empty((1, 1, 3), np.float32)
    Squared(ArrayReader(np.float32([[[3, 1e30, np.nan]]]), "part")).read_into((slice(0, 1),) * 2 + (slice(0, 3),), out)
    np.testing.assert_array_equal(out, [[[9, np.nan, np.nan]]])


@pytest.mark.parametrize("layout", ["linked", "hxn", "product"])
def test_a_replay_plays_what_the_file_holds(layout, tmp_path):
    """As whole counts, read a few at a time; what does not measure goes out as the largest value."""
    path = written(layout, tmp_path)
    if layout == "linked":
        with h5py.File(tmp_path / "scan.ptyd.part001", "r+") as file:
            file["weights"][5, 2, 3] = False
    frames, places, told = HxnSimulator(file=path, chunk_size=10)._load(tmp_path)
    wanted = np.fft.ifftshift(MADE.frames, axes=(1, 2)) if layout == "hxn" else MADE.frames.copy()
    if layout == "linked":
        wanted[:, 2, 3] = 65535
    assert frames.dtype == np.uint16
    np.testing.assert_array_equal(frames, wanted)
    np.testing.assert_allclose(places * {"um": 1e-6, "m": 1}[told["unit"]], MADE.places)
    assert set(told["calibration"]) == {"energy", "distance", "pixel"}

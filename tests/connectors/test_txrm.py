"""txrm files, laid out as the public readers of the format agree; no recorded one is at hand."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import firstlight as fl
from firstlight.connectors.txrm.source import TxrmSource
from firstlight.core.chunk import MAIN, Chunk
from firstlight.core.errors import SourceError
from firstlight.jobs.batch import Batch
from firstlight.jobs.load import load_job

from .compound import write_compound

FRAMES = np.random.default_rng(0).integers(0, 60000, (105, 4, 6)).astype("<u2")
ANGLES = np.linspace(-90, 90, 105).astype("<f4")


def words(*values):
    return np.array(values, "<u4").tobytes()


def streams(frames=FRAMES, code=5, taken=None, **more):
    taken = len(frames) if taken is None else taken
    found = {
        "ImageInfo/ImageWidth": words(frames.shape[2]),
        "ImageInfo/ImageHeight": words(frames.shape[1]),
        "ImageInfo/NoOfImages": words(len(frames) + 3),
        "ImageInfo/ImagesTaken": words(taken),
        "ImageInfo/DataType": words(code),
        "ImageInfo/PixelSize": np.array([1.3], "<f4").tobytes(),
        "ImageInfo/Angles": ANGLES.tobytes() + bytes(12),
        "ReferenceData/Image": np.full(frames.shape[1:], 60000, "<f4").tobytes(),
        "ReferenceData/DataType": words(10),
    }
    found |= {f"ImageData{n // 100 + 1}/Image{n + 1}": frame.tobytes() for n, frame in enumerate(frames)}
    return found | more


def played(source):
    scan = source.open()
    try:
        chunks = [item for item in source.items() if isinstance(item, Chunk)]
        return scan, {name: np.concatenate([c.data for c in chunks if c.stream == name]) for name in scan.streams}
    finally:
        source.close()


@pytest.mark.parametrize(("code", "dtype"), [(5, "<u2"), (10, "<f4"), (3, "<u1")])
def test_frames_angles_reference_and_pixel(tmp_path, code, dtype):
    frames = FRAMES.astype(dtype)
    path = write_compound(tmp_path / "a.txrm", streams(frames, code))
    assert TxrmSource.recognises(path)
    scan, data = played(TxrmSource(path=path, dark_level=0, chunk=500))
    np.testing.assert_array_equal(data[MAIN], frames)
    np.testing.assert_allclose(scan.coords["angle"], ANGLES)
    assert scan.pixel("um") == pytest.approx(1.3)
    assert data["flat"].shape == (1, 4, 6)
    assert data["flat"].min() == 60000
    assert data["dark"].max() == 0


def test_a_scan_that_was_ended_early(tmp_path):
    path = write_compound(tmp_path / "a.txrm", streams(taken=50))
    scan, data = played(TxrmSource(path=path))
    assert len(data[MAIN]) == len(scan.coords["angle"]) == 50


def test_mistakes_are_named(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        TxrmSource(path=tmp_path / "none.txrm").open()
    (tmp_path / "text.txrm").write_text("hello")
    with pytest.raises(SourceError, match="can not be read as txrm"):
        TxrmSource(path=tmp_path / "text.txrm").open()
    assert not TxrmSource.recognises(tmp_path / "text.txrm")
    huge = streams() | {"ImageInfo/ImageWidth": words(2**31), "ImageInfo/ImageHeight": words(2**31)}
    with pytest.raises(SourceError, match="one of 105 images needs"):
        TxrmSource(path=write_compound(tmp_path / "huge.txrm", huge)).open()
    lacking = streams()
    del lacking["ImageData2/Image103"]
    with pytest.raises(SourceError, match="ImageData2/Image103 is missing"):
        played(TxrmSource(path=write_compound(tmp_path / "lacking.txrm", lacking)))
    whole = write_compound(tmp_path / "a.txrm", streams()).read_bytes()
    for kept in (100, 600, len(whole) // 2):
        (tmp_path / "a.txrm").write_bytes(whole[:kept])
        with pytest.raises(SourceError):
            played(TxrmSource(path=tmp_path / "a.txrm"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "a.txrm"
    return path, write_compound(path, streams(FRAMES[:2])).read_bytes()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 255)), max_size=6))
def test_damaged_bytes_end_in_a_clear_error_or_in_frames(small, changes):
    path, original = small
    raw = bytearray(original)
    for place, value in changes:
        raw[place % len(raw)] = value
    path.write_bytes(raw)
    source = TxrmSource(path=path)
    try:
        scan = source.open()
        if (scan.main.frames or 0) < 1000:
            list(source.items())
    except SourceError:
        pass
    finally:
        source.close()


def test_the_camera_s_offset_is_taken_to_be_subtracted(tmp_path):
    path = write_compound(tmp_path / "a.txrm", streams())
    found, (told,) = TxrmSource.infer(path, {})
    assert found == {"dark_level": 0}
    assert "source.dark_level" in told
    assert TxrmSource.infer(path, {"dark_level": 90}) == ({}, [])
    bare = streams()
    del bare["ReferenceData/Image"]
    assert TxrmSource.infer(write_compound(tmp_path / "b.txrm", bare), {}) == ({}, [])


def test_flats_and_darks_of_other_files(tmp_path):
    path = write_compound(tmp_path / "a.txrm", streams())
    write_compound(tmp_path / "ref.xrm", streams(FRAMES[:5].astype("<f4"), 10))
    write_compound(tmp_path / "dark.xrm", streams(FRAMES[5:7]))
    _, data = played(TxrmSource(path=path, flats="ref.xrm", darks=tmp_path / "dark.xrm"))
    np.testing.assert_array_equal(data["flat"], FRAMES[:5])
    np.testing.assert_array_equal(data["dark"], FRAMES[5:7])
    assert TxrmSource.infer(path, {"flats": "ref.xrm", "darks": "dark.xrm"}) == ({}, [])
    with pytest.raises(SourceError, match=r"gone\.xrm"):
        TxrmSource(path=path, flats="gone.xrm").open()
    write_compound(tmp_path / "small.xrm", streams(FRAMES[:2, :2]))
    with pytest.raises(SourceError, match=r"flat frames.*do not fit"):
        TxrmSource(path=path, flats="small.xrm").open()


def test_a_cone_beam_and_shifts_are_told_and_slices_refused(tmp_path):
    more = {
        "ImageInfo/XrayGeometry": words(1),
        "ImageInfo/StoRADistance": np.full(105, -25, "<f4").tobytes(),
        "ImageInfo/DtoRADistance": np.full(105, 75, "<f4").tobytes(),
        "Alignment/X-Shifts": np.full(105, -2.25, "<f4").tobytes(),
    }
    _, told = TxrmSource.infer(write_compound(tmp_path / "a.txrm", streams(**more)), {})
    assert "cone (source 25 mm before the axis, detector 75 mm behind it)" in told[1]
    assert "up to 2.25 pixels" in told[2]
    with pytest.raises(SourceError, match="slices that were reconstructed"):
        TxrmSource(path=write_compound(tmp_path / "a.txm", streams())).open()


def test_angles_that_look_like_radians_are_not_taken_for_degrees(tmp_path):
    radians = {"ImageInfo/Angles": np.deg2rad(ANGLES).astype("<f4").tobytes()}
    path = write_compound(tmp_path / "a.txrm", streams(**radians))
    with pytest.raises(SourceError, match="angle_unit"):
        TxrmSource(path=path).open()
    scan, _ = played(TxrmSource(path=path, angle_unit="rad"))
    np.testing.assert_allclose(scan.coords["angle"], ANGLES, atol=1e-4)


def test_a_batch_shares_the_flat_frames_of_one_file(tmp_path):
    bare = streams(FRAMES[:60])
    del bare["ReferenceData/Image"]
    (tmp_path / "data").mkdir()
    for name in ("a", "b"):
        write_compound(tmp_path / f"data/{name}.txrm", bare)
    write_compound(tmp_path / "data/ref.xrm", streams(np.full((3, 4, 6), 50000, "<f4"), 10))
    job = {
        "source": {"use": "txrm", "dark_level": 0},
        "steps": [{"use": "flat_field"}],
        "sinks": [{"use": "npy", "of": "flat_field", "path": "corrected.npy"}],
    }
    batch = Batch.of(tmp_path / "data", tmp_path / "out", job, flats=tmp_path / "data/ref.xrm")
    assert [path.name for path in batch.scans()] == ["a.txrm", "b.txrm"], "the flat frames are no scan"

    def carry(values):
        fl.start(load_job(values)).finished(timeout=60)
        return {"state": "done"}

    assert [row.state for row in batch.run(carry, batch.scans())] == ["done", "done"]
    np.testing.assert_allclose(np.load(tmp_path / "out/b_rec.npy"), FRAMES[:60] / 50000, rtol=1e-6)

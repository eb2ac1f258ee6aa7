"""MRC stacks: what mrcfile writes reads back, tilt angles from three places, and damage is named."""

import mrcfile
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import firstlight as fl
from firstlight.connectors.mrc.source import MrcSource
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.jobs.defaults import suggest
from firstlight.jobs.load import load_job

FRAMES = np.random.default_rng(0).integers(-50, 100, (7, 4, 6))


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32", "float16", ">i2", ">f4"])
def test_what_mrcfile_writes(tmp_path, dtype):
    frames = np.abs(FRAMES).astype(dtype) if "u" in dtype else FRAMES.astype(dtype)
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(frames)
        file.voxel_size = 5.4
    source = MrcSource(path=tmp_path / "a.mrc", angles="-60::20", darks=tmp_path / "a.mrc")
    scan = source.open()
    assert scan.coords["angle"].tolist() == [-60, -40, -20, 0, 20, 40, 60]
    assert scan.pixel("nm") == pytest.approx(0.54)
    found = source.read({})
    np.testing.assert_array_equal(found, frames)
    np.testing.assert_array_equal(source.read({}, "dark"), frames)
    assert found.dtype.isnative
    source.close()
    assert MrcSource.recognises(tmp_path / "a.mrc")


def test_tilt_angles_beside_the_file(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(FRAMES.astype(np.int16))
    assert "angle" not in MrcSource(path=tmp_path / "a.mrc").open().coords
    (tmp_path / "a.rawtlt").write_text("\n".join(f" {3.0 * n - 9}" for n in range(7)))
    assert MrcSource(path=tmp_path / "a.mrc").open().coords["angle"].tolist() == (3.0 * np.arange(7) - 9).tolist()


def test_tilt_angles_of_an_fei_microscope(tmp_path):
    from mrcfile.dtypes import get_ext_header_dtype

    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(FRAMES.astype(np.int16))
        layout = get_ext_header_dtype(b"FEI1")
        extended = np.zeros(7, layout)
        extended["Metadata size"] = layout.itemsize
        extended["Alpha tilt"] = np.linspace(-30, 30, 7)
        file.set_extended_header(extended)
        file.header.exttyp = b"FEI1"
    np.testing.assert_allclose(MrcSource(path=tmp_path / "a.mrc").open().coords["angle"], np.linspace(-30, 30, 7))


def test_files_that_are_cut_short_and_huge_sizes(tmp_path):
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as file:
        file.set_data(FRAMES.astype(np.int16))
    whole = path.read_bytes()
    for kept in (0, 100, 1023, 1024, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(SourceError):
            MrcSource(path=path).open()
    path.write_bytes(b"\xff\xff\xff\x7f" * 3 + whole[12:])
    with pytest.raises(SourceError, match="cut short"):
        MrcSource(path=path).open()
    (tmp_path / "text.txt").write_bytes(b"hello " * 300)
    assert not MrcSource.recognises(tmp_path / "text.txt")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 1100), st.integers(0, 255)), max_size=8))
def test_damaged_bytes_end_in_a_clear_error_or_in_frames(tmp_path, changes):
    path = tmp_path / "a.mrc"
    if not path.exists():
        with mrcfile.new(path) as file:
            file.set_data(FRAMES.astype(np.int16))
    raw = bytearray(path.read_bytes())
    for place, value in changes:
        raw[place] = value
    (tmp_path / "b.mrc").write_bytes(raw)
    source = MrcSource(path=tmp_path / "b.mrc")
    try:
        source.open()
        list(source.items())
    except SourceError:
        pass
    finally:
        source.close()


def extended(path, raw, nint, nreal):
    """A stack with bytes of another program as its extended header."""
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(FRAMES.astype(np.int16))
        file.set_extended_header(np.frombuffer(raw, "V1"))
        file.header.exttyp = b"SERI"
    whole = bytearray(path.read_bytes())
    whole[128:132] = np.array([nint, nreal], "<i2").tobytes()
    path.write_bytes(bytes(whole))
    return MrcSource(path=path).open().coords.get("angle")


def test_tilt_angles_of_serialem_and_of_agards_programs(tmp_path):
    tilts = np.array([-60, -40.25, -20, 0, 20, 40.5, 60])
    rows = np.zeros((7, 4), "<i2")  # tilt (flag 1) and three coordinates of a montage (flag 2)
    rows[:, 0] = np.round(tilts * 100)
    np.testing.assert_allclose(extended(tmp_path / "a.mrc", rows.tobytes(), 8, 1 | 2), tilts)
    assert extended(tmp_path / "b.mrc", rows.tobytes(), 8, 2) is None, "no tilt is noted"
    reals = np.zeros((7, 32), "<f4")
    reals[:, 0] = tilts
    np.testing.assert_allclose(extended(tmp_path / "c.mrc", reals.tobytes(), 0, 32), tilts)
    assert extended(tmp_path / "d.mrc", np.full((7, 32), 1e9, "<f4").tobytes(), 0, 32) is None, "no angles"


def test_tilt_angles_of_an_mdoc(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(FRAMES.astype(np.int16))
    tilts = [20.5 * number - 60 for number in range(7)]
    text = "PixelSpacing = 5.4\n[T = SerialEM: digitized]\n" + "".join(
        f"[ZValue = {number}]\nTiltAngle = {tilts[number]}\nStagePosition = 1 2\n" for number in reversed(range(7))
    )
    (tmp_path / "a.mrc.mdoc").write_text(text)
    assert MrcSource(path=tmp_path / "a.mrc").open().coords["angle"].tolist() == tilts
    (tmp_path / "a.mrc.mdoc").write_text(text.replace("TiltAngle = -60.0", "TiltAngle = x"))
    assert "angle" not in MrcSource(path=tmp_path / "a.mrc").open().coords


def test_a_marked_file_of_another_mode_is_named(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(FRAMES.astype(np.complex64))
    assert MrcSource.recognises(tmp_path / "a.mrc")
    with pytest.raises(SourceError, match="mode 4"):
        MrcSource(path=tmp_path / "a.mrc").open()


def labelled(path, *labels, kind=np.int16):
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(FRAMES.astype(kind))
        for label in labels:
            file.add_label(label)
    return MrcSource(path=path).open().calibration


SERIALEM = "    Tilt axis angle = 84.3, binning = 1  spot = 7  camera = 1"


def test_where_the_tilt_axis_lies(tmp_path):
    def axis(calibration):
        return calibration["tilt_axis"].value

    assert axis(labelled(tmp_path / "plain.mrc")) == 0
    assert axis(labelled(tmp_path / "raw.st", "SerialEM: Titan", SERIALEM)) == 84.3
    turned = "NEWSTACK: Images copied, transformed          12-Nov-21  10:00:00"
    assert axis(labelled(tmp_path / "a.mrc", SERIALEM, turned)) == 0, "IMOD keeps what the raw stack said"
    assert axis(labelled(tmp_path / "a_ali.mrc", SERIALEM)) == axis(labelled(tmp_path / "a.ali", SERIALEM)) == 0
    assert axis(labelled(tmp_path / "a.preali", SERIALEM, turned)) == 84.3, "moved, not turned"
    (tmp_path / "b.st.mdoc").write_text(
        f"PixelSpacing = 5.4\n[T = {SERIALEM.replace('84.3', '-86.7')}]\n[ZValue = 0]\n"
    )
    noted = labelled(tmp_path / "b.st")
    assert axis(noted) == -86.7
    assert noted["pixel"].to("nm") == pytest.approx(0.54), "mrcfile leaves the cell empty"
    with mrcfile.new(tmp_path / "fei.mrc") as file:
        from mrcfile.dtypes import get_ext_header_dtype

        layout = get_ext_header_dtype(b"FEI1")
        extended = np.zeros(7, layout)
        extended["Metadata size"], extended["Tilt axis angle"] = layout.itemsize, 83.5
        file.set_data(FRAMES.astype(np.int16))
        file.set_extended_header(extended)
        file.header.exttyp = b"FEI1"
    assert axis(MrcSource(path=tmp_path / "fei.mrc").open().calibration) == 83.5


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=200),
    angle=st.text(alphabet="0123456789-+.eE naif", max_size=8),
    section=st.text(alphabet="0123456789 -x", max_size=12),
)
def test_any_mdoc_gives_angles_or_none(tmp_path, text, angle, section):
    path = tmp_path / "a.mrc"
    if not path.exists():
        labelled(path)
    mdoc = f"PixelSpacing = {angle}\n[T = Tilt axis angle = {angle}]\n[ZValue = {section}]\nTiltAngle = {angle}\n{text}"
    (tmp_path / "a.mdoc").write_text(mdoc, encoding="utf-8", errors="replace")
    scan = MrcSource(path=path).open()
    assert abs(scan.calibration["tilt_axis"].value) <= 360
    assert np.isfinite(scan.coords.get("angle", np.zeros(7))).all()


def test_an_aligned_stack_has_the_refined_angles(tmp_path):
    (tmp_path / "a.rawtlt").write_text("\n".join(f"{3 * n - 9}" for n in range(7)))
    (tmp_path / "a.tlt").write_text("\n".join(f"{3 * n - 8.5}" for n in range(7)))
    for name, first in (("a.st", -9.0), ("a.ali", -8.5), ("a_ali.mrc", -8.5), ("a.preali", -9.0)):
        labelled(tmp_path / name)
        assert MrcSource(path=tmp_path / name).open().coords["angle"][0] == first
        _, (told,) = MrcSource.infer(tmp_path / name, {})
        assert f"those of a.{'rawtlt' if first == -9 else 'tlt'}: {first:g}° to" in told
    assert MrcSource.infer(tmp_path / "a.st", {"angles": "0:180"}) == ({}, [])


def test_a_tilt_series_is_reconstructed_whichever_way_its_axis_lies(tmp_path):
    """Two rods, seen from -60° to 60°: exact shadows, upright and turned as a camera stands."""
    angles = np.arange(-60, 61, 4.0)
    columns = np.arange(40) - 19.5
    rods = ((-9.0, 3.0), (7.0, -4.0))  # x, y with y upwards in the slice
    radians = np.deg2rad(angles)[:, None]
    widths = [columns - x * np.cos(radians) - y * np.sin(radians) for x, y in rods]
    shadow = sum(2 * np.sqrt(np.maximum(0, 9 - width**2)) for width in widths)
    upright = np.broadcast_to(20000 * np.exp(-0.02 * shadow)[:, None], (len(angles), 40, 40)).astype(np.int16)
    for name, frames, labels in (
        ("upright", upright, ()),
        ("lying", np.rot90(upright, 1, (1, 2)), ["Tilt axis angle = -90.0, binning = 1"]),
    ):
        with mrcfile.new(tmp_path / f"{name}.mrc") as file:
            file.set_data(np.ascontiguousarray(frames))
            for label in labels:
                file.add_label(label)
        np.savetxt(tmp_path / f"{name}.rawtlt", angles)
        suggested = suggest(tmp_path / f"{name}.mrc", tmp_path / f"{name}.tif")
        assert [step["use"] for step in suggested.job["steps"]].count("rotate") == len(labels)
        assert any("tilt axis" in each and "middle" in each for each in suggested.assumptions)
    lying = tmp_path / "lying.mrc", tmp_path / "lying.tif"
    with pytest.raises(FirstlightError, match=r"made of whole images.*--only = 'row=mid'"):
        suggest(*lying, overrides={"only.row": "mid"})
    assert suggest(*lying, overrides={"only.row": "mid", "rotate.angle": "0"}).job
    fl.start(load_job(suggested.job)).finished(timeout=100)
    middle = tifffile.imread(tmp_path / "lying.tif")[20]
    for x, y in rods:
        assert middle[round(19.5 - y), round(19.5 + x)] > 0.6 * middle.max()
    assert abs(middle[round(19.5 + 3), round(19.5 - 9)]) < 0.5 * middle.max(), "not mirrored"

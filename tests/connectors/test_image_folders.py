"""Folders and stacks of images as people leave them: always the same projections, darks and flats."""

from pathlib import Path

import fabio
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from firstlight.connectors.edf.header import turning
from firstlight.connectors.edf.source import EdfSource
from firstlight.connectors.mrc.tilts import mdoc_tilts
from firstlight.connectors.recorded.holes import present
from firstlight.connectors.recorded.kinds import kinds_of
from firstlight.connectors.tiff.source import TiffSource
from firstlight.core.chunk import Gap
from firstlight.core.errors import SourceError
from firstlight.core.job import parse_job

FRAMES = (np.arange(12)[:, None, None] * 100 + np.arange(20).reshape(4, 5)).astype(np.uint16)
DARKS, FLATS, LATE = FRAMES[:2] + 3000, FRAMES[:3] + 5000, FRAMES[:2] + 7000
ANGLES = 15.0 * np.arange(12)


def write(folder, name, frames, first=0, header=None, **more):
    folder.mkdir(exist_ok=True)
    for number, frame in enumerate(frames):
        path = folder / name.format(number + first)
        if path.suffix.lower() == ".edf":
            fabio.edfimage.EdfImage(data=frame, header=header(number) if header else {}).write(str(path))
        else:
            tifffile.imwrite(path, frame, **more)


def seen(kind, path, **given):
    found, told = kind.infer(path, given)
    source = parse_job({"source": {"use": kind.use, "path": str(path), **found, **given}, "steps": [{"use": "mean"}]})
    source = source.source
    scan = source.open()
    try:
        return scan, {name: source.read({}, name) for name in scan.streams}, told
    finally:
        source.close()


NAMES = {
    "one folder": ("proj_{:04d}.tif", "dark_{:03d}.tif", "flat_{:03d}.tif"),
    "counted from 1, without zeros": ("img{}.tif", "dark{}.tif", "white{}.tif"),
    "Octopus": ("tomo_{:05d}.tif", "di_{:05d}.tif", "io_{:05d}.tif"),
    "named alike": ("s1_{:04d}.tif", "s1_dark_{:03d}.tif", "s1_flat_{:03d}.tif"),
    "capitals": ("PROJ_{:04d}.TIF", "DARK_{:04d}.TIF", "FLAT_{:04d}.TIFF"),
    "folders": ("projections/p{}.tif", "darks/d{}.tif", "flats/f{}.tif"),
    "folders of Octopus": ("tomo/t_{}.tif", "di/x_{}.tif", "io/x_{}.tif"),
    "Australian Synchrotron": ("SAMPLE_T0_Y0_{:04d}.tif", "DF__BEFORE_{:04d}.tif", "BG__BEFORE_{:04d}.tif"),
    "ESRF": ("scan{:04d}.edf", "dark{:04d}.edf", "ref{:04d}.edf"),
    "ESRF, folders": ("radios/scan{:04d}.edf", "dark/d{:04d}.edf", "ref/r{:04d}.edf"),
}


@pytest.mark.parametrize("names", NAMES)
def test_darks_and_flats_are_told_by_their_names(tmp_path, names):
    for name, frames in zip(NAMES[names], (FRAMES, DARKS, FLATS), strict=True):
        folder, _, file = name.rpartition("/")
        write(tmp_path / folder, file, frames, first=1)
    kind = EdfSource if "edf" in NAMES[names][0] else TiffSource
    assert kind.recognises(tmp_path)
    _, read, told = seen(kind, tmp_path)
    for name, frames in (("data", FRAMES), ("dark", DARKS), ("flat", FLATS)):
        np.testing.assert_array_equal(read[name], frames, err_msg=name)
    assert len(told) == 3
    if "/" in NAMES[names][0]:  # there is no other way to read it, so a job need not say it
        source = kind(path=tmp_path)
        assert set(source.open().streams) == {"data", "dark", "flat"}


LOG = """Beam energy  [keV]        : 20.000
Actual pixel size [um]    : 0.65
Number of projections     : 12
Number of darks           : {darks}
Number of flats           : 3
Rot Y min position  [deg] : -15.000
Angular step [deg]        : 15.000
"""


@pytest.mark.parametrize("after", [FLATS + 1, FLATS[:0]], ids=["flats after", "no flats after"])
def test_a_series_of_tomcat_is_divided_by_its_log(tmp_path, after):
    """They were all taken for projections."""
    write(tmp_path, "s[1]_{:04d}.tif", np.concatenate([DARKS, FLATS, FRAMES, after]), first=1)
    (tmp_path / "s[1].log").write_text(LOG.format(darks=2))
    scan, read, told = seen(TiffSource, tmp_path)
    for name, frames in (("data", FRAMES), ("dark", DARKS), ("flat", np.concatenate([FLATS, after]))):
        np.testing.assert_array_equal(read[name], frames, err_msg=name)
    assert scan.coords["angle"].tolist() == (ANGLES - 15).tolist()
    assert scan.pixel("um") == pytest.approx(0.65)
    assert told[0].startswith("the files are 2 darks, 3 flats, 12 projections")
    assert seen(TiffSource, tmp_path, angles="0:180")[0].coords["angle"][0] == 0
    (tmp_path / "s[1].log").write_text(LOG.format(darks=4))
    assert "darks" not in TiffSource.infer(tmp_path, {})[0], "the log does not fit"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(st.tuples(st.sampled_from(LOG.splitlines()), st.text("0123456789.: -ex", max_size=9))))
def test_any_log_is_read_or_passed_over(tmp_path, text):
    if not (tmp_path / "s_0001.tif").exists():
        write(tmp_path, "s_{:04d}.tif", FRAMES, first=1)
    (tmp_path / "s.log").write_text("\n".join(line[: len(line) // 2 + 9] + more for line, more in text))
    found, _ = TiffSource.infer(tmp_path, {})
    source = TiffSource(path=tmp_path, **{**found, "angles": "0:180"})
    source.open()
    source.close()


def test_a_part_of_the_files_of_a_folder(tmp_path):
    write(tmp_path, "p_{}.tif", FRAMES)
    source = TiffSource(path=tmp_path, pattern="p_*.tif[3:]", flats="p_*.tif[:3]", angles="0:180")
    source.open()
    np.testing.assert_array_equal(source.read({}), FRAMES[3:])
    np.testing.assert_array_equal(source.read({}, "flat"), FRAMES[:3])
    source.close()
    with pytest.raises(SourceError, match=r"a part of 12 files"):
        TiffSource(path=tmp_path, pattern="p_*.tif[12:14]").open()


@pytest.mark.parametrize("packing", [{}, {"compression": "deflate", "predictor": True}], ids=["plain", "packed"])
def test_a_folder_of_files_with_several_pages_each(tmp_path, packing):
    """As UFO and concert write them: frame_000000.tif holds the first pages, frame_000005.tif those from the sixth on."""
    for folder, frames in (("radios", FRAMES), ("darks", DARKS), ("flats", FLATS)):
        (tmp_path / folder).mkdir()
        for first in range(0, len(frames), 5):
            pages = frames[first : first + 5]
            tifffile.imwrite(tmp_path / folder / f"frame_{first:06d}.tif", pages, photometric="minisblack", **packing)
    _, read, told = seen(TiffSource, tmp_path)
    for name, frames in (("data", FRAMES), ("dark", DARKS), ("flat", FLATS)):
        np.testing.assert_array_equal(read[name], frames, err_msg=name)
    assert not any("never came" in each for each in told)
    source = TiffSource(path=tmp_path / "radios")
    source.open()
    for cut in (slice(3, 11), slice(1, 12, 4), slice(5, 10), slice(11, 12)):
        np.testing.assert_array_equal(source.read({"angle": cut, "row": slice(1, 3)}), FRAMES[cut, 1:3])
    source.close()
    tifffile.imwrite(tmp_path / "radios" / "frame_000015.tif", FRAMES[:2, :3], photometric="minisblack")
    with pytest.raises(SourceError, match=r"frame_000015\.tif does not look like the first"):
        TiffSource(path=tmp_path / "radios").open()


def test_what_is_called_otherwise_is_left_out_and_told(tmp_path):
    write(tmp_path, "proj_{:04d}.tif", FRAMES)
    write(tmp_path, "a_preview.tif", FRAMES[:1, :2])
    (tmp_path / "._proj_0000.tif").write_bytes(b"II*\0")
    _, read, told = seen(TiffSource, tmp_path)
    np.testing.assert_array_equal(read["data"], FRAMES)
    assert any("a_preview.tif" in each for each in told)
    other = tmp_path / "letters"
    write(other, "a{}x.tif", FRAMES[:3])
    write(other, "b{}.tif", FRAMES[3:6])
    assert TiffSource.infer(other, {}) == ({}, []), "neither is most of them"


@pytest.mark.parametrize("ending", ["tif", "edf"])
def test_flats_of_before_and_after_are_two_sets(tmp_path, ending):
    for name, frames in (("proj", FRAMES), ("darkBefore", DARKS), ("flatBefore", FLATS), ("flatAfter", LATE)):
        write(tmp_path, f"{name}_{{:03d}}.{ending}", frames)
    kind = EdfSource if ending == "edf" else TiffSource
    scan, read, _ = seen(kind, tmp_path)
    np.testing.assert_array_equal(read["flat"], np.concatenate([FLATS, LATE]))
    assert scan.streams["flat"].first == -3
    source = kind(path=tmp_path, **kind.infer(tmp_path, {})[0])
    source.open()
    sets = {
        chunk.set: chunk.ids.tolist()
        for chunk in source.items()
        if getattr(chunk, "stream", "") == "flat" and hasattr(chunk, "data")
    }
    assert sets == {0: [-3, -2, -1], 1: [12, 13]}


@pytest.mark.parametrize("angles", ["0:180", "all", "those that came"])
def test_a_number_without_a_file_is_a_frame_that_never_came(tmp_path, angles):
    write(tmp_path, "proj_{:04d}.tif", FRAMES, first=1)
    for number in (5, 6, 10):
        (tmp_path / f"proj_{number:04d}.tif").unlink()
    there = ~np.isin(np.arange(12), [4, 5, 9])
    np.savetxt(tmp_path / "angles.txt", ANGLES if angles == "all" else ANGLES[there])
    given = {"angles": angles if ":" in angles else "angles.txt"}
    scan, read, told = seen(TiffSource, tmp_path, **given)
    np.testing.assert_array_equal(scan.coords["angle"][there], ANGLES[there])
    np.testing.assert_array_equal(read["data"][there], FRAMES[there])
    assert "3 never came" in told[-1]
    source = TiffSource(path=tmp_path, **given)
    source.open()
    gaps = [(item.first, item.last, item.kind) for item in source.items() if isinstance(item, Gap)]
    assert gaps == [(4, 5, "lost"), (9, 9, "lost")]


def test_numbers_that_count_something_else_are_no_holes(tmp_path):
    for number in (1, 2, 3, 50, 51, 99):
        tifffile.imwrite(tmp_path / f"proj_{number}.tif", FRAMES[0])
    assert TiffSource(path=tmp_path).open().main.frames == 6


def test_a_file_of_another_size_is_named_at_once(tmp_path):
    write(tmp_path, "proj_{:04d}.tif", FRAMES)
    tifffile.imwrite(tmp_path / "proj_0007.tif", FRAMES[7].astype(np.float32))
    with pytest.raises(SourceError, match=r"proj_0007\.tif does not look like the first"):
        TiffSource(path=tmp_path).open()


def test_thumbnails_of_pages_are_passed_over(tmp_path):
    for number, frame in enumerate(FRAMES):
        with tifffile.TiffWriter(tmp_path / f"proj_{number:02d}.tif") as file:
            file.write(frame)
            file.write(frame[::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(seen(TiffSource, tmp_path)[1]["data"], FRAMES)
    with tifffile.TiffWriter(tmp_path / "all.tif") as file:
        for frame in FRAMES:
            file.write(frame)
            file.write(frame[::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(seen(TiffSource, tmp_path / "all.tif")[1]["data"], FRAMES)


def test_a_grid_of_pages_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.stack([FRAMES, FRAMES], 1), imagej=True, metadata={"axes": "ZCYX"})
    with pytest.raises(SourceError, match=r"12 \(Z\) × 2 \(C\)"):
        TiffSource(path=tmp_path / "x.tif").open()
    tifffile.imwrite(tmp_path / "y.tif", FRAMES[:, None], imagej=True, metadata={"axes": "TZYX"})
    np.testing.assert_array_equal(seen(TiffSource, tmp_path / "y.tif")[1]["data"], FRAMES)


@pytest.mark.parametrize("packing", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_packings_of_other_programs(tmp_path, packing):
    images = [Image.fromarray(frame) for frame in FRAMES]
    images[0].save(tmp_path / "x.tif", save_all=True, append_images=images[1:], compression=packing)
    np.testing.assert_array_equal(seen(TiffSource, tmp_path / "x.tif")[1]["data"], FRAMES)


def test_pixel_sizes_that_programs_state(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", FRAMES, imagej=True, resolution=(0.4, 0.4), metadata={"unit": "um", "axes": "ZYX"}
    )
    tifffile.imwrite(
        tmp_path / "b.ome.tif", FRAMES, metadata={"axes": "ZYX", "PhysicalSizeX": 2.5, "PhysicalSizeXUnit": "µm"}
    )
    for name in ("a.tif", "b.ome.tif"):
        assert TiffSource(path=tmp_path / name).open().pixel("um") == pytest.approx(2.5)
    tifffile.imwrite(tmp_path / "c.tif", FRAMES, resolution=(72, 72), resolutionunit="INCH")
    assert "pixel" not in TiffSource(path=tmp_path / "c.tif").open().calibration


def test_the_motor_that_turned_is_found_in_the_headers(tmp_path):
    def header(number):
        return {"motor_mne": "srot sx sz", "motor_pos": f"{ANGLES[number]} 0.5 {number * 1e-4}", "PSize_1": "6.5e-6"}

    write(tmp_path, "scan{:04d}.edf", FRAMES, header=header)
    scan, _, told = seen(EdfSource, tmp_path)
    np.testing.assert_allclose(scan.coords["angle"], ANGLES)
    assert scan.pixel("um") == pytest.approx(6.5)
    assert "srot turned" in told[-1]
    assert "motor" not in EdfSource.infer(tmp_path, {"angles": "0:180"})[0]


names = st.lists(
    st.from_regex(r"\A(dark|flat2|ref|img_|scan|[a-z\[*?é-])?[0-9]{0,20}(_[0-9]{1,3})?\.tif\Z"),
    max_size=12,
    unique=True,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names)
def test_any_names_are_sorted_or_left_alone(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("any")
    for name in names:
        (folder / name).touch()
    found = kinds_of(folder, (".tif",)).parameters
    kept = {kind: {each.name for each in folder.glob(Path(where).name)} for kind, where in found.items()}
    assert sum(map(len, kept.values())) == len(set().union(*kept.values())), "no file is of two kinds"
    there = present([Path(name) for name in sorted(names)])
    assert there is None or there.sum() == len(names)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.one_of(st.integers(-2, 10**12), st.text(max_size=3)), st.one_of(st.floats(), st.text(max_size=4)))
    )
)
def test_any_mdoc_and_any_headers_give_angles_or_none(tmp_path_factory, entries):
    stack = tmp_path_factory.mktemp("any") / "a.mrc"
    text = "".join(f"[ZValue = {number}]\nTiltAngle = {tilt}\n" for number, tilt in entries)
    stack.with_name("a.mrc.mdoc").write_text(text, encoding="utf-8", errors="replace")
    tilts = mdoc_tilts(stack)
    assert tilts is None or np.isfinite(tilts).all()
    turning([{"motor_mne": "srot", "motor_pos": str(tilt)} for _, tilt in entries])

"""The TIFF source: what tifffile wrote reads back, in every layout, and damage is named."""

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.connectors.recorded.listing import natural
from firstlight.connectors.tiff.pages import read_pages
from firstlight.connectors.tiff.source import TiffSource
from firstlight.core.chunk import MAIN, Chunk, Gap
from firstlight.core.errors import SourceError

FRAMES = np.random.default_rng(1).integers(0, 60000, (13, 4, 6)).astype(np.uint16)


def played(source):
    source.open()
    try:
        return list(source.items())
    finally:
        source.close()


def data(items, stream=MAIN):
    return np.concatenate([item.data for item in items if isinstance(item, Chunk) and item.stream == stream])


@pytest.mark.parametrize("dtype", ["<u1", "<u2", ">u2", "<f4", ">f4", ">i4", "<f8"])
@pytest.mark.parametrize(
    "written", [{}, {"compression": "zlib"}, {"bigtiff": True}, {"rowsperstrip": 1}, {"imagej": True}]
)
def test_one_file_with_many_pages(tmp_path, dtype, written):
    frames = FRAMES.astype(dtype)
    if written.get("imagej") and frames.dtype.name not in ("uint8", "uint16", "float32"):
        pytest.skip("ImageJ knows no such type")
    byteorder = ">" if dtype[0] == ">" or "imagej" in written else "<"
    tifffile.imwrite(tmp_path / "a.tif", frames, byteorder=byteorder, photometric="minisblack", **written)
    source = TiffSource(path=tmp_path / "a.tif", angles="0:180", chunk=100)
    found = data(played(source))
    np.testing.assert_array_equal(found, frames)
    assert found.dtype.isnative


def test_a_folder_is_counted_as_people_do(tmp_path):
    for number, frame in enumerate(FRAMES):
        tifffile.imwrite(tmp_path / f"img_{number}.tif", frame)
    (tmp_path / "notes.txt").write_text("not an image")
    source = TiffSource(path=tmp_path, angles="0:180")
    np.testing.assert_array_equal(data(played(source)), FRAMES)
    scan = source.open()
    assert scan.coords["angle"][1] == pytest.approx(180 / 13)
    np.testing.assert_array_equal(source.read({"angle": slice(3, 9), "col": slice(2, 5)}), FRAMES[3:9, :, 2:5])
    source.close()


@pytest.mark.parametrize("pages", [1, 2])
@pytest.mark.parametrize("orders", [">", "<>", "><"])
def test_a_folder_of_either_byte_order_or_of_both(tmp_path, orders, pages):
    for number in range(0, 12, pages):
        order, frames = orders[number // pages % len(orders)], FRAMES[number : number + pages]
        frames = frames.astype(f"{order}u2")
        tifffile.imwrite(tmp_path / f"img_{number}.tif", frames, byteorder=order, photometric="minisblack")
    source = TiffSource(path=tmp_path, angles="0:180")
    found = data(played(source))
    np.testing.assert_array_equal(found, FRAMES[:12])
    assert found.dtype == "uint16"


def test_darks_flats_and_frames_to_ignore(tmp_path):
    for number, frame in enumerate(FRAMES):
        tifffile.imwrite(tmp_path / f"scan_{number:03}.tif", frame)
    tifffile.imwrite(tmp_path / "flat_1.tif", FRAMES[0] + 1)
    tifffile.imwrite(tmp_path / "flat_2.tif", FRAMES[0] + 2)
    (tmp_path / "darks").mkdir()
    tifffile.imwrite(tmp_path / "darks" / "all.tif", FRAMES[:3], photometric="minisblack")
    source = TiffSource(
        path=tmp_path, pattern="scan_*", flats="flat_*", darks="darks", ignore=(1, 5, 6), angles="0:180"
    )
    items = played(source)
    np.testing.assert_array_equal(data(items), np.delete(FRAMES, [1, 5, 6], axis=0))
    np.testing.assert_array_equal(data(items, "flat"), [FRAMES[0] + 1, FRAMES[0] + 2])
    np.testing.assert_array_equal(data(items, "dark"), FRAMES[:3])
    assert [(g.first, g.last, g.kind) for g in items if isinstance(g, Gap)] == [(1, 1, "excluded"), (5, 6, "excluded")]
    with pytest.raises(SourceError, match="ignore = 13"):
        TiffSource(path=tmp_path, pattern="scan_*", ignore=(13,)).open()


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_sinograms_play_as_projections(tmp_path, compression):
    for row in range(4):
        tifffile.imwrite(tmp_path / f"sino_{row}.tif", FRAMES[:, row], compression=compression)
    source = TiffSource(path=tmp_path, order="sinogram", angles="0:360", chunk=200)
    np.testing.assert_array_equal(data(played(source)), FRAMES)
    source.open()
    np.testing.assert_array_equal(source.read({"row": slice(1, 3)}), FRAMES[:, 1:3])
    source.close()
    tifffile.imwrite(tmp_path / "all.tif", FRAMES.swapaxes(0, 1), compression=compression, photometric="minisblack")
    np.testing.assert_array_equal(data(played(TiffSource(path=tmp_path / "all.tif", order="sinogram"))), FRAMES)


def test_what_is_inferred(tmp_path):
    for number, frame in enumerate(FRAMES):
        tifffile.imwrite(tmp_path / f"proj_{number}.tif", frame)
    assert TiffSource.infer(tmp_path, {}) == ({}, [])
    tifffile.imwrite(tmp_path / "dark_1.tif", FRAMES[0])
    tifffile.imwrite(tmp_path / "white_1.tif", FRAMES[0])
    found, told = TiffSource.infer(tmp_path, {})
    assert found["pattern"] == "proj_[0-9]*.tif"
    assert len(told) == 3
    items = played(TiffSource(path=tmp_path, **found))
    assert len(data(items)) == 13
    assert len(data(items, "dark")) == len(data(items, "flat")) == 1
    one = tmp_path / "one" / "x.tif"
    one.parent.mkdir()
    tifffile.imwrite(one, FRAMES[0])
    assert TiffSource.infer(one, {})[0] == {"order": "sinogram"}
    assert TiffSource.infer(one, {"order": "projection"})[0] == {}


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("0:180", np.arange(13) * 180 / 13),
        ("0:180:15", np.arange(13) * 15.0),
        ("-60::10", np.arange(13) * 10.0 - 60),
        ("angles.txt", np.arange(13) * 2.0),
        (tuple(range(13)), np.arange(13)),
        (tuple(range(20)), np.arange(13)),
    ],
)
def test_angles(tmp_path, given_, expected):
    (tmp_path / "angles.txt").write_text("# degree\n" + "\n".join(str(2.0 * n) for n in range(13)))
    tifffile.imwrite(tmp_path / "a.tif", FRAMES)
    source = TiffSource(path=tmp_path / "a.tif", angles=given_)
    np.testing.assert_allclose(source.open().coords["angle"], expected)
    source.close()


@pytest.mark.parametrize("wrong", ["0:180:7", "1,2,3", "nowhere.txt", (1.0, 2.0), "0:"])
def test_angles_that_do_not_fit_are_refused(tmp_path, wrong):
    tifffile.imwrite(tmp_path / "a.tif", FRAMES)
    with pytest.raises(SourceError, match="angles"):
        TiffSource(path=tmp_path / "a.tif", angles=wrong).open()


def test_mistakes_are_named(tmp_path):
    with pytest.raises(SourceError, match="no such file or folder"):
        TiffSource(path=tmp_path / "nothing").open()
    with pytest.raises(SourceError, match="holds no such file"):
        TiffSource(path=tmp_path).open()
    tifffile.imwrite(tmp_path / "colour.tif", np.zeros((5, 6, 3), np.uint8), photometric="rgb")
    with pytest.raises(SourceError, match="no grey images"):
        TiffSource(path=tmp_path / "colour.tif").open()
    folder = tmp_path / "mixed"
    folder.mkdir()
    tifffile.imwrite(folder / "a_1.tif", FRAMES[0])
    tifffile.imwrite(folder / "a_2.tif", FRAMES[0, :2])
    with pytest.raises(SourceError, match=r"a_2\.tif does not look like the first"):
        played(TiffSource(path=folder))
    tifffile.imwrite(folder / "a_1.tif", FRAMES)
    with pytest.raises(SourceError, match=r"a_2\.tif does not look like the first"):
        TiffSource(path=folder).open()


@pytest.mark.parametrize("written", [{}, {"compression": "zlib"}, {"contiguous": False}])
def test_files_that_are_cut_short(tmp_path, written):
    path = tmp_path / "a.tif"
    frames = np.random.default_rng(0).integers(0, 255, (3, 64, 64)).astype(np.uint8)
    tifffile.imwrite(path, frames, photometric="minisblack", **written)
    whole = path.read_bytes()
    for kept in (0, 3, 9, 500, len(whole) // 2, len(whole) * 9 // 10):
        path.write_bytes(whole[:kept])
        with pytest.raises(SourceError):
            played(TiffSource(path=path))


def test_huge_sizes_are_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "huge.tif"
    tifffile.imwrite(path, FRAMES[0], compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageLength"].overwrite(2**31)
        file.pages[0].tags["ImageWidth"].overwrite(2**31)
    with pytest.raises(SourceError):
        TiffSource(path=path).open()


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    tifffile.imwrite(folder / "a.tif", FRAMES[:2], compression="zlib")
    tifffile.imwrite(folder / "b.tif", FRAMES[:2])
    return folder, [(folder / name).read_bytes() for name in ("a.tif", "b.tif")]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 1), changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6))
def test_damaged_bytes_end_in_a_clear_error_or_in_frames(valid, which, changes):
    folder, originals = valid
    raw = bytearray(originals[which])
    for place, value in changes:
        raw[place % len(raw)] = value
    path = folder / "fuzzed.tif"
    path.write_bytes(raw)
    try:
        reader = read_pages(path, None, "path")
        block = np.empty((1, *reader.shape[1:]), reader.dtype) if np.prod(reader.shape[1:]) < 1e6 else None
        if block is not None:
            reader.read_into((slice(0, 1), slice(None), slice(None)), block)
    except SourceError:
        pass


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=10))
def test_natural_order(numbers):
    names = [f"a{number}_b.tif" for number in numbers]
    assert sorted(names, key=natural) == [f"a{number}_b.tif" for number in sorted(numbers)]


@pytest.mark.parametrize(("compression", "rows"), [(None, 1), ("zlib", 4)])
def test_pages_that_must_be_decoded_say_so(tmp_path, compression, rows):
    """A runner that reads a scan in bands of rows must know that each band would decode every page."""
    tifffile.imwrite(tmp_path / "a.tif", FRAMES, compression=compression, photometric="minisblack")
    (tmp_path / "folder").mkdir()
    for number, frame in enumerate(FRAMES):
        tifffile.imwrite(tmp_path / "folder" / f"{number}.tif", frame, compression=compression)
    for path in (tmp_path / "a.tif", tmp_path / "folder"):
        source = TiffSource(path=path)
        source.open()
        assert source.stored_together("row") == rows
        source.close()

"""MRC stacks: what mrcfile writes reads back, tilt angles from three places, and damage is named."""

import mrcfile
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.connectors.mrc.source import MrcSource
from firstlight.core.errors import SourceError

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

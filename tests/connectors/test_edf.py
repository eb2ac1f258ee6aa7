"""EDF files: what fabio writes reads back, angles from motors, and damage is named."""

import bz2
import gzip

import fabio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.connectors.edf.source import EdfSource
from firstlight.core.errors import SourceError

FRAMES = np.random.default_rng(0).integers(0, 100, (7, 4, 6))
MOTORS = {"motor_mne": "sx srot sz", "motor_pos": "0.1 12.5 3"}


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float32", "float64"]
)
def test_what_fabio_writes(tmp_path, dtype):
    frames = FRAMES.astype(dtype)
    for number, frame in enumerate(frames):
        motors = {"motor_mne": "sx srot sz", "motor_pos": f"0.1 {12.5 * number} 3"}
        fabio.edfimage.EdfImage(frame, {"title": "a = b", **motors}).write(str(tmp_path / f"scan_{number}.edf"))
    fabio.edfimage.EdfImage(frames[0]).write(str(tmp_path / "ref_0.edf"))
    source = EdfSource(path=tmp_path, pattern="scan*", motor="srot", flats="ref*", ignore=(3,))
    scan = source.open()
    assert scan.coords["angle"].tolist() == (12.5 * np.arange(7)).tolist()
    np.testing.assert_array_equal(source.read({}), frames)
    np.testing.assert_array_equal(source.read({"angle": slice(2, 5), "row": slice(1, 3)}), frames[2:5, 1:3])
    np.testing.assert_array_equal(source.read({}, "flat"), frames[:1])
    source.close()


def test_many_frames_in_one_file_of_either_byte_order(tmp_path):
    made = fabio.edfimage.EdfImage(FRAMES[0].astype(np.uint16))
    for frame in FRAMES[1:]:
        made.append_frame(data=frame.astype(np.uint16))
    made.write(str(tmp_path / "many.edf"))
    source = EdfSource(path=tmp_path / "many.edf", angles="0:180")
    source.open()
    np.testing.assert_array_equal(source.read({}), FRAMES)
    source.close()
    header = "{\nHeaderID = EH:000001:000000:000000 ;\nByteOrder = HighByteFirst ;\nDataType = UnsignedShort ;\nDim_1 = 6 ;\nDim_2 = 4 ;\n"
    raw = header.encode().ljust(510) + b"}\n" + FRAMES[0].astype(">u2").tobytes()
    (tmp_path / "big.edf").write_bytes(raw)
    np.testing.assert_array_equal(fabio.open(str(tmp_path / "big.edf")).data, FRAMES[0])
    source = EdfSource(path=tmp_path / "big.edf")
    source.open()
    np.testing.assert_array_equal(source.read({})[0], FRAMES[0])
    source.close()


def test_mistakes_are_named(tmp_path):
    fabio.edfimage.EdfImage(FRAMES[0].astype(np.uint16), MOTORS).write(str(tmp_path / "a.edf"))
    with pytest.raises(SourceError, match=r"motor = 'phi'.*sx srot sz"):
        EdfSource(path=tmp_path, motor="phi").open()
    whole = (tmp_path / "a.edf").read_bytes()
    for kept in (0, 10, 400, 512, len(whole) - 1):
        (tmp_path / "a.edf").write_bytes(whole[:kept])
        with pytest.raises(SourceError):
            EdfSource(path=tmp_path / "a.edf").open()
    for wrong in (b"Dim_1 = 99999999999", b"Dim_1 = -5", b"Dim_1 = x"):
        (tmp_path / "a.edf").write_bytes(whole.replace(b"Dim_1 = 6", wrong))
        with pytest.raises(SourceError):
            EdfSource(path=tmp_path / "a.edf").open()
    (tmp_path / "a.edf").write_bytes(whole)
    fabio.edfimage.EdfImage(FRAMES[0, :2].astype(np.uint16)).write(str(tmp_path / "b.edf"))
    with pytest.raises(SourceError, match=r"b\.edf.*not like the first|not like the first.*b\.edf"):
        EdfSource(path=tmp_path).open()


PACKED = {".gz": gzip.compress, ".bz2": bz2.compress}


@pytest.mark.parametrize("ending", PACKED)
def test_packed_files_in_a_folder_and_many_frames_in_one(tmp_path, ending):
    pack = PACKED[ending]
    many = fabio.edfimage.EdfImage(FRAMES[0].astype(np.uint16))
    for number, frame in enumerate(FRAMES.astype(np.uint16)):
        for name, pixels in (("scan", frame), *([("dark", frame)] if number < 2 else [])):
            fabio.edfimage.EdfImage(pixels).write(str(tmp_path / "a.edf"))
            (tmp_path / f"{name}_{number}.edf{ending}").write_bytes(pack((tmp_path / "a.edf").read_bytes()))
        if number:
            many.append_frame(data=frame)
    (tmp_path / "a.edf").unlink()
    np.testing.assert_array_equal(fabio.open(str(tmp_path / f"scan_3.edf{ending}")).data, FRAMES[3])
    assert EdfSource.recognises(tmp_path)
    found, _ = EdfSource.infer(tmp_path, {})
    source = EdfSource(path=tmp_path, angles="0:180", **found)
    assert source.open().main.frames == 7
    np.testing.assert_array_equal(source.read({"angle": slice(2, 5), "row": slice(1, 3)}), FRAMES[2:5, 1:3])
    np.testing.assert_array_equal(source.read({}, "dark"), FRAMES[:2])
    source.close()
    many.write(str(tmp_path / "many.edf"))
    one = tmp_path / f"many.edf{ending}"
    one.write_bytes(pack((tmp_path / "many.edf").read_bytes()))
    source = EdfSource(path=one, angles="0:180")
    source.open()
    np.testing.assert_array_equal(source.read({"angle": slice(1, 6, 2)}), FRAMES[1:6:2])
    source.close()


def seen_all(source):
    source.open()
    return list(source.items())


@pytest.mark.parametrize("ending", PACKED)
def test_damage_of_packed_files_is_named(tmp_path, ending):
    path = tmp_path / f"a.edf{ending}"
    fabio.edfimage.EdfImage(FRAMES[0].astype(np.uint16)).write(str(tmp_path / "a.edf"))
    plain = (tmp_path / "a.edf").read_bytes()
    whole = PACKED[ending](plain)
    for bad in (b"", whole[:7], whole[:-9], plain, PACKED[ending](plain[:-1]), PACKED[ending](b"no EDF" * 99)):
        path.write_bytes(bad)
        with pytest.raises(SourceError, match=r"a\.edf\."):
            seen_all(EdfSource(path=path))
    for place in range(0, len(whole), 3):
        path.write_bytes(bytes([*whole[:place], whole[place] ^ 0x5A, *whole[place + 1 :]]))
        source = EdfSource(path=path)
        try:
            source.open()
            list(source.items())
        except SourceError:
            pass
        finally:
            source.close()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 560), st.integers(0, 255)), max_size=8), cut=st.integers(0, 560))
def test_damaged_bytes_end_in_a_clear_error_or_in_frames(tmp_path, changes, cut):
    path = tmp_path / "a.edf"
    if not path.exists():
        fabio.edfimage.EdfImage(FRAMES[0].astype(np.uint16)).write(str(path))
    raw = bytearray(path.read_bytes())
    for place, value in changes:
        raw[place % len(raw)] = value
    (tmp_path / "b.edf").write_bytes(raw[: len(raw) - (cut if cut > 300 else 0)])
    source = EdfSource(path=tmp_path / "b.edf")
    try:
        source.open()
        list(source.items())
    except SourceError:
        pass
    finally:
        source.close()

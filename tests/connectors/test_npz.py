"""Archives of numpy: which array is what, packed or not, in either order; pickles and damage are refused."""

import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstlight.connectors.npy.npz import NpzSource
from firstlight.core.errors import SourceError

FRAMES = np.random.default_rng(2).integers(0, 4000, (8, 3, 5)).astype(np.uint16)
SAVES = {"stored": np.savez, "packed": np.savez_compressed}
THETA = 22.5 * np.arange(8)


def seen(source):
    scan = source.open()
    read = {stream: source.read({}, stream) for stream in scan.streams}
    source.close()
    return scan, read


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
def test_arrays_are_found_by_their_names_and_their_size(tmp_path, save):
    path = tmp_path / "scan.npz"
    fortran = np.asfortranarray(FRAMES.astype(">f4"))
    for names in (
        ("data", "flats", "darks", "angles"),
        ("proj", "white", "dark", "theta"),
        ("arr_0", "ref", "drk", "rot"),
    ):
        arrays = (fortran, FRAMES[:3], FRAMES[0], THETA)
        save(path, note=np.array("hello"), **dict(zip(names, arrays, strict=True)))
        assert NpzSource.recognises(path)
        parameters, told = NpzSource.infer(path, {})
        assert not parameters
        assert [each.split("'")[1] for each in told] == [names[0], names[2], names[1], names[3]]
        scan, read = seen(NpzSource(path=path, chunk=100))
        assert scan.coords["angle"].tolist() == THETA.tolist()
        np.testing.assert_array_equal(read["data"], FRAMES)
        np.testing.assert_array_equal(read["flat"], FRAMES[:3])
        np.testing.assert_array_equal(read["dark"], FRAMES[:1])


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
def test_sinograms_and_parts_of_them(tmp_path, save):
    path = tmp_path / "scan.npz"
    save(path, sino=FRAMES.swapaxes(0, 1), theta=THETA)
    parameters, told = NpzSource.infer(path, {})
    assert parameters == {"order": "sinogram"}
    assert "3 sinograms: there are 8 angles" in told[-1]
    source = NpzSource(path=path, **parameters)
    source.open()
    np.testing.assert_array_equal(source.read({"row": slice(1, 2), "angle": slice(2, 7, 2)}), FRAMES[2:7:2, 1:2])
    source.close()


def test_what_is_missing_is_named_and_pickles_are_not_opened(tmp_path):
    path = tmp_path / "scan.npz"
    np.savez(path, a=FRAMES, b=FRAMES[:2], theta=THETA[:5])
    with pytest.raises(SourceError, match=r"data = 'tomo'.*a, b, theta"):
        NpzSource(path=path, data="tomo").open()
    with pytest.raises(SourceError, match=r"5 angles .* for 8 frames"):
        NpzSource(path=path).open()
    scan, read = seen(NpzSource(path=path, darks="b", angles="0:180"))
    assert scan.coords["angle"].tolist() == THETA.tolist()
    np.testing.assert_array_equal(read["dark"], FRAMES[:2])
    with pytest.raises(SourceError, match="holds no images"):
        NpzSource(path=path, data="theta").open()
    np.savez(path, data=np.array([{"a": 1}], dtype=object))
    assert not NpzSource.recognises(path)
    with pytest.raises(SourceError, match="objects"):
        NpzSource(path=path).open()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no array")
    assert not NpzSource.recognises(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:  # a header that promises more than there is
        head = (
            b"\x93NUMPY\x01\x00v\x00"
            + b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999, 9999, 999), }".ljust(117)
            + b"\n"
        )
        archive.writestr("data.npy", head + bytes(1000))
    with pytest.raises(SourceError, match="1128 byte of"):
        NpzSource(path=path).open()


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 400),
)
def test_damaged_bytes_end_in_a_clear_error_or_in_frames(tmp_path, save, changes, cut):
    path = tmp_path / "a.npz"
    save(path, proj=FRAMES, theta=THETA)
    raw = bytearray(path.read_bytes())
    for place, value in changes:
        raw[place % len(raw)] = value
    path.write_bytes(raw[: len(raw) - (cut if cut > 200 else 0)])
    NpzSource.recognises(path)
    source = NpzSource(path=path)
    try:
        source.open()
        list(source.items())
    except SourceError:
        pass
    finally:
        source.close()

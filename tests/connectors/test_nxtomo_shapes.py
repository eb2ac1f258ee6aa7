"""One scan in the shapes that facilities give it: always the same projections, darks, flats and angles."""

import h5py
import numpy as np
import pytest

from firstlight.connectors.dxfile.source import DXfileSource
from firstlight.connectors.hdf5.source import Hdf5Source
from firstlight.connectors.nxtomo.source import NXtomoSource
from firstlight.core.chunk import MAIN, Chunk
from firstlight.core.errors import SourceError

KEY = np.array([2, 2, 1, 1, 1, *[0] * 36, 1])
ANGLES = np.r_[np.zeros(5), 5.0 * np.arange(36), 180]
FRAMES = (np.arange(42)[:, None, None] * 100 + np.arange(12).reshape(3, 4)).astype(np.uint16)
DETECTOR = "entry/instrument/detector"


def usual(file, frames=FRAMES, key=KEY, angles=ANGLES, unit="deg", entry="entry"):
    file[f"{entry}/definition"] = "NXtomo"
    file[f"{entry}/instrument/detector/data"] = frames
    file[f"{entry}/instrument/detector/image_key"] = key
    file[f"{entry}/sample/rotation_angle"] = angles
    file[f"{entry}/sample/rotation_angle"].attrs["units"] = unit


def moved(old, new):
    def change(file, folder):
        usual(file)
        file.move(f"entry/{old}", new)

    return change


def written(**given):
    return lambda file, folder: usual(file, **given)


def behind_links(file, folder):
    """i13: the entry holds soft links to links into files of their own."""
    with h5py.File(folder / "raw.h5", "w") as raw:
        raw["entry/data"] = FRAMES
    usual(file)
    del file[f"{DETECTOR}/data"]
    file["entry/camera/data"] = h5py.ExternalLink("raw.h5", "/entry/data")
    file[f"{DETECTOR}/data"] = h5py.SoftLink("/entry/camera/data")


def of_many_files(file, folder):
    layout = h5py.VirtualLayout(FRAMES.shape, FRAMES.dtype)
    for number in range(6):
        with h5py.File(folder / f"raw_{number}.h5", "w") as raw:
            raw["data"] = FRAMES[number * 7 : number * 7 + 7]
        layout[number * 7 : number * 7 + 7] = h5py.VirtualSource(f"raw_{number}.h5", "data", (7, 3, 4))
    usual(file)
    del file[f"{DETECTOR}/data"]
    file.create_virtual_dataset(f"{DETECTOR}/data", layout)


def scan_device(file, folder):
    """i13 without an NXtomo entry: the key lies with the scan, the frames with the camera."""
    file["entry1/instrument/camera/data"] = FRAMES
    file["entry1/instrument/device/image_key"] = KEY
    file["entry1/instrument/device/ss1_theta"] = ANGLES


def alignment(file, folder):
    usual(file, np.r_[FRAMES, FRAMES[:2]], np.r_[KEY, 0, 0], np.r_[ANGLES, 0, 0])
    file[f"{DETECTOR}/image_key_control"] = np.r_[KEY, -1, -1]


def loops(file, folder):
    usual(file, entry="a/b/c/d/scan")
    for name in "xyz":
        file[f"a/{name}"] = file["/"]


SHAPES = {
    "key beside other frames": moved("instrument/detector/image_key", "entry/data/image_key"),
    "key at the top": moved("instrument/detector/image_key", "entry/image_key"),
    "control alone": moved("instrument/detector/image_key", f"{DETECTOR}/image_key_control"),
    "key as a column of floats": written(key=KEY[:, None].astype(">f8")),
    "no definition": moved("definition", "words"),
    "deep, among links in circles": loops,
    "angles beside the frames": moved("sample/rotation_angle", f"{DETECTOR}/rotation_angle"),
    "angles of the projections alone": written(angles=ANGLES[5:41]),
    "angles unknown for the others": written(angles=np.where(KEY == 0, ANGLES, np.nan)),
    "radian": written(angles=np.deg2rad(ANGLES), unit="radians"),
    "thousandths of a degree": written(angles=ANGLES * 1000, unit="mdeg"),
    "ended early": written(key=np.r_[KEY, 0, 0, 0], angles=np.r_[ANGLES, 0, 0, 0]),
    "big-endian floats": written(frames=FRAMES.astype(">f4")),
    "one more axis": written(frames=FRAMES[:, None]),
    "links to links": behind_links,
    "virtual": of_many_files,
    "scan device": scan_device,
    "alignment": alignment,
}


def seen(source):
    scan = source.open()
    try:
        return scan, {name: source.read({}, name) for name in scan.streams}
    finally:
        source.close()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_scan_in_many_shapes(tmp_path, shape):
    path = tmp_path / "scan.nxs"
    with h5py.File(path, "w") as file:
        SHAPES[shape](file, tmp_path)
    assert NXtomoSource.recognises(path)
    scan, read = seen(NXtomoSource(path=path))
    np.testing.assert_allclose(scan.coords["angle"][:36], 5.0 * np.arange(36), rtol=1e-12)
    for name, kind in (("data", 0), ("flat", 1), ("dark", 2)):
        np.testing.assert_array_equal(read[name][:36], FRAMES[KEY == kind], err_msg=name)


@pytest.mark.parametrize("given", ["0:180", [5.0 * n for n in range(36)], "angles.txt"])
@pytest.mark.parametrize("shape", [written(), alignment])
def test_given_angles_are_those_of_the_projections(tmp_path, given, shape):
    """A range was spread over darks, flats and alignment frames too."""
    np.savetxt(tmp_path / "angles.txt", 5.0 * np.arange(36))
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        shape(file, tmp_path)
    scan, _ = seen(NXtomoSource(path=tmp_path / "scan.nxs", angles=given))
    np.testing.assert_allclose(scan.coords["angle"][:36], 5.0 * np.arange(36))


def test_one_detector_line(tmp_path):
    with h5py.File(tmp_path / "line.nxs", "w") as file:
        usual(file, FRAMES[:, 1])
    with h5py.File(tmp_path / "line.h5", "w") as file:
        file["exchange/data"] = FRAMES[KEY == 0, 1]
        file["exchange/data_white"] = FRAMES[KEY == 1, 1]
        file["exchange/theta"] = 5.0 * np.arange(36)
    for source in (NXtomoSource(path=tmp_path / "line.nxs"), DXfileSource(path=tmp_path / "line.h5")):
        assert type(source).recognises(source.path)
        scan, read = seen(source)
        assert scan.main.sizes == {"angle": 36, "row": 1, "col": 4}
        np.testing.assert_array_equal(read["data"], FRAMES[KEY == 0, 1:2])
        np.testing.assert_array_equal(read["flat"], FRAMES[KEY == 1, 1:2])


def test_several_scans(tmp_path):
    path = tmp_path / "scan.nxs"
    with h5py.File(path, "w") as file:
        usual(file, np.stack([FRAMES, FRAMES + 1], -1))
    with pytest.raises(SourceError, match=r"several scans.*source\.scan"):
        NXtomoSource(path=path).open()
    for number in (0, 1):
        _, read = seen(NXtomoSource(path=path, scan=number))
        np.testing.assert_array_equal(read["data"], FRAMES[KEY == 0] + number)
    with h5py.File(path, "a") as file:
        usual(file, entry="later/tomo")
    _, (told,) = NXtomoSource.infer(path, {})
    assert "2 scans" in told
    assert "source.entry" in told
    assert NXtomoSource.infer(path, {"entry": "later/tomo"}) == ({}, [])


def test_frames_of_three_detectors(tmp_path):
    """As the first draft of NXtomo has them."""
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        file["entry/definition"] = "NXtomo"
        for name, kind in (("sample", 0), ("bright_field", 1), ("dark_field", 2)):
            file[f"entry/instrument/{name}/data"] = FRAMES[KEY == kind]
        file["entry/sample/rotation_angle"] = 5.0 * np.arange(36)
    scan, read = seen(NXtomoSource(path=tmp_path / "scan.nxs"))
    np.testing.assert_array_equal(read["flat"], FRAMES[KEY == 1])
    assert len(scan.coords["angle"]) == 36


def test_frames_behind_a_broken_link_are_named(tmp_path):
    """They were 'not recognised'."""
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        behind_links(file, tmp_path)
    (tmp_path / "raw.h5").unlink()
    assert NXtomoSource.recognises(tmp_path / "scan.nxs")
    with pytest.raises(SourceError, match=r"leads nowhere.*raw\.h5"):
        NXtomoSource(path=tmp_path / "scan.nxs").open()


def test_sinograms_in_a_dxfile_are_turned_with_their_darks_and_flats(tmp_path):
    path = tmp_path / "scan.h5"
    plain = np.random.default_rng(3).integers(0, 900, (36, 3, 4)).astype(np.uint16)
    with h5py.File(path, "w") as file:
        file["exchange/data"], file["exchange/theta"] = plain.swapaxes(0, 1), 5.0 * np.arange(36)
        file["exchange/data_dark"] = plain[:2].swapaxes(0, 1)  # as the data: (row, frame, col)
        file["exchange/data_white"] = plain[5:10]  # a stack as always
    assert DXfileSource.infer(path, {})[0] == {"order": "sinogram"}
    assert DXfileSource.infer(path, {"order": "projection"}) == ({}, [])
    scan, read = seen(DXfileSource(path=path))
    assert scan.main.sizes == {"angle": 36, "row": 3, "col": 4}
    for stream, wanted in ((MAIN, plain), ("dark", plain[:2]), ("flat", plain[5:10])):
        np.testing.assert_array_equal(read[stream], wanted)
    scan, read = seen(DXfileSource(path=path, order="sinogram", angles="0:180"))
    np.testing.assert_array_equal(read[MAIN], plain)
    with pytest.raises(SourceError, match="36"):
        DXfileSource(path=path, order="projection").open()
    with h5py.File(path, "a") as file:
        del file["exchange/data_dark"]
        file["exchange/data_dark"] = plain[:2, :2].swapaxes(0, 1)
    with pytest.raises(SourceError, match=r"dark frames .* do not fit"):
        DXfileSource(path=path).open()


def test_sinograms_in_a_dxfile_by_their_axes_and_flats_of_before_and_after(tmp_path):
    path = tmp_path / "scan.h5"
    plain = np.random.default_rng(3).integers(0, 900, (36, 3, 4)).astype(np.uint16)
    with h5py.File(path, "w") as file:  # no angles, as in Elettra's files
        file["exchange/data"], file["exchange/data_dark"] = plain.swapaxes(0, 1), plain[:2].swapaxes(0, 1)
        file["exchange/data"].attrs["axes"] = "y:theta:x"
        file["exchange/data_white_pre"], file["exchange/data_white_post"] = plain[5:9], plain[20:22]  # as at the SLS
    _, read = seen(DXfileSource(path=path, angles="0:180"))
    for stream, wanted in ((MAIN, plain), ("dark", plain[:2]), ("flat", plain[[5, 6, 7, 8, 20, 21]])):
        np.testing.assert_array_equal(read[stream], wanted)
    source = DXfileSource(path=path, angles="0:180")
    source.open()
    flats = [chunk for chunk in source.items() if isinstance(chunk, Chunk) and chunk.stream == "flat"]
    source.close()
    assert [(chunk.set, chunk.ids.tolist()) for chunk in flats] == [(0, [-4, -3, -2, -1]), (1, [36, 37])]
    with h5py.File(path, "a") as file:
        file["exchange/data"].attrs["axes"] = "theta:y:x"
    with pytest.raises(SourceError, match="do not fit"):
        DXfileSource(path=path, angles="0:180").open()


def test_a_rotation_names_the_axes_of_the_detector(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        group = file.create_group("entry/data")
        file.attrs["default"], file["entry"].attrs["default"] = "entry", "data"
        group.attrs["signal"], group.attrs["axes"] = "data", ["rotation_angle", ".", "."]
        group["data"], group["rotation_angle"] = FRAMES, ANGLES
    scan, _ = seen(Hdf5Source(path=tmp_path / "scan.h5"))
    assert scan.main.axes == ("angle", "row", "col")
    np.testing.assert_array_equal(scan.coords["angle"], ANGLES)

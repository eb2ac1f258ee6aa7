"""Savu's output layout: master files with links, written here as its saver writes them."""

import h5py
import numpy as np
import pytest

from firstlight.connectors.savu.source import SavuSource
from firstlight.core.chunk import MAIN, Chunk
from firstlight.core.errors import SourceError

FRAMES = np.random.default_rng(0).random((7, 4, 6)).astype(np.float32)
ANGLES = np.linspace(0, 180, 7)


def nxdata(master, place, name, array, axes, folder):
    part = f"{name}.h5"
    with h5py.File(folder / part, "w") as file:
        file[f"{name}/data"] = array
    group = master.create_group(f"{place}/{name}")
    group.attrs.update({"NX_class": "NXdata", "signal": "data", "axes": np.array(axes, "S")})
    group["data"] = h5py.ExternalLink(part, f"{name}/data")
    for number, axis in enumerate(axes):
        group.attrs[f"{axis}_indices"] = number
        group[axis] = ANGLES if axis == "rotation_angle" else np.arange(array.shape[number])
        group[axis].attrs["units"] = "degrees" if axis == "rotation_angle" else "pixel"


@pytest.fixture
def run(tmp_path):
    sinogram = ("detector_y", "rotation_angle", "detector_x")
    with h5py.File(tmp_path / "a_processed.nxs", "w") as file:
        file.create_group("entry").attrs["NX_class"] = "NXentry"
        steps = "entry/intermediate"
        nxdata(
            file, "entry/input_data", "3-Raw-tomo", FRAMES * 9, ("rotation_angle", "detector_y", "detector_x"), tmp_path
        )
        nxdata(file, steps, "1-FlatField-tomo", FRAMES, ("rotation_angle", "detector_y", "detector_x"), tmp_path)
        nxdata(file, steps, "2-Stripes-tomo", FRAMES.swapaxes(0, 1) + 1, sinogram, tmp_path)
        nxdata(file, "entry", "final_result_tomo", FRAMES[:, :, :4], ("voxel_x", "voxel_y", "voxel_z"), tmp_path)
    return tmp_path / "a_processed.nxs"


def played(source):
    scan = source.open()
    try:
        return scan, np.concatenate([item.data for item in source.items() if isinstance(item, Chunk)])
    finally:
        source.close()


def test_the_final_result_and_those_of_plugins(run):
    assert SavuSource.recognises(run)
    scan, data = played(SavuSource(path=run))
    assert scan.main.axes == ("voxel_x", "voxel_y", "voxel_z")
    np.testing.assert_array_equal(data, FRAMES[:, :, :4])
    scan, data = played(SavuSource(path=run, result="1-FlatField-tomo"))
    assert scan.main.axes == ("angle", "row", "col")
    np.testing.assert_array_equal(scan.coords["angle"], ANGLES)
    np.testing.assert_array_equal(data, FRAMES)


def test_sinograms_play_as_projections(run):
    source = SavuSource(path=run, result="2-Stripes-tomo")
    scan, data = played(source)
    assert scan.main.axes == ("angle", "row", "col")
    np.testing.assert_array_equal(data, FRAMES + 1)
    np.testing.assert_array_equal(scan.coords["angle"], ANGLES)


def test_the_last_plugin_where_there_is_no_final_result(run):
    with h5py.File(run, "r+") as file:
        del file["entry/final_result_tomo"]
    assert played(SavuSource(path=run))[0].metadata["savu_result"] == "2-Stripes-tomo"


def test_mistakes_are_named(run, tmp_path):
    with pytest.raises(SourceError, match=r"nothing.*1-FlatField-tomo"):
        SavuSource(path=run, result="nothing").open()
    (tmp_path / "final_result_tomo.h5").unlink()
    with pytest.raises(SourceError, match=r"final_result_tomo\.h5.*whole run"):
        SavuSource(path=run).open()
    with h5py.File(tmp_path / "other.nxs", "w") as file:
        file[MAIN] = FRAMES
    assert not SavuSource.recognises(tmp_path / "other.nxs")
    with pytest.raises(SourceError, match="no result of Savu"):
        SavuSource(path=tmp_path / "other.nxs").open()
    with h5py.File(run, "r+") as file:
        file["entry/intermediate/1-FlatField-tomo"].attrs["axes"] = np.array(["a", "a", "b"], "S")
    with pytest.raises(SourceError, match="does not name the axes"):
        SavuSource(path=run, result="1-FlatField-tomo").open()

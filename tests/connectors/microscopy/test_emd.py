"""EMD files as other programs write them: emdfile (py4DSTEM) and RosettaSciIO (NCEM's layout)."""

import warnings

import h5py
import numpy as np
import pytest

from firstlight.connectors.microscopy.emd import EmdSource
from firstlight.core.chunk import Chunk
from firstlight.core.errors import SourceError

FRAMES = np.random.default_rng(0).integers(0, 4000, (3, 4, 5, 6)).astype(np.uint16)


def played(source):
    scan = source.open()
    frames = np.concatenate([item.data for item in source.items() if isinstance(item, Chunk)])
    np.testing.assert_array_equal(frames, source.read({}).reshape(frames.shape))
    block = source.read({"scan_y": slice(1, 3), "scan_x": slice(2, 3), "col": slice(1, 4)})
    np.testing.assert_array_equal(block, frames.reshape(3, 4, 5, 6)[1:, 2:3, :, 1:4])
    source.close()
    return frames.reshape(3, 4, 5, 6), scan


def test_a_datacube_as_py4dstem_writes_it(tmp_path):
    emdfile = pytest.importorskip("emdfile")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cube = emdfile.Array(
            FRAMES,
            name="datacube",
            dims=[0.5, 0.25, 2.0, 2.0],
            dim_names=["Rx", "Ry", "Qx", "Qy"],
            dim_units=["nm", "nm", "mrad", "mrad"],
        )
        emdfile.save(str(tmp_path / "scan.emd"), cube, mode="o")
        theirs = emdfile.read(str(tmp_path / "scan.emd"))
    assert EmdSource.recognises(tmp_path / "scan.emd")
    frames, scan = played(EmdSource(path=tmp_path / "scan.emd", chunk=300))
    np.testing.assert_array_equal(frames, theirs.data)
    found = {name: scan.calibration[name].value for name in ("step_y", "step_x", "detector_angle")}
    assert found == {"step_y": 0.5, "step_x": 0.25, "detector_angle": 2.0}


def test_a_scan_as_ncem_lays_it_out(tmp_path):
    writer = pytest.importorskip("rsciio.emd")
    axes = [("y", "nm", 0.5, True, 3), ("x", "nm", 0.25, True, 4), ("ky", "mrad", 2.0, False, 5)]
    axes.append(("kx", "mrad", 2.0, False, 6))
    described = [
        {"name": name, "units": unit, "scale": scale, "offset": 0.0, "size": size, "navigate": navigate}
        | {"index_in_array": number, "is_binned": False, "_type": "UniformDataAxis"}
        for number, (name, unit, scale, navigate, size) in enumerate(axes)
    ]
    metadata = {"General": {"title": "scan"}, "Signal": {"signal_type": ""}}
    signal = {"data": FRAMES, "axes": described, "metadata": metadata, "original_metadata": {}, "package_info": {}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer.file_writer(str(tmp_path / "scan.emd"), signal)
    frames, scan = played(EmdSource(path=tmp_path / "scan.emd"))
    np.testing.assert_array_equal(frames, FRAMES)
    assert scan.calibration["step_x"].to("nm") == pytest.approx(0.25)
    assert scan.calibration["detector_angle"].to("mrad") == pytest.approx(2.0)


def test_the_array_can_be_named_and_must_be_there(tmp_path):
    with h5py.File(tmp_path / "scan.emd", "w") as file:
        for name, data in (("small", FRAMES[:1]), ("large", FRAMES)):
            group = file.create_group(f"data/{name}")
            group.attrs["emd_group_type"] = 1
            group["data"] = data
    assert EmdSource(path=tmp_path / "scan.emd").open().main.frames == 12
    assert EmdSource(path=tmp_path / "scan.emd", dataset="/data/small").open().main.frames == 4
    with pytest.raises(SourceError, match=r"dataset = 'data/none'.*data/large"):
        EmdSource(path=tmp_path / "scan.emd", dataset="data/none").open()
    (tmp_path / "bad.emd").write_bytes(b"nothing")
    with pytest.raises(SourceError, match="HDF5"):
        EmdSource(path=tmp_path / "bad.emd").open()

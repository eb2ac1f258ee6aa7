"""Files that are cut short or vanish while they are read: an error that names them, never zeros and never a dead process."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from firstlight.core import registry
from firstlight.core.errors import SourceError

FRAMES = np.arange(8 * 64 * 96, dtype=np.uint16).reshape(8, 64, 96)


def hdf5(path: Path, values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = values


KINDS = {
    "contiguous": ("hdf5", hdf5, FRAMES, {"dataset": "data", "axes": "angle row col", "angles": "0:180"}),
    "grid": ("hdf5", hdf5, FRAMES.reshape(2, 4, 64, 96), {"dataset": "data", "axes": "scan_y scan_x row col"}),
    "mapped": ("tiff", tifffile.imwrite, FRAMES, {"angles": "0:180"}),
    "mapped sinograms": ("tiff", tifffile.imwrite, FRAMES, {"angles": "0:180", "order": "sinogram"}),
    "mapped grid": ("npy", np.save, FRAMES.reshape(2, 4, 64, 96), {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_becomes_shorter_is_named_however_it_is_read(tmp_path, kind):
    use, write, values, options = KINDS[kind]
    path = tmp_path / f"scan.{use}"
    write(path, values)
    source = registry.get("sources", use)(path=path, **options)
    scan = source.open()
    try:
        block = {scan.main.axes[0]: slice(0, 2), scan.main.axes[-1]: slice(8, 24)}
        assert source.read(block).shape[0] == 2
        whole = path.stat().st_size
        os.truncate(path, whole // 3)
        for read in (lambda: source.read(block), lambda: list(source.items())):
            with pytest.raises(SourceError, match=f"became shorter while it was read: it had {whole} byte") as caught:
                read()
            assert str(path) in str(caught.value)
            assert "--resume" in str(caught.value)
    finally:
        source.close()


def test_damaged_storage_chunks_of_a_grid_are_named(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", data=FRAMES.reshape(2, 4, 64, 96), chunks=(1, 4, 64, 96), compression="gzip")
        place = data.id.get_chunk_info(1)
    with path.open("r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"\xff" * 64)
    source = registry.get("sources", "hdf5")(path=path, dataset="data", axes="scan_y scan_x row col")
    source.open()
    try:
        with pytest.raises(SourceError, match=r"A block of .*scan\.h5 can not be read") as caught:
            source.read({"scan_y": slice(1, 2)})
        assert "another program" in str(caught.value)
    finally:
        source.close()

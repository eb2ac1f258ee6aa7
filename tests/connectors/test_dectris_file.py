"""Master and data files of a DECTRIS detector, as its FileWriter lays them out; RosettaSciIO's reader is the independent check."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from firstlight.connectors.dectris.files import DectrisFileSource
from firstlight.core.chunk import Chunk, Gap
from firstlight.core.errors import SourceError

sys.path.insert(0, str(Path(__file__).parent))
from masters import write_master

FRAMES = np.random.default_rng(0).poisson(3, (12, 40, 36)).astype(np.uint16)


def played(source):
    scan = source.open()
    items = list(source.items())
    source.close()
    return scan, items


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_frames_of_all_data_files(tmp_path, packed, dtype):
    frames = FRAMES.astype(dtype)
    write_master(tmp_path, frames, per_file=5, packed=packed)
    source = DectrisFileSource(path=tmp_path / "scan_master.h5", scan_y=3, chunk=9000)
    assert DectrisFileSource.recognises(source.path)
    scan, items = played(source)
    assert scan.main.sizes == {"scan_y": 3, "scan_x": 4, "row": 40, "col": 36}
    assert scan.calibration["energy"].to("keV") == pytest.approx(8.041)
    np.testing.assert_array_equal(np.concatenate([c.data for c in items if isinstance(c, Chunk)]), frames)
    source.open()
    part = source.read({"scan_y": slice(1, 3), "scan_x": slice(0, 2), "row": slice(3, 9)})
    np.testing.assert_array_equal(part, frames.reshape(3, 4, 40, 36)[1:, :2, 3:9])
    source.close()


def test_as_rosettasciio_reads_them(tmp_path):
    reader = pytest.importorskip("rsciio.arina")
    write_master(tmp_path, FRAMES[:, :36], per_file=12)  # their reader takes square frames alone
    (theirs,) = reader.file_reader(tmp_path / "scan_master.h5", navigation_shape=(4, 3))
    source = DectrisFileSource(path=tmp_path / "scan_master.h5", scan_y=3)
    source.open()
    ours = source.read({})
    source.close()
    np.testing.assert_array_equal(np.asarray(theirs["data"]).reshape(12, 36, 36), ours.reshape(12, 36, 36))


def test_data_files_that_are_missing_are_frames_that_are_missing(tmp_path):
    write_master(tmp_path, FRAMES, per_file=5)
    for number in (2, 3):
        (tmp_path / f"scan_data_00000{number}.h5").unlink()
    scan, items = played(DectrisFileSource(path=tmp_path / "scan_master.h5", scan_x=4))
    assert scan.main.frames == 12
    assert [(gap.first, gap.last) for gap in items if isinstance(gap, Gap)] == [(5, 11)]
    (tmp_path / "scan_data_000001.h5").unlink()
    with pytest.raises(SourceError, match="None of the data files"):
        DectrisFileSource(path=tmp_path / "scan_master.h5").open()


def test_lines_are_triggers(tmp_path):
    write_master(tmp_path, FRAMES, per_file=5, config={"ntrigger": 3, "nimages": 4})
    scan, _ = played(DectrisFileSource(path=tmp_path / "scan_master.h5"))
    assert (scan.main.sizes["scan_y"], scan.main.sizes["scan_x"]) == (3, 4)


def test_a_frame_that_is_damaged_is_named(tmp_path):
    write_master(tmp_path, FRAMES, per_file=12)
    with h5py.File(tmp_path / "scan_data_000001.h5", "r+") as file:
        made = file["entry/data/data"]
        _, chunk = made.id.read_direct_chunk((7, 0, 0))
        made.id.write_direct_chunk((7, 0, 0), chunk[:-9] + b"\xff" * 9)
    source = DectrisFileSource(path=tmp_path / "scan_master.h5", chunk=3000)
    source.open()
    with pytest.raises(SourceError, match="Frames 7 to 7"):
        list(source.items())
    source.close()
    _, items = played(DectrisFileSource(path=tmp_path / "scan_master.h5", chunk=3000, ignore=(7,)))
    assert sum(len(c) for c in items if isinstance(c, Chunk)) == 11

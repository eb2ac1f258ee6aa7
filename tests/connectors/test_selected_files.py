"""Sources over files read the part that is selected, and nothing else."""

import h5py
import numpy as np
import pytest

from firstlight.connectors.dxfile.source import DXfileSource
from firstlight.connectors.hdf5.frames import DatasetReader
from firstlight.connectors.hdf5.source import Hdf5Source
from firstlight.connectors.nxtomo.source import NXtomoSource
from firstlight.core.chunk import MAIN, Chunk, Gap
from firstlight.core.selected import Selected
from firstlight.core.selection import Picked

RNG = np.random.default_rng(7)
FRAMES, ROWS, COLUMNS = 12, 6, 10
DATA = RNG.integers(0, 60000, (FRAMES, ROWS, COLUMNS), dtype=np.uint16)
IMAGES = RNG.integers(0, 60000, (8, ROWS, COLUMNS), dtype=np.uint16)
ANGLES = np.linspace(0, 165, FRAMES)
SELECTIONS = [
    {"row": "1:3"},
    {"col": "2:9:3", "row": "mid"},
    {"angle": "3:9"},
    {"angle": "1:11:3", "row": "::2"},
    {"angle": "-1"},
]


def dxfile(folder):
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        file["exchange/data"], file["exchange/theta"] = DATA, ANGLES
        file["exchange/data_dark"], file["exchange/data_white"] = IMAGES[:3], IMAGES[3:]
    return DXfileSource(path=path, chunk=4 * ROWS * COLUMNS * 2)


def hdf5(folder):
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=DATA, chunks=(1, 3, 5))
        file["darks"], file["flats"], file["angles"] = IMAGES[:3], IMAGES[3:], ANGLES
    return Hdf5Source(path=path, dataset="data", axes="angle row col", angles="angles", darks="darks", flats="flats")


def nxtomo(folder):
    """Flats before, between and after; one frame is marked as invalid."""
    path = folder / "a.nxs"
    key = np.array([2, 2, 1, 1, *[0] * 5, 3, 0, 1, *[0] * 5, 1, 1])
    frames = np.empty((len(key), ROWS, COLUMNS), np.uint16)
    projections = (key == 0) | (key == 3)
    frames[projections], frames[~projections] = DATA, IMAGES[: (~projections).sum()]
    angles = np.zeros(len(key))
    angles[projections] = ANGLES
    with h5py.File(path, "w") as file:
        file.create_group("entry").attrs["NX_class"] = "NXentry"
        file["entry/definition"] = "NXtomo"
        file["entry/instrument/detector/data"], file["entry/instrument/detector/image_key"] = frames, key
        file["entry/sample/rotation_angle"] = angles
        file["entry/sample/rotation_angle"].attrs["units"] = "deg"
    return NXtomoSource(path=path)


def played(source):
    scan = source.open()
    items = list(source.items())
    source.close()
    return scan, items


def frames_of(scan, items, stream):
    found = {}
    for item in items:
        if isinstance(item, Chunk) and item.stream == stream:
            assert item.data.shape[1:] == scan.stream(stream).frame_shape
            for number, place in enumerate(item.ids.tolist()):
                found[item.set, place] = item.data[number], float(item.coords["angle"][number]) if item.coords else 0.0
    return found


@pytest.mark.parametrize("make", [dxfile, hdf5, nxtomo])
@pytest.mark.parametrize("only", SELECTIONS, ids=str)
def test_the_part_is_that_part_of_the_whole_and_nothing_else_is_read(make, only, tmp_path, monkeypatch):
    source = make(tmp_path)
    whole_scan, whole_items = played(source)
    whole = frames_of(whole_scan, whole_items, MAIN)
    picked = {label: Picked.parse(text) for label, text in only.items()}
    chosen = {label: each.positions(whole_scan.main.size(label)) for label, each in picked.items()}
    part = Selected.of(source, picked)
    asked = []
    read = DatasetReader.read_into
    monkeypatch.setattr(
        DatasetReader, "read_into", lambda self, where, out: (asked.append(out.nbytes), read(self, where, out))[1]
    )
    scan, items = played(part)

    angles, keeps = chosen.get("angle", range(FRAMES)), chosen.get("angle", range(1)).step == 1
    cut = np.ix_(*(chosen.get(label, range(size)) for label, size in (("row", ROWS), ("col", COLUMNS))))
    found = frames_of(scan, items, MAIN)
    expected = {(0, a if keeps else n): whole[0, a] for n, a in enumerate(angles) if (0, a) in whole}
    assert found.keys() == expected.keys()
    for place, (frame, angle) in found.items():
        assert np.array_equal(frame, expected[place][0][cut])
        assert angle == expected[place][1] == scan.coords["angle"][place[1]]
    gaps = sum(len(item) for item in items if isinstance(item, Gap))
    assert len(found) + gaps == scan.main.frames == len(angles)
    for stream in ("dark", "flat"):
        left, right = frames_of(scan, items, stream), frames_of(whole_scan, whole_items, stream)
        assert all(
            np.array_equal(a[0], b[0][cut])
            for (_, a), (_, b) in zip(sorted(left.items()), sorted(right.items()), strict=True)
        )

    columns = chosen.get("col", range(COLUMNS))
    frame = len(chosen.get("row", range(ROWS))) * (columns[-1] - columns[0] + 1) * 2
    others = sum(scan.stream(name).frames for name in ("dark", "flat"))
    assert sum(asked) == frame * (len(angles) + others)

    part.open()
    block = part.read({"row": slice(0, 2), "angle": slice(0, 3)})
    assert np.array_equal(block, DATA[np.ix_(angles, range(ROWS), range(COLUMNS))][(slice(None), *cut)][:3, :2])
    part.close()


def test_a_block_of_a_recorded_grid(tmp_path):
    path = tmp_path / "grid.h5"
    data = RNG.integers(0, 99, (4, 5, 3, 2), dtype=np.uint8)
    with h5py.File(path, "w") as file:
        file["data"] = data
    source = Hdf5Source(path=path, dataset="data", axes="scan_y scan_x row col")
    part = Selected.of(source, {"scan_y": Picked.parse("1:3"), "scan_x": Picked.parse("::2"), "row": Picked.parse("2")})
    scan, items = played(part)
    expected = data[1:3, ::2, 2:3]
    assert np.array_equal(
        np.concatenate([i.data for i in items if isinstance(i, Chunk)]).reshape(expected.shape), expected
    )
    part.open()
    assert np.array_equal(part.read({}), expected)
    assert np.array_equal(part.read({"scan_y": slice(1, 2), "col": slice(0, 1)}), expected[1:2, ..., :1])
    part.close()
    assert tuple(scan.main.sizes.values()) == expected.shape


def test_the_result_names_the_rows_of_the_recorded_scan(tmp_path):
    from firstlight.core.job import parse_job
    from firstlight.jobs.start import start

    out = tmp_path / "out.nxs"
    job = parse_job(
        {
            "source": {"use": "phantom", "columns": 16, "rows": 10, "angles": 20, "pixel": "2 um"},
            "only": {"row": "4:8:2"},
            "steps": [{"use": "flat_field"}, {"use": "minus_log"}, {"use": "fbp"}],
            "sinks": [{"use": "hdf5", "of": "fbp", "path": str(out)}],
        }
    )
    start(job).finished(60)
    with h5py.File(out) as file:
        assert file["entry/data/z"][()].tolist() == [8.0, 12.0]
        assert b'"selected": {"row": [4, 8, 2]}' in file["entry/process/record"][()]
        assert b'"only": {"row": "4:8:2"}' in file["entry/process/record"][()]

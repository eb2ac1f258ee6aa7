"""Files that are empty, cut short, of another kind or of absurd sizes: each format says so, and takes no memory for them."""

import contextlib
import json
import re

import h5py
import numpy as np
import pytest
import tifffile

from firstlight.core import registry
from firstlight.core.errors import FirstlightError
from firstlight.jobs.unrecognised import unrecognised

ENDINGS = {
    "tiff": ".tif",
    "edf": ".edf",
    "mrc": ".mrc",
    "txrm": ".txrm",
    "savu": "_processed.nxs",
    "nxstxm": ".nxs",
    "nxtomo": ".nxs",
    "dxfile": ".h5",
    "als832": ".h5",
    "cxi": ".cxi",
    "hdf5": ".h5",
    "raw": ".raw",
}
TEXT = b"this is a shopping list: milk, eggs, photons\n" * 40
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def told(path):
    """A description that the source of plain numbers needs."""
    path.with_name(path.name + ".json").write_text(
        json.dumps({"shape": [4, 3, 5], "dtype": "float32", "byteorder": "little", "axes": ["angle", "row", "col"]})
    )


def whole(path):
    """A file of another kind, which is whole by itself."""
    if path.suffix == ".tif":
        with h5py.File(path, "w") as file:
            file["x"] = np.zeros(3)
    else:
        tifffile.imwrite(path, np.zeros((3, 8, 9), np.float32), photometric="minisblack")


def played(source):
    try:
        source.open()
        return list(source.items())
    finally:
        source.close()


BAD = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(TEXT),
    "only a magic": lambda path: path.write_bytes(HDF5_MAGIC),
    "zeros": lambda path: path.write_bytes(bytes(2048)),
    "all ones": lambda path: path.write_bytes(b"\xff" * 2048),
    "another kind": whole,
}


@pytest.mark.parametrize("use", ENDINGS)
@pytest.mark.parametrize("fault", BAD)
def test_a_file_that_is_not_what_its_name_says(tmp_path, use, fault):
    path = tmp_path / f"scan{ENDINGS[use]}"
    BAD[fault](path)
    kind = registry.get("sources", use)
    more = {"dataset": "data", "axes": "angle row col"} if use == "hdf5" else {}
    if use == "raw":
        told(path)
        if path.stat().st_size >= 4 * 60:
            pytest.skip("any bytes are numbers")
    with pytest.raises(FirstlightError) as caught:
        played(kind(path=path, **more))
    assert path.name in str(caught.value) or str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("mark", [b"TREE", b"SNOD", b"HEAP"])
def test_groups_of_an_hdf5_file_that_are_damaged(tmp_path, mark):
    """Not only data lie in a file: h5py tells of damaged groups with errors of its own, one kind for each part."""
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["entry/sample/rotation_angle"] = np.arange(4.0)
        file["entry/instrument/detector/data"] = np.zeros((4, 3, 5), np.uint16)
        file["entry/instrument/detector/image_key"] = np.zeros(4, int)
        file["exchange/data"] = np.zeros((4, 3, 5), np.uint16)
    raw = path.read_bytes()
    for place in [match.start() for match in re.finditer(mark, raw)]:
        path.write_bytes(raw[:place] + bytes(4) + raw[place + 4 :])
        for use in ("als832", "dxfile", "hdf5", "nxtomo", "nxstxm", "savu", "cxi"):
            kind = registry.get("sources", use)
            kind.recognises(path)
            with contextlib.suppress(FirstlightError):
                played(kind(path=path))
        with contextlib.suppress(FirstlightError):
            raise unrecognised(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": [10**9, 10**9, 10**9]},
        {"shape": [-4, 3, 5]},
        {"shape": "all"},
        {"dtype": "object"},
        {"dtype": "float99"},
        {"offset": 10**15},
        {"axes": ["angle"]},
    ],
    ids=str,
)
def test_a_description_of_plain_numbers_that_can_not_be(tmp_path, wrong):
    path = tmp_path / "scan.raw"
    path.write_bytes(bytes(4 * 60))
    told(path)
    beside = path.with_name(path.name + ".json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), **wrong}))
    source = registry.get("sources", "raw")(path=path)
    with pytest.raises(FirstlightError):
        source.open()
    source.close()

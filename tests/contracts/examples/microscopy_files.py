"""Examples of the sources and sinks for files of electron microscopes."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from firstlight.connectors.recorded.mapped import read_mask
from firstlight.core import registry
from firstlight.core.sink import Sink
from firstlight.core.source import Source

from ...connectors.masters import write_master

FRAMES = np.random.default_rng(0).integers(1, 1000, (12, 4, 6)).astype(np.uint16)


def npy(tmp_path: Path) -> Source:
    """The scan begins with the second frame of the file, so that its last point has none."""
    np.save(tmp_path / "scan.npy", FRAMES)
    given = {"scan_y": 3, "scan_x": 4, "sync_offset": 1, "chunk": 200}
    return registry.get("sources", "npy")(path=tmp_path / "scan.npy", **given)


def microscopy(tmp_path: Path) -> Source:
    """A stack that RosettaSciIO reads."""
    import mrcfile

    with mrcfile.new(tmp_path / "scan.mrc", overwrite=True) as file:
        file.set_data(FRAMES)
    return registry.get("sources", "microscopy")(path=tmp_path / "scan.mrc", scan_y=3, scan_x=4, chunk=200)


def empad(tmp_path: Path) -> Source:
    frames = np.zeros((6, 130, 128), "<f4")
    frames[:, :4, :6] = FRAMES[:6]
    frames.tofile(tmp_path / "scan.raw")
    return registry.get("sources", "empad")(path=tmp_path / "scan.raw", scan_y=2, chunk=10**5)


def blo(tmp_path: Path) -> Source:
    head = struct.pack("<6sHIIIHHHHHddI", b"IMGBLO", 258, 4096, 58, 0, 4, 0, 3, 4, 0, 1.0, 2.0, 80000)
    frames = b"".join(bytes(6) + frame[:, :4].astype(np.uint8).tobytes() for frame in FRAMES)
    (tmp_path / "scan.blo").write_bytes(head + frames)
    return registry.get("sources", "blo")(path=tmp_path / "scan.blo", chunk=50)


def emd(tmp_path: Path) -> Source:
    with h5py.File(tmp_path / "scan.emd", "w") as file:
        group = file.create_group("experiment/scan")
        group.attrs["emd_group_type"] = 1
        group["data"] = FRAMES.reshape(3, 4, 4, 6)
    return registry.get("sources", "emd")(path=tmp_path / "scan.emd", chunk=200)


def raw_scan(tmp_path: Path) -> Source:
    """The last frame is cut off."""
    frames = b"".join(b"head" + frame.tobytes() for frame in FRAMES)
    (tmp_path / "scan.bin").write_bytes(frames[:-3])
    given = {"frame": (4, 6), "dtype": "uint16", "head": 4, "scan_y": 3, "scan_x": 4, "chunk": 200}
    return registry.get("sources", "raw_scan")(path=tmp_path / "scan.bin", **given)


def seq(tmp_path: Path) -> Source:
    from ...connectors.microscopy.test_seq import written

    return registry.get("sources", "seq")(path=written(tmp_path / "scan.seq"), scan_y=3, chunk=300)


def frms6(tmp_path: Path) -> Source:
    from ...connectors.microscopy.test_frms6 import written

    return registry.get("sources", "frms6")(path=written(tmp_path), chunk=300)


def k2is(tmp_path: Path) -> Source:
    """One sector has lost a block of the second frame."""
    from ...connectors.microscopy.test_k2is import written

    return registry.get("sources", "k2is")(path=written(tmp_path, without=[(5, 70)]), chunk=10**7)


def dectris_file(tmp_path: Path) -> Source:
    """The second of three data files is missing."""
    write_master(tmp_path, FRAMES, per_file=5)
    (tmp_path / "scan_data_000002.h5").unlink()
    return registry.get("sources", "dectris_file")(path=tmp_path / "scan_master.h5", scan_y=3, chunk=200)


class Npy:
    def make(self, tmp_path: Path) -> Sink:
        return registry.get("sinks", "npy")(path=tmp_path / "out.npy")

    def read(self, sink: Any) -> Any:
        return np.load(sink.path)

    def missing(self, sink: Any) -> list[int]:
        return np.flatnonzero(~read_mask(sink.path, 24)).tolist()

    def record(self, sink: Any) -> dict[str, Any]:
        return json.loads(sink.path.with_name("out.npy.json").read_text())["record"]


class Hspy:
    def make(self, tmp_path: Path) -> Sink:
        return registry.get("sinks", "hspy")(path=tmp_path / "out.hspy")

    def read(self, sink: Any) -> Any:
        with h5py.File(sink.path, locking=False) as file:
            return file["Experiments/scan/data"][()]

    def missing(self, sink: Any) -> list[int]:
        with h5py.File(sink.path, locking=False) as file:
            return np.flatnonzero(file["Experiments/scan/covered"][()] == 0).tolist()

    def record(self, sink: Any) -> dict[str, Any]:
        with h5py.File(sink.path, locking=False) as file:
            return json.loads(file["firstlight/record"].asstr()[()])


SINKS: dict[str, Callable[[], Any]] = {"npy": Npy, "hspy": Hspy}
SOURCES: dict[str, Callable[[Path], Source]] = {
    "npy": npy,
    "microscopy": microscopy,
    "empad": empad,
    "blo": blo,
    "emd": emd,
    "raw_scan": raw_scan,
    "frms6": frms6,
    "k2is": k2is,
    "seq": seq,
    "dectris_file": dectris_file,
}
UNLIMITED = {name: {"sync_offset"} for name in SOURCES}

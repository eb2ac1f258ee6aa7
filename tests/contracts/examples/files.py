"""Examples of the sources and sinks for image files, and of what the default jobs need."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile

from firstlight.connectors.recorded.mapped import read_mask
from firstlight.connectors.tiff.result import read_state
from firstlight.core import registry
from firstlight.core.chunk import Chunk
from firstlight.core.sink import Sink
from firstlight.core.source import Source
from firstlight.testing import OperatorExample

from ...connectors.compound import write_compound
from ..scenes import scan

FRAMES = np.random.default_rng(0).integers(1, 1000, (12, 4, 6)).astype(np.uint16)
ANGLES = "0:180"


def tiff(tmp_path: Path) -> Source:
    for number, frame in enumerate(FRAMES):
        tifffile.imwrite(tmp_path / f"scan_{number}.tif", frame, compression="zlib" if number % 2 else None)
    tifffile.imwrite(tmp_path / "dark.tif", FRAMES[:2])
    given = {"pattern": "scan_*", "darks": tmp_path / "dark.tif", "chunk": 100, "ignore": (2, 3)}
    return registry.get("sources", "tiff")(path=tmp_path, angles=ANGLES, **given)


def nxstxm(tmp_path: Path) -> Source:
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        entry = file.create_group("entry1/stxm_entry")
        entry["definition"] = "NXstxm"
        entry["data/data"] = FRAMES
        entry["data/theta"] = np.roll(np.arange(12) * 15.0, 3)
    return registry.get("sources", "nxstxm")(path=tmp_path / "scan.nxs")


def raw(tmp_path: Path) -> Source:
    FRAMES.astype(">u2").tofile(tmp_path / "scan.raw")
    given = {"shape": FRAMES.shape, "dtype": "uint16", "byteorder": "big", "angles": ANGLES, "chunk": 200}
    return registry.get("sources", "raw")(path=tmp_path / "scan.raw", **given)


def mrc(tmp_path: Path) -> Source:
    import mrcfile

    with mrcfile.new(tmp_path / "scan.mrc", overwrite=True) as file:
        file.set_data(FRAMES)
    return registry.get("sources", "mrc")(path=tmp_path / "scan.mrc", angles=ANGLES, chunk=200)


def npz(tmp_path: Path) -> Source:
    np.savez(tmp_path / "scan.npz", proj=FRAMES, dark=FRAMES[:2], flat=FRAMES[2:4])
    return registry.get("sources", "npz")(path=tmp_path / "scan.npz", angles=ANGLES, chunk=200)


def edf(tmp_path: Path) -> Source:
    header = "{\nDataType = UnsignedShort ;\nDim_1 = 6 ;\nDim_2 = 4 ;\n".ljust(510).encode() + b"}\n"
    (tmp_path / "scan.edf").write_bytes(b"".join(header + frame.tobytes() for frame in FRAMES))
    return registry.get("sources", "edf")(path=tmp_path / "scan.edf", angles=ANGLES, chunk=200)


def hdf5_live(tmp_path: Path) -> Source:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["frames"] = FRAMES
        file["dark"] = FRAMES[:2]
    given = {"dataset": "frames", "darks": "dark", "angles": "0:180", "frames": 12, "chunk": 200, "every": 0.02}
    return registry.get("sources", "hdf5_live")(path=tmp_path / "scan.h5", **given)


def savu(tmp_path: Path) -> Source:
    with h5py.File(tmp_path / "scan_processed.nxs", "w") as file:
        group = file.create_group("entry/final_result_tomo")
        axes = ("rotation_angle", "detector_y", "detector_x")
        group.attrs.update({"NX_class": "NXdata", "signal": "data", "axes": np.array(axes, "S")})
        group["data"] = FRAMES
        group["rotation_angle"] = np.arange(12) * 15.0
    return registry.get("sources", "savu")(path=tmp_path / "scan_processed.nxs")


def txrm(tmp_path: Path) -> Source:
    head = {"ImageWidth": [6], "ImageHeight": [4], "ImagesTaken": [12], "DataType": [5]}
    streams = {f"ImageInfo/{name}": np.array(value, "<u4").tobytes() for name, value in head.items()}
    streams |= {f"ImageData1/Image{number}": frame.tobytes() for number, frame in enumerate(FRAMES, 1)}
    path = write_compound(tmp_path / "scan.txrm", streams)
    return registry.get("sources", "txrm")(path=path, angles=ANGLES, chunk=200)


def zarr_group(tmp_path: Path) -> Source:
    import zarr

    root = zarr.create_group(tmp_path / "scan.zarr", overwrite=True)
    root.create_array("frames", data=FRAMES, chunks=(5, 2, 6))
    root.create_array("dark", data=FRAMES[:2])
    return registry.get("sources", "zarr")(
        path=str(tmp_path / "scan.zarr"), array="frames", axes="angle row col", darks="dark", angles=ANGLES, chunk=200
    )


class Zarr:
    def make(self, tmp_path: Path) -> Sink:
        return registry.get("sinks", "zarr")(path=str(tmp_path / "out.zarr"))

    def opened(self, sink: Any) -> Any:
        import zarr

        return zarr.open_group(sink.path, mode="r")

    def read(self, sink: Any) -> Any:
        return self.opened(sink)["0"][...]

    def missing(self, sink: Any) -> list[int]:
        return np.flatnonzero(~self.opened(sink)["covered"][...].astype(bool)).tolist()

    def record(self, sink: Any) -> dict[str, Any]:
        return self.opened(sink).attrs["firstlight"]["record"]


class Tiff:
    """Reads what the TIFF sink wrote, in one of its layouts."""

    name = "out"

    def make(self, tmp_path: Path) -> Sink:
        return registry.get("sinks", "tiff")(path=tmp_path / self.name)

    def read(self, sink: Any) -> Any:
        if sink.path.is_file():
            return tifffile.imread(sink.path)
        found = {int(file.stem.rpartition("_")[2]): tifffile.imread(file) for file in sink.path.glob("*.tif")}
        return np.stack([found.get(place, np.zeros((3, 5))) for place in range(24)])

    def missing(self, sink: Any) -> list[int]:
        return np.flatnonzero(~read_state(sink.path).covered).tolist()

    def record(self, sink: Any) -> dict[str, Any]:
        return read_state(sink.path).record


class NXtomo:
    def make(self, tmp_path: Path) -> Sink:
        return registry.get("sinks", "nxtomo")(path=tmp_path / "out.nxs")

    def read(self, sink: Any) -> Any:
        with h5py.File(sink.path, locking=False) as file:
            return file["entry/data/data"][()]

    def missing(self, sink: Any) -> list[int]:
        with h5py.File(sink.path, locking=False) as file:
            return np.flatnonzero(file["entry/instrument/detector/image_key"][()] != 0).tolist()

    def record(self, sink: Any) -> dict[str, Any]:
        with h5py.File(sink.path, locking=False) as file:
            found = file["entry/firstlight"]
            return json.loads(found["record_final" if "record_final" in found else "record"].asstr()[()])


class Raw:
    def make(self, tmp_path: Path) -> Sink:
        return registry.get("sinks", "raw")(path=tmp_path / "out.raw")

    def read(self, sink: Any) -> Any:
        told = json.loads((sink.path.parent / "out.raw.json").read_text())
        return np.fromfile(sink.path, told["dtype"]).reshape(told["shape"])

    def missing(self, sink: Any) -> list[int]:
        return np.flatnonzero(~read_mask(sink.path, 24)).tolist()

    def record(self, sink: Any) -> dict[str, Any]:
        return json.loads((sink.path.parent / "out.raw.json").read_text())["record"]


SINKS: dict[str, Callable[[], Any]] = {"nxtomo": NXtomo, "tiff": Tiff, "raw": Raw, "zarr": Zarr}
SOURCES: dict[str, Callable[[Path], Source]] = {
    "edf": edf,
    "npz": npz,
    "hdf5_live": hdf5_live,
    "mrc": mrc,
    "nxstxm": nxstxm,
    "raw": raw,
    "savu": savu,
    "tiff": tiff,
    "txrm": txrm,
    "zarr": zarr_group,
}
UNLIMITED = {name: {"angles"} for name in SOURCES}


def bright() -> OperatorExample:
    step = registry.get("operators", "normalize_bright").step()
    lines = np.random.default_rng(4).uniform(10, 1000, (7, 6, 16)).astype(np.float32)
    return OperatorExample(step, scan(), Chunk(lines, ("row", "col"), np.arange(7)), {})


OPERATORS: dict[str, Callable[[], Any]] = {"normalize_bright": bright}

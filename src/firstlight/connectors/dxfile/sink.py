"""Sink for DXfile (Data Exchange): captures a raw scan, with darks, flats and angles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.chunk import MAIN, Chunk, Scan
from firstlight.core.errors import SinkError, SourceError

from ..hdf5.files import is_dataset, lookup, open_file
from ..hdf5.handles import Dataset, File
from ..hdf5.nexus import known_angles, put_rows
from ..hdf5.target import Storage, Target, whole_bytes
from ..hdf5.writing import FileSink, Writing
from ..recorded.place import missing_ranges

_NAMES = {MAIN: "data", "dark": "data_dark", "flat": "data_white"}
_DESCRIBED = {MAIN: "ImageData", "dark": "DarkData", "flat": "WhiteData"}


class DXfileSink(FileSink):
    """Captures a raw tomography scan as a DXfile: projections, darks, flats and angles, as programs of the APS read it."""

    use: ClassVar[str] = "dxfile"
    captures: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = ("10.1107/S160057751401604X",)

    def writing(self, path: Path, scan: Scan) -> Writing:
        """Create the file.

        Raises:
            SinkError: It exists or can not be created, or the output is no stream of frames (row col).
        """
        if scan.main.frame_axes != ("row", "col") or scan.main.arrival != 1:
            raise SinkError(
                "A DXfile holds detector frames.",
                field="of",
                value=" ".join(scan.main.axes),
                expected="a stream with the axes angle row col",
                next_move="Use the sink hdf5 for results.",
            )
        return _Exchange(path, self.create(path), scan, Storage(self.compression))

    @classmethod
    def record_of(cls, path: Path) -> dict[str, Any] | None:
        """The newest record in a file of ours; None if this is none."""
        try:
            with open_file(path) as file:
                for name in ("record_final", "record"):
                    found = lookup(file, f"process/firstlight/{name}")
                    if is_dataset(found):
                        return json.loads(found[()])
        except (SourceError, OSError, ValueError, TypeError):
            return None
        return None


class _Exchange(Writing):
    """The group ``exchange`` and what describes it."""

    def __init__(self, path: Path, file: File, scan: Scan, storage: Storage) -> None:
        super().__init__(path, file, scan, storage)
        self.targets: dict[str, Target] = {}

    def begin(self, record: dict[str, Any]) -> None:
        """Write names, calibration and record; say that the scan is not complete."""
        file, scan = self.file, self.scan
        file.attrs["complete"] = np.bool_(False)
        file["implements"] = "exchange:measurement:process"
        file.create_group("exchange")
        file["exchange/title"] = scan.name
        file["measurement/sample/name"] = scan.metadata.get("sample", scan.name)
        instrument = file.create_group("measurement/instrument")
        where = {
            "pixel": "detection_system/objective/resolution",
            "energy": "monochromator/energy",
            "distance": "sample_motor_stack/detector_distance",
        }
        units = {"pixel": "um", "energy": "keV", "distance": "mm"}
        for name in where.keys() & scan.calibration.keys():
            instrument[where[name]] = scan.calibration[name].to(units[name])
            instrument[where[name]].attrs["units"] = units[name]
        file["process/firstlight/record"] = json.dumps(record, default=str)
        if all(scan.main.sizes.get(label) for label in scan.main.frame_axes):
            self._make(MAIN, None)

    def target(self, chunk: Chunk) -> Target:
        """The array of the chunk's stream.

        Raises:
            SinkError: The layout has no place for that stream, or for frames after a restart of the detector.
        """
        if chunk.stream not in _NAMES or chunk.epoch:
            raise SinkError(
                "A DXfile has no place for these frames.",
                field="stream" if chunk.stream not in _NAMES else "epoch",
                value=chunk.stream if chunk.stream not in _NAMES else chunk.epoch,
                expected=f"one of {', '.join(_NAMES)}, and one run of the detector",
                next_move="Use the sink hdf5.",
            )
        return self.targets.get(chunk.stream) or self._make(chunk.stream, chunk)

    def _make(self, stream: str, chunk: Chunk | None) -> Target:
        group, name = self.file["exchange"], _NAMES[stream]
        described = self.scan.stream(stream)
        settled = self.storage.compression == "none" and all(described.sizes.get(label) for label in described.axes)
        self.take_space("make room for all frames", whole_bytes(described) if settled else 0)
        mask = "covered" if stream == MAIN else f"covered_{stream}"
        made = self.targets[stream] = Target(group, described, chunk, self.storage, name=name, mask=mask)
        made.data.attrs.update({"description": _DESCRIBED[stream], "units": "counts", "axes": "theta:y:x"})
        if stream == MAIN:
            values = known_angles(self.scan, made.scanned[0], described)
            theta = group.create_dataset("theta", data=values, maxshape=(None,), chunks=(4096,))
            theta.attrs["units"] = "degrees"
        else:
            ids = group.create_dataset(
                f"{name}_id", data=np.zeros(made.scanned[0], np.int64), maxshape=(None,), chunks=(4096,)
            )
            ids.attrs["description"] = "place of each frame in the acquisition, on the scale of the projections"
        self.file.flush()
        return made

    def prepare(self, target: Target, chunk: Chunk) -> None:
        """Write the angles of projections."""
        if target is not self.targets.get(MAIN):
            return
        theta = self.file["exchange/theta"]
        longer = self._fit(theta, target, target.lines(chunk))
        if "angle" in chunk.coords:
            put_rows(theta, chunk.ids - target.stream.first, chunk.coords["angle"])
        (self.file if longer else theta).flush()

    def _fit(self, beside: Dataset, target: Target, length: int) -> bool:
        """Give angles, or ids, a length; False if they have it."""
        have = len(beside)
        if have != length:
            beside.resize((length,))
        if length > have and target is self.targets.get(MAIN):
            beside[have:] = known_angles(self.scan, length, target.stream)[have:]
        return have != length

    def note(self, target: Target, chunk: Chunk | None) -> None:
        """Write the ids of dark and flat frames."""
        stream = next(name for name, each in self.targets.items() if each is target)
        beside = self.file["exchange/theta" if stream == MAIN else f"exchange/{_NAMES[stream]}_id"]
        self._fit(beside, target, target.scanned[0])
        ids = target.frame_ids()
        if ids is not None:
            beside[: len(ids)] = ids[: target.scanned[0]]

    def end(self, record: dict[str, Any], *, complete: bool) -> None:
        """Write which projections are missing, and the final record."""
        main = self.targets.get(MAIN)
        ranges = np.empty((0, 2), np.int64) if main is None else missing_ranges(main.covered[()])
        table = self.file.create_dataset("process/firstlight/missing", data=ranges)
        table.attrs["columns"] = "first, last projection (both included)"
        self.file["process/firstlight/record_final"] = json.dumps(record, default=str)
        self.file.attrs["complete"] = np.bool_(complete)

"""Sink for NXtomo: captures a raw scan with image key and angles."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.errors import SinkError

from ..hdf5.handles import File, Group
from ..hdf5.nexus import known_angles, nx_group, put_rows
from ..hdf5.target import Storage, Target, whole_bytes
from ..hdf5.writing import FileSink, Writing
from ..recorded.place import missing_ranges
from .keys import DARK, FLAT, INVALID, PROJECTION, UNKNOWN

_KEYS = {MAIN: PROJECTION, "dark": DARK, "flat": FLAT}
_DETECTOR = "entry/instrument/detector"
_QUANTITIES = {
    "pixel": (("instrument/detector/x_pixel_size", "instrument/detector/y_pixel_size"), "um"),
    "energy": (("beam/incident_energy",), "keV"),
    "distance": (("instrument/detector/distance",), "m"),
}


class NXtomoSink(FileSink):
    """Captures a raw tomography scan as NXtomo: all frames in one array, with image key and angles.

    A frame that has not come has the image key 3 (invalid), and each has a key and an angle at every moment. Darks and
    flats lie before the projections; ``frame_id`` holds the place of each frame in the acquisition.
    """

    use: ClassVar[str] = "nxtomo"
    captures: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = ("10.1107/S1600576714027575",)

    def writing(self, path: Path, scan: Scan) -> Writing:
        """Create the file.

        Raises:
            SinkError: It exists or can not be created, or the output is no stream of frames (row col).
        """
        if scan.main.frame_axes != ("row", "col") or scan.main.arrival != 1:
            raise SinkError(
                "NXtomo holds detector frames.",
                field="of",
                value=" ".join(scan.main.axes),
                expected="a stream with the axes angle row col",
                next_move="Use the sink hdf5 for results.",
            )
        return _Tomo(path, self.create(path), scan, Storage(self.compression))


class _Tomo(Writing):
    """The entry and its one array of frames."""

    def __init__(self, path: Path, file: File, scan: Scan, storage: Storage) -> None:
        super().__init__(path, file, scan, storage)
        self.images = [name for name in ("dark", "flat") if name in scan.streams]
        counts = [scan.streams[name].frames for name in self.images]
        main = scan.main.frames
        self.known = main is not None and None not in counts
        self.before = sum(count or 0 for count in counts) if self.known else 0
        """Rows of darks and flats in front of the projections."""
        total = self.before + main if self.known and main is not None else None
        sizes = {**scan.main.sizes, "angle": total}
        self.stream = Stream(("angle", "row", "col"), sizes, scan.main.dtype, unit=scan.main.unit)
        self.stack: Target | None = None
        self._rows: dict[tuple[str, int, int], int] = {}
        self._hand: tuple[int, Ids] = (PROJECTION, np.empty(0, np.int64))
        """Key and ids of the frames that are being written."""

    def begin(self, record: dict[str, Any]) -> None:
        """Write what is known beforehand, and make room for the frames if their number is."""
        file, scan = self.file, self.scan
        file.attrs.update({"NX_class": "NXroot", "default": "entry", "creator": "firstlight"})
        file.attrs["complete"] = np.bool_(False)
        entry: Group = nx_group(file, "entry", "NXentry")
        entry.attrs["default"] = "data"
        entry["definition"], entry["title"], entry["start_time"] = "NXtomo", scan.name, _now()
        nx_group(entry, "instrument", "NXinstrument")
        nx_group(entry["instrument"], "detector", "NXdetector")
        nx_group(entry, "sample", "NXsample")["name"] = scan.metadata.get("sample", scan.name)
        nx_group(entry, "beam", "NXbeam")
        for name, (paths, unit) in _QUANTITIES.items():
            for path in paths if name in scan.calibration else ():
                entry[path] = scan.calibration[name].to(unit)
                entry[path].attrs["units"] = unit
        nx_group(entry, "firstlight", "NXprocess")["record"] = json.dumps(record, default=str)
        if self.known and all(self.stream.sizes.get(label) for label in self.stream.axes):
            self._make(None)

    def write(self, chunk: Chunk) -> None:
        """Write frames to their rows.

        Raises:
            SinkError: The layout has no place for them, or the disk is full.
        """
        if chunk.stream not in _KEYS or chunk.epoch:
            raise SinkError(
                "NXtomo has no place for these frames.",
                field="stream" if chunk.stream not in _KEYS else "epoch",
                value=chunk.stream if chunk.stream not in _KEYS else chunk.epoch,
                expected=f"one of {', '.join(_KEYS)}, and one run of the detector",
                next_move="Use the sink hdf5.",
            )
        self._hand = (_KEYS[chunk.stream], chunk.ids)
        super().write(replace(chunk, ids=self._rows_of(chunk), stream=MAIN, set=0))

    def _rows_of(self, chunk: Chunk) -> Ids:
        """Where frames lie: projections by id behind darks and flats; in the order of arrival where numbers are not known."""
        if self.known and chunk.stream == MAIN:
            return self.before + chunk.ids - self.scan.main.first
        start = 0
        for name in self.images if self.known else ():
            if name == chunk.stream:
                break
            start += self.scan.streams[name].frames or 0
        own = sum(key[0] == chunk.stream for key in self._rows) if self.known else len(self._rows)
        found: list[int] = []
        for frame in chunk.ids.tolist():
            row = self._rows.setdefault((chunk.stream, chunk.set, frame), start + own)
            own += row == start + own
            found.append(row)
        return np.array(found, np.int64)

    def target(self, chunk: Chunk) -> Target:
        """The array of all frames."""
        return self.stack or self._make(chunk)

    def _make(self, chunk: Chunk | None) -> Target:
        group: Group = self.file[_DETECTOR]
        settled = self.known and self.storage.compression == "none"
        self.take_space("make room for all frames", whole_bytes(self.stream) if settled else 0)
        made = self.stack = Target(group, self.stream, chunk, self.storage)
        made.data.attrs["units"] = self.stream.unit or "counts"
        for name, values in self._columns(0, made.scanned[0]).items():
            group.create_dataset(name, data=values, maxshape=(None,), chunks=(4096,))
        group["rotation_angle"].attrs["units"] = "degree"
        self.file["entry/sample/rotation_angle"] = group["rotation_angle"]
        data: Group = nx_group(self.file["entry"], "data", "NXdata")
        data.attrs["signal"] = "data"
        for name in ("data", "image_key", "rotation_angle"):
            data[name] = group[name]
        self.file.flush()
        return made

    def _columns(self, start: int, stop: int) -> dict[str, Array]:
        """What goes with rows that are not written yet."""
        angles = np.zeros(stop - start)
        if self.known and stop > self.before:
            angles[max(0, self.before - start) :] = known_angles(self.scan, stop - self.before, self.scan.main)
        keys = np.full(stop - start, INVALID, np.int32)
        rows = np.arange(start, stop, dtype=np.int64)
        expected = self.known & (rows >= self.before)
        ids = np.where(expected, rows - self.before + self.scan.main.first, UNKNOWN)
        return {"image_key": keys, "rotation_angle": np.nan_to_num(angles), "frame_id": ids}

    def prepare(self, target: Target, chunk: Chunk) -> None:
        """Write ids and angles; rows to come have invalid keys."""
        group: Group = target.group
        longer = self._fit(group, target.lines(chunk))
        _, ids = self._hand
        put_rows(group["frame_id"], chunk.ids, ids)
        if "angle" in chunk.coords:
            put_rows(group["rotation_angle"], chunk.ids, chunk.coords["angle"])
        (self.file if longer else group["rotation_angle"]).flush()
        group["frame_id"].flush()

    def _fit(self, group: Group, length: int) -> bool:
        """Give the columns a length; False if they have it."""
        have = len(group["image_key"])
        fresh = self._columns(have, length) if length > have else {}
        for name in ("image_key", "rotation_angle", "frame_id") if have != length else ():
            group[name].resize((length,))
            if name in fresh:
                group[name][have:] = fresh[name]
        return have != length

    def note(self, target: Target, chunk: Chunk | None) -> None:
        """Write the key of frames."""
        self._fit(target.group, target.scanned[0])
        if chunk is not None:
            put_rows(target.group["image_key"], chunk.ids, self._hand[0])

    def end(self, record: dict[str, Any], *, complete: bool) -> None:
        """Write which projections are missing, and the final record."""
        entry: Group = self.file["entry"]
        ranges = np.empty((0, 2), np.int64)
        if self.stack is not None and self.known:
            ranges = missing_ranges(self.stack.covered[self.before :]) + self.scan.main.first
        made = entry.create_dataset("firstlight/missing", data=ranges)
        made.attrs["columns"] = "first, last projection (both included)"
        entry["firstlight/record_final"] = json.dumps(record, default=str)
        entry["end_time"] = _now()
        self.file.attrs["complete"] = np.bool_(complete)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")

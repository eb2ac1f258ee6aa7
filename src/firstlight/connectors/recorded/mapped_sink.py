"""Write one array in one piece into a file that is mapped: what sinks for plain numbers share."""

from __future__ import annotations

import sys
from abc import abstractmethod
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import MAIN, Chunk, Gap, Scan, Stream
from firstlight.core.errors import SinkError
from firstlight.core.sink import Sink

from .disk import disk_errors, exists_already
from .mapped import MASK, MappedArray, check_epoch, check_known, hide, merged_angles
from .sidecar import angle_list, describe, finished, write_json
from .times import Times

TIMES = ".times"
"""Ending of the file with the Unix time at which each frame came, by place (float64, little-endian; NaN: it did not)."""


class MappedSink(Sink):
    """A sink into one file of numbers in C order, with a JSON file beside it that says what they are."""

    path: Path
    """The file; its folder is created if that is missing."""
    overwrite: bool = False
    """Replace a file that exists already."""

    _array: MappedArray | None = PrivateAttr(None)
    _told: dict[str, Any] = PrivateAttr(default_factory=dict)
    _gaps: list[Gap] = PrivateAttr(default_factory=list)
    _angles: Array | None = PrivateAttr(None)
    _times: Times | None = PrivateAttr(None)

    @abstractmethod
    def head(self, stream: Stream) -> bytes:
        """What stands in the file before the numbers."""

    def open(self, scan: Scan, record: dict[str, Any]) -> None:
        """Take the room on the disk, and write the description.

        Raises:
            SinkError: The file exists, a length is not known, or the disk is full.
        """
        path = self.path.expanduser()
        check_known(scan.main, "A file of plain numbers")
        if path.exists() and not (self.overwrite and path.is_file()):
            raise exists_already(path)
        head = self.head(scan.main)
        with disk_errors(path.parent, "make the file"):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with disk_errors(path, "make the file"):
                hide(path)
                self._describe(path, scan, record)
                _beside(path, TIMES).unlink(missing_ok=True)
                path.write_bytes(head)
            self._begin(scan, MappedArray(path, len(head), scan.main))
        except BaseException:
            for each in (path, _beside(path, MASK), _beside(path, ".json")):
                each.unlink(missing_ok=True)
            raise

    @property
    def resumable(self) -> bool:
        """Frames that were written are whole."""
        return True

    def resume(self, scan: Scan, record: dict[str, Any], done: Ids) -> None:
        """Go on in what an interrupted run left.

        Raises:
            SinkError: It is not there.
        """
        path = self.path.expanduser()
        if not path.is_file():
            raise SinkError("There is nothing to go on with.", field="path", value=str(path))
        array = MappedArray(path, len(self.head(scan.main)), scan.main, fresh=False)
        array.trust(done)
        with disk_errors(path, "write the description"):
            self._describe(path, scan, record)
        self._begin(scan, array)

    def _describe(self, path: Path, scan: Scan, record: dict[str, Any]) -> None:
        shape = [scan.main.size(label) for label in scan.main.axes]
        layout = {"shape": shape, "byteorder": sys.byteorder, "order": "C", "offset": len(self.head(scan.main))}
        self._told = {**layout, **describe(scan, record)}
        write_json(_beside(path, ".json"), self._told)

    def _begin(self, scan: Scan, array: MappedArray) -> None:
        self._gaps, self._array = [], array
        self._angles = angle_list(scan, scan.main, array.positions)
        self._times = Times(array.positions) if scan.main.arrival else None

    def write(self, chunk: Chunk) -> None:
        """Write frames to the places that their ids name.

        Raises:
            SinkError: A frame does not fit.
        """
        if self._array is None:
            raise SinkError("The file is not open.", field="path", value=str(self.path), next_move="Call open() first.")
        check_epoch(chunk, MAIN)
        if len(chunk):
            with disk_errors(self._array.path, "write frames", chunk.nbytes):
                self._array.write(chunk)
            places = chunk.ids - self._array.stream.first
            merged_angles(self._angles, chunk, places)
            if self._times is not None:
                self._times.note(places, chunk.received)

    def miss(self, gap: Gap) -> None:
        """Note frames that will not come."""
        self._gaps.append(gap)

    def close(self, record: dict[str, Any], *, complete: bool) -> None:
        """Say what is missing and write the final description; harmless when called twice."""
        array, self._array = self._array, None
        if array is None:
            return
        ended = finished(
            self._told, record, missing=array.missing(), gaps=self._gaps, angles=self._angles, complete=complete
        )
        with disk_errors(array.path, "write the final description"):
            write_json(_beside(array.path, ".json"), ended)
            if self._times is not None:
                _beside(array.path, TIMES).write_bytes(self._times.first(array.positions).astype("<f8").tobytes())
        array.close()

    def location(self) -> str:
        """The path."""
        return str(self.path)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)

"""Sink for plain numbers with a description in JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

from pydantic import PrivateAttr

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import MAIN, Chunk, Gap, Scan
from firstlight.core.errors import SinkError
from firstlight.core.sink import Sink

from ..recorded.disk import disk_errors, exists_already
from ..recorded.mapped import MASK, MappedArray, check_epoch, check_known, merged_angles
from ..recorded.sidecar import angle_list, describe, finished, write_json


class RawSink(Sink):
    """Writes one output as plain numbers in one file (C order, this machine's bytes), described by a JSON file beside it.

    ``NAME.raw`` gets ``NAME.raw.json`` with shape, type, byte order, axes, units, the record and what is missing.
    """

    use: ClassVar[str] = "raw"

    path: Path
    """The file of numbers, such as ``volume.raw``."""
    overwrite: bool = False
    """Replace a file that exists already."""

    _array: MappedArray | None = PrivateAttr(None)
    _told: dict[str, Any] = PrivateAttr(default_factory=dict)
    _gaps: list[Gap] = PrivateAttr(default_factory=list)
    _angles: Array | None = PrivateAttr(None)

    def open(self, scan: Scan, record: dict[str, Any]) -> None:
        """Take the room on the disk, and write the description.

        Raises:
            SinkError: The file exists, a length is not known, or the disk is full.
        """
        path = self.path.expanduser()
        check_known(scan.main, "A file of plain numbers")
        if path.exists() and not (self.overwrite and path.is_file()):
            raise exists_already(path)
        with disk_errors(path.parent, "make the file"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        try:
            self._begin(path, scan, record, MappedArray(path, 0, scan.main))
        except BaseException:
            path.unlink(missing_ok=True)
            path.with_name(path.name + MASK).unlink(missing_ok=True)
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
        array = MappedArray(path, 0, scan.main, fresh=False)
        array.trust(done)
        self._begin(path, scan, record, array)

    def _begin(self, path: Path, scan: Scan, record: dict[str, Any], array: MappedArray) -> None:
        shape = {"shape": list(array.shape), "byteorder": sys.byteorder, "order": "C", "offset": 0}
        self._told = {**shape, **describe(scan, record)}
        with disk_errors(path, "write the description"):
            write_json(_description(path), self._told)
        self._gaps, self._array = [], array
        self._angles = angle_list(scan, scan.main, array.positions)

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
            merged_angles(self._angles, chunk, chunk.ids - self._array.stream.first)

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
            write_json(_description(array.path), ended)
        array.close()

    def location(self) -> str:
        """The path."""
        return str(self.path)


def _description(path: Path) -> Path:
    return path.with_name(path.name + ".json")

"""Sink for TIFF files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import PrivateAttr

from firstlight.core.arrays import Ids
from firstlight.core.chunk import MAIN, Chunk, Gap, Scan
from firstlight.core.errors import SinkError
from firstlight.core.sink import Sink

from ..recorded.disk import exists_already
from .result import Folder, OneFile


class TiffSink(Sink):
    """Writes one output as TIFF: a folder with one file a slice, or one file with all of them (BigTIFF beyond 4 GB).

    Of a sweep a folder has one file for each slice and value, with the value in its name. Axes, units, record and what is missing stand in ``record.json`` in the folder, or in a JSON file beside the one file.
    """

    use: ClassVar[str] = "tiff"

    path: Path
    """A folder, or a file that ends with .tif or .tiff."""
    layout: Literal["auto", "folder", "file"] = "auto"
    """One file a slice (folder), or all in one (file); default: by the ending of the path."""
    compression: Literal["none", "zlib"] = "none"
    """Of the files in a folder; one file with everything is never compressed, so that slices may come in any order."""
    overwrite: bool = False
    """Replace a result that exists already."""

    _result: Folder | OneFile | None = PrivateAttr(None)
    _waiting: tuple[Scan, dict[str, Any]] | None = PrivateAttr(None)
    """Scan and record of an image whose size is not known yet."""

    def open(self, scan: Scan, record: dict[str, Any]) -> None:
        """Make the folder or the file, and write the record.

        Raises:
            SinkError: There is something already, the output is no stack of images, or the disk is full.
        """
        self._waiting = None
        self._demand_images(scan)
        stream = scan.main
        if not stream.arrival and not all(stream.sizes.get(label) for label in stream.axes):
            # an image that is as large as the scan makes it: what it is gets known with it
            self._refuse_old()
            self._waiting = (scan, record)
            return
        self._begin(scan, record)

    def _begin(self, scan: Scan, record: dict[str, Any]) -> None:
        result = self._made(scan, record)
        result.begin(overwrite=self.overwrite)
        self._result = result

    def _refuse_old(self) -> None:
        path = self.path.expanduser()
        if path.is_file() and not self.overwrite:
            raise exists_already(path)

    @property
    def resumable(self) -> bool:
        """Frames that were written are whole."""
        return True

    def resume(self, scan: Scan, record: dict[str, Any], done: Ids) -> None:
        """Go on in what an interrupted run left.

        Raises:
            SinkError: It is not there.
        """
        self._demand_images(scan)
        result = self._made(scan, record)
        if not result.path.exists():
            raise SinkError("There is nothing to go on with.", field="path", value=str(result.path))
        result.again(done)
        self._result = result

    @property
    def _one(self) -> bool:
        """True for one file with everything."""
        return self.layout == "file" or (self.layout == "auto" and self.path.suffix.lower() in (".tif", ".tiff"))

    def _made(self, scan: Scan, record: dict[str, Any]) -> Folder | OneFile:
        kind = OneFile if self._one else Folder
        return kind(self.path.expanduser(), scan, record, {"compression": self.compression})

    def _demand_images(self, scan: Scan) -> None:
        stream = scan.main
        inner = stream.frame_axes if stream.arrival else stream.axes[1:]
        swept = all(stream.sizes.get(label) for label in inner[:-2])
        fits = len(stream.axes) >= 2 if self._one else len(inner) >= 2 and swept
        if not fits or np.dtype(stream.dtype).kind not in "biuf":
            raise SinkError(
                "The output is no stack of images.",
                field="of",
                value=f"{' '.join(stream.axes)} {stream.dtype}",
                expected="real numbers with two axes for each position, such as z y x",
                next_move="Use the sink hdf5 or zarr.",
            )
        if self._one and self.compression != "none":
            raise SinkError(
                "One file with everything is not compressed.",
                field="compression",
                value=self.compression,
                expected="none",
                next_move="Set layout to folder.",
            )

    def write(self, chunk: Chunk) -> None:
        """Write frames to the places that their ids name.

        Raises:
            SinkError: The disk is full, or a frame does not fit.
        """
        if len(chunk) and self._waiting is not None:
            (scan, record), self._waiting = self._waiting, None
            sizes = dict(zip(chunk.axes, chunk.data.shape[1:], strict=True))
            main = replace(scan.main, sizes={label: sizes[label] for label in scan.main.axes})
            self._begin(replace(scan, streams={**scan.streams, MAIN: main}), record)
        if self._result is None:
            raise SinkError(
                "The result is not open.", field="path", value=str(self.path), next_move="Call open() first."
            )
        if len(chunk):
            self._result.take(chunk)

    def miss(self, gap: Gap) -> None:
        """Note frames that will not come."""
        if self._result is not None:
            self._result.gaps.append(gap)

    def close(self, record: dict[str, Any], *, complete: bool) -> None:
        """Say what is missing and write the final record; harmless when called twice.

        Raises:
            SinkError: The disk is full; what was written before stays.
        """
        result, self._result, self._waiting = self._result, None, None
        if result is not None:
            result.end(record, complete=complete)

    def location(self) -> str:
        """The path."""
        return str(self.path)

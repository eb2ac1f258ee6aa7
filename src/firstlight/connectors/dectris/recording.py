"""Record a series in an HDF5 file: each frame as it came, still compressed, at its place; when it came and was exposed."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from firstlight.core.chunk import Gap, Scan
from firstlight.core.errors import SinkError
from firstlight.core.places import Places
from firstlight.core.record import versions
from firstlight.core.tap import Arrived, Recorder

from ..hdf5.create import create_file
from ..hdf5.nexus import begin_entry
from ..hdf5.space import close_file, take_space
from ..recorded.disk import disk_errors
from . import instrument, stream2
from .chunked import ChunkedFrames
from .series import Series
from .wire import BadMessage, Frame

_FLUSH = 0.5
"""Seconds between what a killed process leaves whole."""
_MOST_GAPS = 10_000
"""Frames beyond this number are missing in the file without their reason."""


class SeriesFile(Recorder):
    """Writes the frames that the run takes, placed as the run places them.

    Args:
        path: The file; there must be none yet.
        window: How far out of order frames may come, as for the run.
        channel: The one threshold that is wanted; None: all.
    """

    def __init__(self, path: Path, window: int, channel: str | None) -> None:
        """Nothing is made yet."""
        self.path = path.expanduser()
        self._window, self._channel = window, channel
        self._file: Any = None
        self._entry: Any = None
        self._series: Series | None = None
        self._places = Places(announced=True, window=window, total=None)
        self._frames: ChunkedFrames | None = None
        self._refused: list[Gap] = []
        self._flushed = 0.0

    def begin(self, owner: object, scan: Scan) -> None:
        """Create the file, with everything that the header of the series tells.

        Raises:
            SinkError: It exists, or can not be created.
        """
        if not isinstance(owner, Series):
            raise SinkError("Only series of a DECTRIS detector are recorded like this.", field="record")
        self._series = owner
        self._places = Places(announced=owner.start.version > 0, window=self._window, total=scan.main.frames)
        file = self._file = create_file(self.path, overwrite=False)
        try:
            with disk_errors(self.path, "write the head of the file"):
                self._entry = begin_entry(file, scan, {"versions": versions()})
                detector = instrument.describe(self._entry, owner.start)
                self._frames = ChunkedFrames(self._entry, detector, scan)
                file.flush()
        except BaseException:
            file.close()
            self.path.unlink(missing_ok=True)
            raise

    def write(self, arrived: Sequence[Arrived]) -> None:
        """Write the frames among some messages.

        Raises:
            SinkError: The disk is full; what was written before stays.
        """
        frames, size = self._frames, sum(len(part) for each in arrived for part in each.parts)
        if frames is None:
            return
        doing = f"record {len(arrived)} messages"
        take_space(self.path, self._file, doing, size + 512 * len(arrived) + frames.room())
        with disk_errors(self.path, doing, size):
            for each in arrived:
                for frame in self._found(each):
                    self._write(frames, frame, each.at)
            if time.monotonic() > self._flushed + _FLUSH:
                frames.flush()
                self._file.flush()
                self._flushed = time.monotonic()

    def _found(self, each: Arrived) -> list[Frame]:
        """The frames of the series that a message completes."""
        series = self._series
        if series is None or each.owner is not series:
            return []
        return [one for one in each.told if isinstance(one, Frame) and one.series == series.start.series]

    def _write(self, frames: ChunkedFrames, frame: Frame, at: float) -> None:
        placed = self._places.take(frame.number)
        if placed is None:
            return
        try:
            if frame.reason:
                raise BadMessage(frame.reason)
            if placed.epoch:
                raise BadMessage("the detector started over, and a file has room for one scan")
            if self._channel is not None and frame.channels:
                frame = stream2.select(frame, self._channel)
            frames.put(placed.id, frame, at)
        except BadMessage as error:
            if len(self._refused) < _MOST_GAPS:
                self._refused.append(Gap(placed.epoch, placed.id, placed.id, str(error), "rejected"))

    def close(self, dropped: int, *, complete: bool) -> str:
        """Write what is missing and why, and close the file.

        Raises:
            SinkError: The disk is full; what was recorded stays.
        """
        frames, file = self._frames, self._file
        if frames is None:
            return "nothing"
        try:
            with disk_errors(self.path, "write the end of the file"):
                told = {"not_recorded": dropped, "refused": len(self._refused)}
                frames.end({"versions": versions(), "recording": told}, self._refused, complete=complete)
        finally:
            with disk_errors(self.path, "close the file"):
                close_file(self.path, file)
        count, total = frames.count, math.prod(frames.scanned)
        lacks = f", {total - count} are missing" if count < total else ""
        return f"{count} frames of series {'' if self._series is None else self._series.start.series}{lacks}"

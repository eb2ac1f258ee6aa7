"""Record what a detector sends by appending it to a file, as it came; beside it, when each piece came and what it is."""

from __future__ import annotations

import contextlib
import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.chunk import Scan
from firstlight.core.errors import SourceError
from firstlight.core.record import versions
from firstlight.core.tap import Arrived, Recorder, Tap

from .disk import disk_errors, exists_already
from .sidecar import describe, write_json

TIMES = ".times"
"""Ending of the file with the Unix time of each piece in second (float64, little-endian)."""
TOLD = ".json"
"""Ending of the file that says what was recorded, and what it lacks."""
_PIECES = 512
"""Pieces that are given to the operating system in one call; 1024 is the most it takes."""


class AppendedFile(Recorder):
    """Appends messages to a file. After a failure of the disk it ends with the last whole message.

    Args:
        path: The file; there must be none yet.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is made yet."""
        self.path = path.expanduser()
        self.messages = 0
        """Messages in the file."""
        self._file = self._times = -1
        self._size = 0
        self._told: dict[str, Any] = {}

    @abstractmethod
    def encode(self, arrived: Arrived) -> Sequence[bytes | memoryview]:
        """What is appended for a message; empty: nothing."""

    def more(self) -> dict[str, Any]:
        """What else shall stand in the description at the end."""
        return {}

    def begin(self, owner: object, scan: Scan) -> None:
        """Create the file and its description.

        Raises:
            SinkError: It exists, or can not be created.
        """
        refuse_existing(self.path)
        with disk_errors(self.path, "make the file"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            self._times = os.open(_beside(self.path, TIMES), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            self._told = {**describe(scan, {"versions": versions()}), **self.more()}
            write_json(_beside(self.path, TOLD), self._told)

    def write(self, arrived: Sequence[Arrived]) -> None:
        """Append messages, and the time of each.

        Raises:
            SinkError: The disk is full; the file ends with the last whole message.
        """
        pieces: list[bytes | memoryview] = []
        times: list[float] = []
        for each in arrived:
            if made := self.encode(each):
                pieces += made
                times.append(each.at)
        size = sum(map(len, pieces))
        with disk_errors(self.path, f"record {len(times)} messages", size):
            try:
                _append(self._file, pieces)
                _append(self._times, [np.array(times, "<f8").tobytes()])
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, self._size)
                    os.ftruncate(self._times, 8 * self.messages)
                raise
        self._size += size
        self.messages += len(times)

    def close(self, dropped: int, *, complete: bool) -> str:
        """Write the final description.

        Raises:
            SinkError: The disk is full; what was recorded stays.
        """
        for handle in (self._file, self._times):
            os.close(handle)
        told = {"messages": self.messages, "not_recorded": dropped, "complete": complete, **self.more()}
        with disk_errors(self.path, "write the description"):
            write_json(_beside(self.path, TOLD), {**self._told, **told})
        lacks = f"; {dropped} messages could not be recorded" if dropped else ""
        return f"{self.messages} messages, {self._size} byte{lacks}"


def refuse_existing(path: Path) -> None:
    """Refuse to record over a file.

    Raises:
        SinkError: There is one.
    """
    if path.expanduser().exists():
        raise exists_already(path.expanduser())


def tap_for(recorder: Recorder, memory: float, *, begun: str) -> Tap:
    """What gathers messages for a recording from now on.

    Args:
        recorder: Writes them.
        memory: Bytes of messages that may wait for it.
        begun: What has begun already, such as ``series``; empty: nothing.

    Raises:
        SinkError: The file exists already.
        SourceError: Something has begun: its start would be missing.
    """
    if begun:
        raise SourceError(
            f"The {begun} has begun already, and its start would be missing in the recording.",
            field="record",
            value=str(recorder.path),
            next_move=f"Give 'record' before the {begun} is waited for.",
        )
    refuse_existing(recorder.path)
    return Tap(recorder, memory)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _append(handle: int, pieces: Sequence[bytes | memoryview]) -> None:
    for start in range(0, len(pieces), _PIECES):
        part = pieces[start : start + _PIECES]
        wanted = sum(map(len, part))
        done = os.writev(handle, part)
        if done < wanted:  # rare: the rest in one piece, which tells why
            rest = memoryview(b"".join(part))[done:]
            while rest:
                rest = rest[os.write(handle, rest) :]

"""Record an acquisition as Merlin's own software would: a .mib file of frames as they came, and the .hdr file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from firstlight.core.chunk import Scan
from firstlight.core.errors import SinkError
from firstlight.core.places import Places
from firstlight.core.tap import Arrived

from ..recorded.appended import AppendedFile, refuse_existing
from ..recorded.disk import disk_errors
from .acquisition import Acquisition
from .wire import BadMessage, FrameHeader, read_format, read_frame, write_start

FIRST = "first_number"
"""In the description beside the file: number, from 0, of the frame that belongs to the first scan point."""


class MibFile(AppendedFile):
    """Writes the frames that the run takes: no duplicates, none that came too late, and none that is cut off.

    Args:
        path: The .mib file.
        window: How far out of order frames may come, as for the run.
    """

    def __init__(self, path: Path, window: int) -> None:
        """Nothing is made yet."""
        super().__init__(path)
        self._window = window
        self._owner: Acquisition | None = None
        self._places = Places(announced=True, window=window, total=None)
        self._look: tuple[bytes, int] | None = None
        self.refused = 0
        """Frames that are broken, and therefore not in the file."""

    def begin(self, owner: object, scan: Scan) -> None:
        """Create the file, and the .hdr file with the header as it came.

        Raises:
            SinkError: One of them exists, or can not be created.
        """
        if not isinstance(owner, Acquisition):
            raise SinkError("Only acquisitions of a Merlin become .mib files.", field="record", value=str(self.path))
        self._owner = owner
        self._places = Places(announced=True, window=self._window, total=scan.main.frames)
        header = self.path.with_suffix(".hdr")
        refuse_existing(header)
        super().begin(owner, scan)
        with disk_errors(header, "write the header"):
            header.write_bytes(owner.header or write_start(owner.start.values))

    def encode(self, arrived: Arrived) -> Sequence[bytes | memoryview]:
        """The frame itself, if it belongs to the acquisition and is whole."""
        owner, payload = self._owner, arrived.parts[0]
        if owner is None or arrived.owner is not owner:
            return ()
        try:
            header = read_frame(payload)
            number = header.number - owner.first
        except BadMessage:
            return ()
        if number < 0 or self._places.take(number) is None:
            return ()
        if not self._whole(header, payload):
            self.refused += 1
            return ()
        return (payload,)

    def _whole(self, header: FrameHeader, payload: memoryview) -> bool:
        """True if the frame looks like the first one."""
        if self._look is None:
            try:
                if len(payload) != read_format(payload).nbytes:
                    return False
            except BadMessage:
                return False
            self._look = header.look, len(payload)
        return self._look == (header.look, len(payload))

    def more(self) -> dict[str, Any]:
        """Which number is the first scan point's, and what was refused."""
        return {FIRST: 0 if self._owner is None else self._owner.first, "refused": self.refused}

"""Source: sparse frames of a Timepix3 detector, from Accos over TCP."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, PrivateAttr, field_validator

from firstlight.core.chunk import MAIN, Chunk, End, Gap, Item, Scan, Stream
from firstlight.core.errors import SourceError, Stopped
from firstlight.core.source import Source
from firstlight.core.tap import Tap
from firstlight.core.units import Bytes, Second

from . import wire
from .link import Begun, Link
from .recording import FRAMES, stream_tap, with_ending

_log = logging.getLogger(__name__)
_PIECE = 4096
"""So many frames are handed on at once, at most."""


class Tpx3Source(Source):
    """Receives one scan of a Timepix3 detector from Accos, and gives its sparse frames as they are.

    Steps that have a body for sparse frames (virtual detectors, centre of mass, sum, mean, radial profile) work on their events; the
    others get dense ones. Frames are placed in the order in which they come, as they bear no numbers. Frames with indices that make no sense are rejected;
    those that do not come before the scan's end are lost. While nobody reads, Accos waits.
    """

    use: ClassVar[str] = "tpx3"
    pausable: ClassVar[bool] = False

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """The computer that Accos runs on."""
    port: int = Field(default=8283, ge=1, le=65535)
    """Its port."""
    dtype: Annotated[str, Field(pattern=r"^uint(8|16|32|64)$")] = "uint32"
    """Type of the dense frames; values that are too large for it end the run."""
    timeout: Annotated[Second, Field(gt=0)] = 300.0
    """How long to wait for Accos, and for the scan to begin."""
    idle: Annotated[Second, Field(gt=0)] = 30.0
    """The scan is over after this time without a byte, once it began."""

    scan_y: Annotated[int, Field(ge=1)] | None = None
    """Lines of the scan. Default: as the detector says."""
    scan_x: Annotated[int, Field(ge=1)] | None = None
    """Points of a line. Default: as the detector says."""
    record: Path | None = None
    """Record what comes in this .csr file, as it comes; a description and the times are written beside it."""
    record_memory: Annotated[Bytes, Field(gt=0)] = 512 * 2.0**20
    """Bytes that may wait for the disk; what comes beyond is not recorded, which is said."""

    _link: Link | None = PrivateAttr(default=None)
    _shared: bool = PrivateAttr(default=False)
    """The connection is somebody else's, who keeps it for the scans to come."""
    _begun: Begun | None = PrivateAttr(default=None)
    _stopped: bool = PrivateAttr(default=False)
    _tap: Tap | None = PrivateAttr(default=None)

    @field_validator("record")
    @classmethod
    def _named_csr(cls, path: Path | None) -> Path | None:
        return with_ending(path, FRAMES, "frames of Accos")

    def holds(self) -> bool:
        """True: Accos waits for its reader."""
        return True

    def open(self) -> Scan:
        """Connect, and wait for a scan to begin.

        Raises:
            SourceError: Nobody answers, or what comes is no scan.
            Stopped: `stop` was called meanwhile.
        """
        try:
            tap = stream_tap(self.record, self.record_memory)
            self.begin(time.monotonic() + self.timeout)
            scan = self._scan()
            if tap is not None:
                begun = self._opened()
                metadata = begun.told or None
                for message in (wire.write_start(begun.start), wire.write_scan(begun.start.sequence, metadata)):
                    tap(self, (memoryview(message),))
                tap.begin(self, scan)
            self._tap = tap
            return scan
        except BaseException:
            self.close()
            raise

    def over(self, link: Link) -> Tpx3Source:
        """The same source on a connection that somebody keeps."""
        found = self.model_copy()
        found._link, found._shared, found._begun = link, True, None
        return found

    def begin(self, end: float) -> None:
        """Wait for the scan, unless it has begun.

        Args:
            end: Until when (monotonic clock).

        Raises:
            SourceError: Nobody answers, what comes is no scan, or nothing comes (`Late`).
            Stopped: `stop` was called meanwhile.
        """
        if self._link is None:
            self._link = Link(self.host, self.port)
        self._link.connect(end, lambda: self._stopped)
        self.listening()
        if self._begun is None:
            self._begun = self._link.next_scan(end, lambda: self._stopped)

    @property
    def header(self) -> Begun | None:
        """What is known of the scan, once it has begun."""
        return self._begun

    def _scan(self) -> Scan:
        begun = self._opened()
        nav = (self.scan_y or begun.start.nav[0], self.scan_x or begun.start.nav[1])
        if nav[0] * nav[1] != begun.frames:
            raise SourceError(
                "The scan has another shape.",
                field="scan_y",
                value=nav,
                expected=f"{begun.frames} points, such as {begun.start.nav}",
                next_move="Leave scan_y and scan_x out: the detector tells them.",
            )
        sizes: dict[str, int | None] = dict(
            zip(("scan_y", "scan_x", "row", "col"), (*nav, *begun.start.sig), strict=True)
        )
        metadata = {str(name): str(value) for name, value in begun.told.items()}
        return Scan({MAIN: Stream(tuple(sizes), sizes, self.dtype, 2, unit="counts")}, "tpx3", metadata=metadata)

    def _opened(self) -> Begun:
        if self._begun is None:
            raise SourceError(
                "The source is not open.", field="host", value=self._where, next_move="Call open() first."
            )
        return self._begun

    def items(self) -> Iterator[Item]:
        """Chunks of sparse frames, gaps and the end, as they come.

        Raises:
            SourceError: The source is not open, or what comes makes no sense any more.
        """
        begun = self._opened()
        start, total, at, why = begun.start, begun.frames, 0, ""
        while at < total and not why:
            try:
                head = self._receive(wire.HEADER, time.monotonic() + self.idle)
                message = wire.read_header(head)
                if not isinstance(message, wire.ArrayChunk):
                    why = "the scan ended before its last frame"
                    break
                payload = self._receive(message.nbytes, time.monotonic() + self.idle)
            except Stopped:
                break
            except wire.BadMessage as error:
                raise SourceError(
                    f"The stream makes no sense any more: {error}", field="host", value=self._where
                ) from error
            except SourceError as error:
                why = error.message
                break
            self._record(head, payload)
            if message.frames > total - at:
                raise SourceError("More frames come than the scan has.", field="nframes", value=at + message.frames)
            yield from self._placed(start, message, payload, at)
            at += message.frames
        if at == total:
            self._record(*(memoryview(wire.write_end(start.sequence, scan=scan)) for scan in (True, False)))
        if why:
            _log.warning("The scan is not complete: %s", why)
            yield Gap(0, at, total - 1, why)
        yield End(MAIN)

    def stop(self) -> None:
        """End the scan; what has arrived is delivered."""
        self._stopped = True

    def close(self) -> None:
        """Disconnect; harmless when called twice."""
        link, self._begun, self._stopped = self._link, None, False
        tap, self._tap = self._tap, None
        if tap is not None:
            tap.finish()
        if link is not None and not self._shared:
            self._link = None
            link.close()

    # ---- within -----------------------------------------------------------------------------------------------------

    def _record(self, *parts: memoryview) -> None:
        if self._tap is not None:
            self._tap(self, parts)

    @property
    def _where(self) -> str:
        return f"{self.host}:{self.port}"

    def _placed(
        self, start: wire.AcquisitionStart, message: wire.ArrayChunk, payload: memoryview, at: int
    ) -> Iterator[Item]:
        if not message.frames:
            return
        try:
            found: Any = wire.read_frames(start, message, payload, self.dtype)
        except wire.BadMessage as error:
            _log.warning("Frames from %d on are rejected: %s", at, error)
            yield Gap(0, at, at + message.frames - 1, str(error), "rejected")
            return
        if len(found.values) and int(found.values.max()) > np.iinfo(self.dtype).max:
            raise SourceError(
                "A value is too large.", field="dtype", value=self.dtype, expected=f"room for {found.values.max()}"
            )
        for first in range(0, message.frames, _PIECE):
            part = found[first : first + _PIECE]
            yield Chunk(part, ("row", "col"), np.arange(at + first, at + first + len(part)))

    def _receive(self, size: int, end: float) -> memoryview:
        """So many bytes.

        Raises:
            SourceError: They do not come in time, or the connection ends.
            Stopped: `stop` was called.
        """
        if self._link is None:
            raise SourceError("The source is not open.", field="host", value=self._where)
        return self._link.receive(size, end, lambda: self._stopped)

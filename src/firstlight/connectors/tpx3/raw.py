"""Sources: raw packets of Timepix3 chips, of a file and over TCP."""

from __future__ import annotations

import logging
import socket
import time
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, ClassVar, Literal

from pydantic import Field, PrivateAttr, field_validator

from firstlight.core.chunk import MAIN, End, Item, Scan, Stream
from firstlight.core.errors import SourceError
from firstlight.core.source import Source
from firstlight.core.tap import Tap
from firstlight.core.units import Bytes, Quantity, Second
from firstlight.kernels.timepix import CHIP, TICK

from .link import connected
from .packets import EDGES, Packets, Place
from .placing import Clock, Placing
from .recording import PACKETS, stream_tap, with_ending

_log = logging.getLogger(__name__)
_PIECE = 2**20
"""Bytes that are read at a time."""
Chip = tuple[Annotated[int, Field(ge=0, le=8192)], Annotated[int, Field(ge=0, le=8192)], bool]


class _RawSource(Source):
    """What a scan with raw packets needs, wherever they come from."""

    scan_y: Annotated[int, Field(ge=1, le=65536)]
    """Lines of the scan."""
    scan_x: Annotated[int, Field(ge=1, le=65536)]
    """Points of a line."""
    dwell: Annotated[Second, Field(gt=0, le=10)]
    """How long the probe stays at a point."""
    trigger: Literal["line", "point"] = "line"
    """What a trigger begins: a line of the scan, or each point."""
    edge: Literal["1 rising", "1 falling", "2 rising", "2 falling"] = "1 rising"
    """Input and edge of the triggers."""
    electron: Annotated[Second, Field(gt=0, le=1e-3)] | None = None
    """Hits of touching pixels within this time are one electron, which counts 1 where it came. Default: each hit counts 1."""
    chips: Annotated[tuple[Chip, ...], Field(min_length=1, max_length=64)] = ((0, 0, False),)
    """Where each chip lies: row and column of its first pixel, and whether it is turned by half a turn."""
    dtype: Annotated[str, Field(pattern=r"^uint(8|16|32)$")] = "uint16"
    """Type of the counts in dense frames."""
    disorder: Annotated[Second, Field(gt=0, le=10)] = 0.01
    """How late packets may come behind others; frames wait for so long."""

    _stopped: bool = PrivateAttr(default=False)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the detector."""
        return max(chip[0] for chip in self.chips) + CHIP, max(chip[1] for chip in self.chips) + CHIP

    def scan(self) -> Scan:
        """What the scan looks like."""
        sizes: dict[str, int | None] = dict(
            zip(("scan_y", "scan_x", "row", "col"), (self.scan_y, self.scan_x, *self.size), strict=True)
        )
        stream = Stream(tuple(sizes), sizes, self.dtype, 2, unit="counts")
        return Scan({MAIN: stream}, self.use, {"dwell": Quantity(self.dwell, "s")}, order=(MAIN,))

    def items(self) -> Iterator[Item]:
        """Chunks of sparse frames, gaps and the end.

        Raises:
            SourceError: The source is not open, or nothing that came belongs to a scan.
        """
        packets = Packets([Place(*chip) for chip in self.chips], self.size[1])
        placing = Placing(self._clock(), self.size, self.dtype)
        while not placing.complete and not self._stopped:
            data = self._next()
            if not data:
                break
            found = packets.feed(data)
            yield from placing.push(found, packets.newest)
        if not placing.started and not self._stopped:
            raise self._nothing(packets)
        if not self._stopped:
            yield from placing.flush()
        self._tell(packets, placing)
        yield End(MAIN)

    def _clock(self) -> Clock:
        return Clock(
            self.scan_y,
            self.scan_x,
            self.dwell / TICK,
            self.trigger == "line",
            EDGES[self.edge],
            round(self.disorder / TICK),
            None if self.electron is None else round(self.electron / TICK),
        )

    def _tell(self, packets: Packets, placing: Placing) -> None:
        told = {
            "byte that belong to no section": packets.skipped,
            "hits without time of arrival": packets.timeless,
            "hits between scan points": placing.outside,
            "triggers that can not be": placing.strange,
        }
        for what, count in told.items():
            if count:
                _log.info("%d %s were passed over.", count, what)

    def _nothing(self, packets: Packets) -> SourceError:
        if packets.timeless:
            return SourceError(
                "The hits were recorded without their time of arrival.",
                field="path",
                expected="packets of kind 0xb",
                next_move="Set the chips to time of arrival and time over threshold.",
            )
        return SourceError(
            "No trigger came.",
            field="edge",
            value=self.edge,
            expected="triggers of that input",
            next_move="Choose another edge, or see that the scan's trigger reaches the detector.",
        )

    @abstractmethod
    def _next(self) -> bytes:
        """More bytes; none at the end."""

    def stop(self) -> None:
        """End soon; what has been given out stays."""
        self._stopped = True


class Tpx3FileSource(_RawSource):
    """Plays a recorded stream of raw Timepix3 packets (``.tpx3``) as frames of a scan."""

    use: ClassVar[str] = "tpx3_file"

    path: Path
    """The file."""

    _file: IO[bytes] | None = PrivateAttr(default=None)

    def open(self) -> Scan:
        """Open the file.

        Raises:
            SourceError: It can not be read, or is of another kind.
        """
        try:
            self._file = self.path.expanduser().open("rb")
        except OSError as error:
            raise SourceError(f"The file can not be read: {error}.", field="path", value=str(self.path)) from error
        if self._file.read(4) != b"TPX3":
            self.close()
            raise SourceError(
                "This is no file of raw Timepix3 packets.", field="path", value=str(self.path), expected="TPX3 in front"
            )
        self._file.seek(0)
        self._stopped = False
        return self.scan()

    def _next(self) -> bytes:
        if self._file is None:
            raise SourceError("The file is not open.", field="path", next_move="Call open() first.")
        return self._file.read(_PIECE)

    def close(self) -> None:
        """Close the file; harmless when called twice."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


class Tpx3RawSource(_RawSource):
    """Receives raw packets of Timepix3 chips from SERVAL over TCP, and gives the frames of one scan.

    Connect before the scan begins. The scan is over with its last point, or when nothing came for a while.
    """

    use: ClassVar[str] = "tpx3_raw"
    pausable: ClassVar[bool] = False

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """The computer that SERVAL runs on; with `serve`, the address of ours that it connects to."""
    port: int = Field(default=8451, ge=0, le=65535)
    """The port of its raw stream, or of ours."""
    serve: bool = False
    """Wait for SERVAL to connect (``tcp://connect@``), instead of connecting to it (``tcp://listen@``)."""
    timeout: Annotated[Second, Field(gt=0)] = 300.0
    """How long to wait for SERVAL, and for the first packet."""
    idle: Annotated[Second, Field(gt=0)] = 10.0
    """The scan is over after this time without a byte, once some have come."""
    record: Path | None = None
    """Record what comes in this .tpx3 file, as it comes; a description and the times are written beside it."""
    record_memory: Annotated[Bytes, Field(gt=0)] = 512 * 2.0**20
    """Bytes that may wait for the disk; what comes beyond is not recorded, which is said."""

    _link: socket.socket | None = PrivateAttr(default=None)
    _server: socket.socket | None = PrivateAttr(default=None)
    _came: bool = PrivateAttr(default=False)
    _tap: Tap | None = PrivateAttr(default=None)

    @field_validator("record")
    @classmethod
    def _named_tpx3(cls, path: Path | None) -> Path | None:
        return with_ending(path, PACKETS, "raw packets")

    def holds(self) -> bool:
        """True: SERVAL waits for its reader, as far as its memory goes."""
        return True

    def open(self) -> Scan:
        """Connect, or begin to wait for SERVAL.

        Raises:
            SourceError: Nobody answers, or the port is taken.
            Stopped: `stop` was called meanwhile.
        """
        self._came = False
        tap = stream_tap(self.record, self.record_memory)
        try:
            if self.serve:
                self._server = socket.create_server((self.host, self.port))
                self._server.settimeout(0.1)
            else:
                end = time.monotonic() + self.timeout
                move = "See that SERVAL runs, and streams raw packets there."
                self._link = connected((self.host, self.port), end, lambda: self._stopped, move)
        except OSError as error:
            raise SourceError(f"The port can not be used: {error}.", field="port", value=self.port) from error
        self.listening()
        scan = self.scan()
        if tap is not None:
            tap.begin(self, scan)
        self._tap = tap
        return scan

    @property
    def address(self) -> tuple[str, int]:
        """Where SERVAL is waited for, once the source is open.

        Raises:
            SourceError: It is not.
        """
        if self._server is None:
            raise SourceError("Nobody is waited for.", field="serve", value=self.serve, next_move="Call open() first.")
        host, port = self._server.getsockname()[:2]
        return host, port

    def _next(self) -> bytes:
        end = time.monotonic() + (self.idle if self._came else self.timeout)
        while not self._stopped:
            try:
                if self._link is None and self._server is not None:
                    self._link, _ = self._server.accept()
                    self._link.settimeout(0.1)
                if self._link is None:
                    raise SourceError("The source is not open.", field="host", next_move="Call open() first.")
                data = self._link.recv(_PIECE)
            except TimeoutError:
                if time.monotonic() > end:
                    return b""
                continue
            except ConnectionError as error:
                _log.warning("The connection broke: %s", error)
                return b""
            self._came = True
            if self._tap is not None:
                self._tap(self, (memoryview(data),))
            return data
        return b""

    def close(self) -> None:
        """Disconnect; harmless when called twice."""
        for link in (self._link, self._server):
            if link is not None:
                link.close()
        self._link, self._server, self._stopped = None, None, False
        tap, self._tap = self._tap, None
        if tap is not None:
            tap.finish()

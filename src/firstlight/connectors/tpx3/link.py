"""A connection to Accos, and the scans that begin on it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from firstlight.core.errors import SourceError, Stopped

from . import wire


class Late(SourceError):
    """Nothing came in time."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A scan that has begun."""

    start: wire.AcquisitionStart
    told: dict[str, Any] = field(default_factory=dict[str, Any])
    """Its metadata."""

    @property
    def frames(self) -> int:
        """Of the scan."""
        return self.start.nav[0] * self.start.nav[1]

    @property
    def scan(self) -> tuple[int, int]:
        """Lines and points of a line."""
        return self.start.nav

    @property
    def sig(self) -> tuple[int, int]:
        """Rows and columns of the detector."""
        return self.start.sig


def connected(address: tuple[str, int], end: float, stopped: Callable[[], bool], next_move: str) -> socket.socket:
    """A connection whose reads come back after 0.1 s.

    Args:
        address: Host and port.
        end: Until when to try (monotonic clock).
        stopped: True to give up.
        next_move: What the user may do where nobody answers.

    Raises:
        SourceError: Nobody answers.
        Stopped: It was given up.
    """
    while not stopped():
        try:
            link = socket.create_connection(address, timeout=1.0)
        except OSError as error:
            if time.monotonic() > end:
                where = f"{address[0]}:{address[1]}"
                raise SourceError(
                    f"Nobody answers: {error}.", field="host", value=where, next_move=next_move
                ) from error
            time.sleep(0.1)
            continue
        link.settimeout(0.1)
        return link
    raise Stopped("The run was stopped before a scan began.")


class Link:
    """A TCP connection. What has come of a message is kept when a reader gives up in between, so that the next one finds its place.

    Args:
        host: The computer that Accos runs on.
        port: Its port.
    """

    def __init__(self, host: str, port: int) -> None:
        """Not connected yet."""
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._came = bytearray()
        self._start: wire.AcquisitionStart | None = None
        self._used = False

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self._address[0]}:{self._address[1]}"

    def connect(self, end: float, stopped: Callable[[], bool]) -> None:
        """Connect, if that is not done.

        Args:
            end: Until when to try (monotonic clock).
            stopped: True to give up.

        Raises:
            SourceError: Nobody answers.
            Stopped: It was given up.
        """
        if self._socket is None:
            self._socket = connected(self._address, end, stopped, next_move="See that Accos runs.")

    def receive(self, size: int, end: float, stopped: Callable[[], bool]) -> memoryview:
        """So many bytes; memory is taken as they come, not before.

        Raises:
            Late: They do not come in time.
            SourceError: The connection ends.
            Stopped: It was given up; nothing is lost.
        """
        while len(self._came) < size:
            if stopped():
                raise Stopped("The run was stopped.")
            try:
                part = b"" if self._socket is None else self._socket.recv(min(size - len(self._came), 2**20))
            except TimeoutError:
                if time.monotonic() > end:
                    raise Late("Nothing came in time.", field="host", value=self.where) from None
                continue
            except OSError as error:
                raise SourceError(f"The connection broke: {error}.", field="host", value=self.where) from error
            if not part:
                raise SourceError("Accos closed the connection.", field="host", value=self.where)
            self._came += part
        found, self._came = self._came, bytearray()
        return memoryview(found)

    def next_scan(self, end: float, stopped: Callable[[], bool]) -> Begun:
        """Wait for a scan to begin; what is left of one that nobody read is passed over.

        Raises:
            SourceError: What comes is no scan, or nothing comes (`Late`).
            Stopped: It was given up.
        """
        try:
            while True:
                message = wire.read_header(self.receive(wire.HEADER, end, stopped))
                if isinstance(message, wire.AcquisitionStart):
                    self._start, self._used = message, True
                elif isinstance(message, wire.ScanStart) and self._start is not None:
                    return Begun(self._start, wire.read_metadata(self.receive(message.metadata, end, stopped)))
                elif not self._used:
                    raise self._strange(message)
                elif isinstance(message, wire.ArrayChunk):
                    self.receive(message.nbytes, end, stopped)
        except wire.BadMessage as error:
            raise SourceError(f"What came is no scan: {error}", field="host", value=self.where) from error

    def _strange(self, message: wire.Message) -> SourceError:
        return SourceError(
            "Something else came than the start of a scan.",
            field="host",
            value=type(message).__name__,
            next_move="Connect before the scan is started.",
        )

    def close(self) -> None:
        """Disconnect; harmless when called twice."""
        link, self._socket = self._socket, None
        if link is not None:
            link.close()

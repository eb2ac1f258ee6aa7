"""Source: frames of a Quantum Detectors Merlin over its data port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, PrivateAttr, field_validator

from firstlight.core.chunk import MAIN, Item, Scan, Stream
from firstlight.core.errors import SourceError, Stopped
from firstlight.core.receiving import Limits
from firstlight.core.scan_sizes import scan_sizes
from firstlight.core.source import Source, dark_of_level, with_dark_level
from firstlight.core.tap import Tap
from firstlight.core.units import Bytes, Second

from ..recorded.appended import tap_for
from .acquisition import Acquisition
from .connection import Address, Connection
from .recording import MibFile
from .wire import Start


class MerlinSource(Source):
    """Receives one acquisition from a Merlin detector over TCP.

    Frames are placed by the number in their header. The acquisition is over after its last frame, when another begins, when
    Merlin closes the connection, on stop, or after `idle` without a frame once one came. Of an acquisition that goes on
    and on, one scan is taken if its size is given. Rows are in the order in which Merlin sends them.
    """

    use: ClassVar[str] = "merlin"
    pausable: ClassVar[bool] = False

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """The computer that Merlin runs on."""
    port: int = Field(default=6342, ge=1, le=65535)
    """Its data port."""
    scan_y: Annotated[int, Field(gt=0)] | None = None
    """Lines of the scan; default: what Merlin and `scan_x` say."""
    scan_x: Annotated[int, Field(gt=0)] | None = None
    """Points of a line; default: what Merlin and `scan_y` say."""
    drain: bool = False
    """Throw away what comes right after connecting: old Merlin software sends leftovers."""
    window: int = Field(default=64, ge=1, le=16384)
    """How far out of order frames may come; a frame is given up after so many later ones."""
    idle: Annotated[Second, Field(gt=0)] = 30.0
    """The acquisition is over after this time without a frame, once one came."""
    timeout: Annotated[Second, Field(gt=0)] = 300.0
    """How long to wait for the acquisition to begin, and for its first frame, which tells what frames look like."""
    memory: Annotated[Bytes, Field(gt=0)] = 256 * 2.0**20
    """Bytes of frames that may wait for the run to take them; beyond, Merlin's own buffer takes over."""
    decoders: int = Field(default=2, ge=1, le=64)
    """Threads that decode."""
    dark_level: Annotated[float, Field(ge=0)] | None = None
    """Counts of a pixel without light, for steps that want a dark image: 0 for this detector, which counts."""
    record: Path | None = None
    """Record what comes in this .mib file, as it comes; its .hdr file and a description are written beside it."""
    record_memory: Annotated[Bytes, Field(gt=0)] = 512 * 2.0**20
    """Bytes that may wait for the disk; what comes beyond is not recorded, which is said."""

    _tap: Tap | None = PrivateAttr(default=None)
    _connection: Connection | None = PrivateAttr(default=None)
    _lent: Connection | None = PrivateAttr(default=None)
    _acquisition: Acquisition | None = PrivateAttr(default=None)
    _seen: Scan | None = PrivateAttr(default=None)
    _stopped: bool = PrivateAttr(default=False)

    @field_validator("record")
    @classmethod
    def _named_mib(cls, path: Path | None) -> Path | None:
        if path is not None and path.suffix.lower() != ".mib":
            raise ValueError(f"record = '{path}': frames of a Merlin are recorded as they come in a .mib file")
        return path

    def over(self, connection: Connection, acquisition: Acquisition | None = None) -> MerlinSource:
        """This source itself, reading from a connection that goes on after it is closed (and what has begun there)."""
        self._lent, self._acquisition = connection, acquisition
        return self

    @property
    def header(self) -> Start | None:
        """The header of the acquisition, once the source is open."""
        return None if self._acquisition is None else self._acquisition.start

    def connect(self) -> Connection:
        """A connection as these parameters say."""
        frames = None if self.scan_y is None or self.scan_x is None else self.scan_y * self.scan_x
        limits = Limits(self.window, self.idle, self.memory, frames)
        return Connection(Address(self.host, self.port, self.drain), limits, decoders=self.decoders, tap=self._tap)

    def tap(self, connection: Connection | None = None) -> None:
        """Gather what comes over a connection from now on, to be recorded; for a detector that is armed before `open`.

        Raises:
            SinkError: The file exists already.
            SourceError: The acquisition has begun: its start would be missing.
        """
        if self.record is None or self._tap is not None:
            return
        begun = "" if self._acquisition is None else "acquisition"
        self._tap = tap_for(MibFile(self.record, self.window), self.record_memory, begun=begun)
        if connection is not None:
            connection.tap = self._tap

    def holds(self) -> bool:
        """True: over TCP, Merlin keeps what is not read."""
        return True

    def open(self) -> Scan:
        """Connect, and wait for an acquisition to begin and for its first frame.

        Raises:
            SourceError: None begins within `timeout`, or it has another number of frames than the scan.
            Stopped: `stop` was called meanwhile.
        """
        self.tap(self._lent)
        self._connection = self._lent or self.connect()
        try:
            found = self._acquisition = self._acquisition or self._wait_for_acquisition(self._connection)
            per_trigger, total = found.start.per_trigger or 1, found.start.frames
            by_line = (total // per_trigger, per_trigger) if total and 1 < per_trigger < total else None
            told = found.start.scan or (by_line if by_line and total == by_line[0] * by_line[1] else None)
            says = f"Frames in Acquisition: {total or 'without end'}"
            sizes = scan_sizes(total, self.scan_y, self.scan_x, told=told, says=says)
            self._wait_for_layout(found)
            self._seen = with_dark_level(self._scan(found, sizes), self.dark_level)
            if self._tap is not None:
                self._tap.begin(found, self._seen)
            return self._seen
        except BaseException:
            self.close()
            raise

    def items(self) -> Iterator[Item]:
        """Chunks of frames, gaps and the end, as they come.

        Raises:
            SourceError: Receiving failed.
        """
        found = self._acquisition
        if found is None:
            raise SourceError("The source is not open.", field="host", value=self.host, next_move="Call open() first.")
        if self.dark_level is not None and self._seen is not None:
            yield from dark_of_level(self._seen, self.dark_level)
        yield from found.handover.items()
        if self._tap is not None:
            self._tap.finish()
        if found.error is not None:
            raise found.error

    def stop(self) -> None:
        """End the acquisition; what has arrived is delivered."""
        self._stopped = True
        if self._acquisition is not None:
            self._acquisition.stop()

    def close(self) -> None:
        """Disconnect, unless the connection was lent."""
        if self._acquisition is not None:
            self._acquisition.stop()
        tap, self._tap = self._tap, None
        if tap is not None:
            if self._connection is not None:
                self._connection.tap = None
            tap.finish()
        connection, self._connection, self._acquisition, self._stopped = self._connection, None, None, False
        if connection is not None and connection is not self._lent:
            connection.close()

    # ---- opening ----------------------------------------------------------------------------------------------------

    def _wait_for_acquisition(self, connection: Connection) -> Acquisition:
        found = connection.wait(self.timeout, stopped=lambda: self._stopped)
        if self._stopped:
            raise Stopped("The run was stopped before an acquisition began.")
        if found is not None:
            return found
        if not connection.connected:
            why, move = "Nobody answers there", "Check host and port, and that Merlin's software runs."
        elif connection.strays:
            why = "Frames came, but the header of their acquisition was missed"
            move = "Connect before the acquisition is started."
        else:
            why, move = "It is connected, but no acquisition began", "Start the acquisition (STARTACQUISITION)."
        raise SourceError(
            f"{why} (waited {self.timeout:g} s).",
            field="host",
            value=f"{self.host}:{self.port}",
            expected="an acquisition",
            next_move=move,
        )

    def _wait_for_layout(self, found: Acquisition) -> None:
        if found.wait_for_layout(self.timeout, lambda: self._stopped) is None:
            raise SourceError(
                f"No frame came that can be read: {found.why or f'waited {self.timeout:g} s'}.",
                field="host",
                value=f"{self.host}:{self.port}",
                next_move="Trigger the detector.",
            )

    def _scan(self, found: Acquisition, sizes: dict[str, int | None]) -> Scan:
        layout, start = found.layout, found.start
        if layout is None:
            raise SourceError("The source was closed while it opened.", field="host", value=self.host)
        frame = dict(zip(layout.axes, layout.shape, strict=True))
        streams = {
            MAIN: Stream(
                (*sizes, *layout.axes), {**sizes, **frame}, layout.dtype, len(sizes), order="any", unit="counts"
            )
        }
        return Scan(streams, "merlin", metadata={key: value for key, value in start.values.items() if value})

"""Source: frames of a DECTRIS detector over its SIMPLON stream."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, field_validator

from firstlight.core.chunk import MAIN, Item, Scan, Stream
from firstlight.core.curve import BadKey, z85_key
from firstlight.core.errors import SourceError, Stopped
from firstlight.core.receiving import Limits
from firstlight.core.scan_sizes import scan_sizes
from firstlight.core.source import FOLLOWING_KEPT, Source, dark_of_level, with_dark_level
from firstlight.core.tap import Recorder, Tap
from firstlight.core.units import Bytes, Quantity, Second

from ..recorded.appended import tap_for
from . import stream1, stream2
from .connection import Address, Connection
from .messages import MessagesFile
from .series import Series
from .wire import SeriesEnd, SeriesStart

_TOLD = ("description", "detector_number", "detector_description", "detector_serial_number", "sensor_material")
_HDF5 = (".h5", ".hdf5", ".nxs", ".nx5")
_MESSAGES = (".cbors",)
_END = 0.3
"""Seconds that a recording waits for the end of the series after its last frame."""
_TOLD += ("trigger_mode", "count_time", "frame_time", "threshold_energy")


class DectrisSource(Source):
    """Receives one series from a DECTRIS detector over ZeroMQ: stream v1 or v2, whichever comes.

    Frames are placed by the detector's own number, and series are never mixed. The series is over after its last frame, when
    the detector says so, when another begins, on stop, or after `idle` without a frame once one came.
    """

    use: ClassVar[str] = "dectris"
    pausable: ClassVar[bool] = False

    data: Annotated[str, Field(pattern=r"^(tcp|ipc|inproc)://.+")] = "tcp://127.0.0.1:9999"
    """Where frames come from: ``tcp://dcu:9999`` (stream v1), ``tcp://dcu:31001`` (stream v2), or a proxy."""
    socket: Literal["pull", "sub"] = "pull"
    """How: ``pull`` from the detector itself, ``sub`` from a proxy that publishes to many."""
    scan_y: Annotated[int, Field(gt=0)] | None = None
    """Lines of the scan; default: what the detector and `scan_x` say."""
    scan_x: Annotated[int, Field(gt=0)] | None = None
    """Points of a line; default: what the detector and `scan_y` say."""
    arrival: Literal["position", "angle", "time", "energy"] = "position"
    """Name of the one axis where the scan has no lines."""
    series: Annotated[int, Field(ge=0)] | None = None
    """Number of the series that is wanted, as arming told it; default: the next one."""
    channel: str | None = None
    """The one threshold that is wanted, such as ``threshold_1``; default: all, as an axis (stream v2)."""
    join: bool = False
    """Take a series whose start was missed, too, as behind a proxy that passes on frames alone."""
    server_key: Annotated[str, Field(min_length=40, max_length=44)] | None = None
    """Public key (Z85 or base64) of a server that speaks CurveZMQ."""
    secret_key: str | None = None
    """Name of the environment variable with our own secret key (Z85 or base64); default: a new key for each connection."""
    window: int = Field(default=64, ge=1, le=16384)
    """How far out of order frames may come; a frame is given up after so many later ones."""
    idle: Annotated[Second, Field(gt=0)] = 30.0
    """The series is over after this time without a frame, once one came."""
    timeout: Annotated[Second, Field(gt=0)] = 300.0
    """How long to wait for the series to begin, and for what the header does not tell."""
    memory: Annotated[Bytes, Field(gt=0)] = 256 * 2.0**20
    """Bytes of frames that may wait for the run to take them; beyond, the detector's own buffer takes over."""
    queue: int = Field(default=1000, ge=1, le=100000)
    """Messages that may wait in the network layer."""
    decoders: int = Field(default=2, ge=1, le=64)
    """Threads that decode."""
    dark_level: Annotated[float, Field(ge=0)] | None = None
    """Counts of a pixel without light, for steps that want a dark image: 0 for a detector that counts."""
    record: Path | None = None
    """Record what comes, as it comes: frames still compressed in an HDF5 file (``.h5``, ``.nxs``), or every message (``.cbors``)."""
    record_memory: Annotated[Bytes, Field(gt=0)] = 512 * 2.0**20
    """Bytes that may wait for the disk; what comes beyond is not recorded, which is said."""

    _tap: Tap | None = PrivateAttr(default=None)
    _connection: Connection | None = PrivateAttr(default=None)
    _lent: Connection | None = PrivateAttr(default=None)
    _series: Series | None = PrivateAttr(default=None)
    _seen: Scan | None = PrivateAttr(default=None)
    _stopped: bool = PrivateAttr(default=False)

    @field_validator("record")
    @classmethod
    def _known_format(cls, path: Path | None) -> Path | None:
        if path is not None and path.suffix.lower() not in (*_HDF5, *_MESSAGES):
            raise ValueError(f"record = '{path}': its ending must be one of {', '.join((*_HDF5, *_MESSAGES))}")
        return path

    def over(self, connection: Connection, series: Series | None = None) -> DectrisSource:
        """This source itself, reading from a connection that goes on after it is closed (and a series that has begun)."""
        self._lent, self._series = connection, series
        return self

    @property
    def header(self) -> SeriesStart | None:
        """The header of the series, once the source is open."""
        return None if self._series is None else self._series.start

    def tap(self, connection: Connection | None = None) -> None:
        """Gather what comes over a connection from now on, to be recorded; for a detector that is armed before `open`.

        Raises:
            SinkError: The file exists already.
            SourceError: The series has begun: its start would be missing.
        """
        if self.record is None or self._tap is not None:
            return
        begun = "" if self._series is None else "series"
        self._tap = tap_for(self._recorder(self.record), self.record_memory, begun=begun)
        if connection is not None:
            connection.tap = self._tap

    def _recorder(self, path: Path) -> Recorder:
        if path.suffix.lower() in _MESSAGES:
            return MessagesFile(path)
        from .recording import SeriesFile

        return SeriesFile(path, self.window, self.channel)

    @property
    def follows(self) -> bool:
        """True unless it is recorded: a recording holds one series."""
        return self.record is None

    def _make_follower(self) -> DectrisSource:
        found = DectrisSource(**{**self.model_dump(), "series": None})
        found._connection = self._lent = self._connection or self.connect()
        self._lent.untaken.kept = FOLLOWING_KEPT
        return found

    def begun(self, timeout: float) -> bool:
        """True once the next series has begun; waits up to `timeout` second for it."""
        return self._connection is not None and self._connection.untaken.begun(timeout)

    def holds(self) -> bool:
        """True where the detector pushes to one reader; what is published to many is skipped for those that are slow."""
        return self.socket == "pull"

    def open(self) -> Scan:
        """Connect, and wait for a series to begin.

        Raises:
            SourceError: None begins within `timeout`, or it has another number of frames than the scan.
            Stopped: `stop` was called meanwhile.
        """
        self.tap(self._lent)
        self._connection = self._lent or self._connection or self.connect()
        self.listening()
        try:
            series = self._series = self._series or self._wait_for_series(self._connection)
            sizes = self._sizes(series.start)
            self._wait_for_layout(series)
            self._seen = with_dark_level(self._scan(series, sizes), self.dark_level)
            if self._tap is not None:
                self._tap.begin(series, self._seen)
            return self._seen
        except BaseException:
            self.close()
            raise

    def items(self) -> Iterator[Item]:
        """Chunks of frames, gaps and the end, as they come.

        Raises:
            SourceError: Receiving failed.
        """
        series = self._series
        if series is None:
            raise SourceError("The source is not open.", field="data", value=self.data, next_move="Call open() first.")
        if self.dark_level is not None and self._seen is not None:
            yield from dark_of_level(self._seen, self.dark_level)
        yield from series.handover.items()
        self._end_recording(series)
        if series.error is not None:
            raise series.error

    def stop(self) -> None:
        """End the series; what has arrived is delivered."""
        self._stopped = True
        if self._series is not None:
            self._series.stop()

    def close(self) -> None:
        """Disconnect, unless the connection was lent."""
        if self._series is not None:
            self._series.stop()
        tap, self._tap = self._tap, None
        if tap is not None:
            if self._connection is not None:
                self._connection.tap = None
            tap.finish()
        connection, self._connection, self._series, self._stopped = self._connection, None, None, False
        if connection is not None and connection is not self._lent:
            connection.close()

    def _end_recording(self, series: Series) -> None:
        """Wait a moment for the end of the series, which comes after its last frame, and finish the file."""
        tap, end = self._tap, time.monotonic() + _END
        if tap is None:
            return
        while series.places.complete and not _is_end(tap.newest) and time.monotonic() < end:
            time.sleep(0.01)
        tap.finish()

    # ---- opening ----------------------------------------------------------------------------------------------------

    def connect(self) -> Connection:
        """A connection as these parameters say.

        Raises:
            SourceError: The address or a key is malformed, or the variable of the secret key is not set.
        """
        secret = None if self.secret_key is None else os.environ.get(self.secret_key)
        if self.secret_key is not None and secret is None:
            raise SourceError(
                "The environment has no such variable, which shall hold our secret key.",
                field="secret_key",
                value=self.secret_key,
                expected="a variable with 40 characters (Z85)",
            )
        try:
            server = None if self.server_key is None else z85_key(self.server_key, "server_key")
            secret = None if secret is None else z85_key(secret, str(self.secret_key))
        except BadKey as error:
            raise SourceError(error.message, field="server_key", expected=error.expected) from None
        address = Address(self.data, self.socket, self.queue, server, secret)
        frames = None if self.scan_y is None or self.scan_x is None else self.scan_y * self.scan_x
        limits = Limits(self.window, self.idle, self.memory, frames)
        return Connection(address, limits, channel=self.channel, decoders=self.decoders, join=self.join, tap=self._tap)

    def _wait_for_series(self, connection: Connection) -> Series:
        found = connection.wait(self.timeout, series=self.series, stopped=lambda: self._stopped)
        if self._stopped:
            raise Stopped("The run was stopped before a series began.")
        if found is not None:
            return found
        if connection.refused:
            why, move = f"Nothing came: {connection.refused}", "Check server_key, and the secret key's variable."
        elif not connection.connected:
            why, move = "Nobody answers there", "Check the address, and that the detector's stream is enabled."
        elif connection.foreign:
            why = f"{connection.foreign} frames came, but the start of their series was missed"
            move = "Connect before the detector is armed, or set join: true."
        else:
            why, move = "It is connected, but no series began", "Arm the detector, with the stream enabled."
        raise SourceError(
            f"{why} (waited {self.timeout:g} s).", field="data", value=self.data, expected="a series", next_move=move
        )

    def _sizes(self, start: SeriesStart) -> dict[str, int | None]:
        """Length per arrival axis; one trigger with several images stands for a line of the scan."""
        config, triggers, images = start.config, start.ntrigger or 1, start.nimages or 1
        by_line = config.get("trigger_mode") in ("ints", "exts") and triggers > 1 and images > 1
        told = (triggers, images) if by_line and start.frames is not None else None
        named = [f"{n} = {config[n]}" for n in ("trigger_mode", "nimages", "ntrigger") if n in config]
        says = f"series {start.series}: " + (", ".join(named) or "by its header")
        return scan_sizes(start.frames, self.scan_y, self.scan_x, arrival=self.arrival, told=told, says=says)

    def _wait_for_layout(self, series: Series) -> None:
        if series.wait_for_layout(self.timeout, lambda: self._stopped) is None:
            raise SourceError(
                "No frame came that tells what frames look like"
                + (f": {series.why}." if series.why else f" (waited {self.timeout:g} s)."),
                field="data",
                value=self.data,
                next_move="Set the stream's header_detail to basic, and trigger the detector.",
            )

    def _scan(self, series: Series, sizes: dict[str, int | None]) -> Scan:
        layout, start = series.layout, series.start
        if layout is None:
            raise SourceError("The source was closed while it opened.", field="data", value=self.data)
        frame = dict(zip(layout.axes, layout.shape, strict=True))
        axes = (*sizes, *layout.axes)
        streams = {MAIN: Stream(axes, {**sizes, **frame}, layout.dtype, len(sizes), order="any", unit="counts")}
        told = {name: str(start.config[name]) for name in _TOLD if name in start.config}
        if len(layout.shape) == 3 and start.channels:
            told["thresholds"] = " ".join(start.channels)
        name = f"series {start.series}"
        return Scan(streams, name, _calibration(start.config), metadata={"series": str(start.series), **told})


def _calibration(config: Any) -> dict[str, Quantity]:
    """Energy of the photons or electrons: SIMPLON tells it in eV."""
    for name in ("incident_energy", "photon_energy"):
        value = config.get(name)
        if isinstance(value, int | float) and 0 < value < 1e9:
            return {"energy": Quantity(value / 1e3, "keV")}
    return {}


def _is_end(parts: Sequence[memoryview]) -> bool:
    """True for the message that ends a series."""
    if len(parts) != 1:
        return False
    if parts[0][:3] == stream2.MAGIC:
        return isinstance(stream2.read(parts[0]), SeriesEnd)
    return any(isinstance(each, SeriesEnd) for each in stream1.Parts().feed(parts))

"""A Merlin detector to be used from a notebook: one connection for many acquisitions, waited for or started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from firstlight.core.errors import FirstlightError

from .connection import Connection
from .control import MerlinControl
from .source import MerlinSource


class Detector:
    """A Merlin detector.

    Args:
        host: The computer that Merlin runs on.
        port: Its data port.
        control_port: Its control port; only `arm` and `api` need it.
        parameters: Of `MerlinSource`, for every acquisition.

    Example::

        with Detector("merlin-pc") as detector:
            source = detector.arm(shape=(256, 256), settings={"ACQUISITIONTIME": 1.0})
            run = fl.run(source, [...])
            source = detector.wait(timeout=10)  # or the next one that somebody else starts
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 6342, *, control_port: int = 6341, **parameters: Any
    ) -> None:
        """Connect to the data port; an acquisition that begins from now on is not missed."""
        self._parameters = {"host": host, "port": port, **parameters}
        self._control_port = control_port
        self._api: MerlinControl | None = None
        self._connection: Connection | None = MerlinSource(**self._parameters).connect()

    @property
    def api(self) -> MerlinControl:
        """The control port, connected when it is first used.

        Raises:
            ControlError: Nobody answers there.
        """
        self._open()
        if self._api is None:
            self._api = MerlinControl(str(self._parameters["host"]), self._control_port)
        return self._api

    def wait(
        self, timeout: float | None = None, *, shape: tuple[int, int] | None = None, record: Path | None = None
    ) -> MerlinSource | None:
        """The next acquisition that somebody else starts; None at the time-out.

        Args:
            timeout: Seconds; None: for ever.
            shape: (scan_y, scan_x), if Merlin does not tell it.
            record: Record what comes from now on in this .mib file, as it comes.
        """
        connection = self._open()
        source = self._source(shape, record)
        source.tap(connection)
        found = connection.wait(timeout)
        if found is None:
            connection.tap = None
            return None
        return source.over(connection, found)

    def listen(self, parameters: Mapping[str, Any]) -> MerlinSource:
        """A source of the next one, whoever starts it; opening the source waits for that.

        Args:
            parameters: Of the source, such as scan_y and scan_x.
        """
        return MerlinSource(**{**self._parameters, **parameters}).over(self._open())

    def arm(
        self,
        *,
        shape: tuple[int, int] | None = None,
        record: Path | None = None,
        settings: Mapping[str, Any] | None = None,
        configured: Callable[[], None] | None = None,
        ready: Callable[[MerlinSource], None] | None = None,
        timeout: float = 10.0,
    ) -> MerlinSource:
        """Set parameters, start an acquisition, and give its source.

        Args:
            shape: (scan_y, scan_x); sets the number of frames.
            record: Record what comes in this .mib file, as it comes.
            settings: Names of Merlin's parameters to values, in the order in which to set them.
            configured: Called when the parameters are set, before the acquisition is started.
            ready: Called when the acquisition is started: start the scan, or command SOFTTRIGGER, here.
            timeout: Seconds to wait for the data port.

        Raises:
            ControlError: Merlin does not answer, or refuses.
            FirstlightError: The data port does not answer.
        """
        connection = self._open()
        if not connection.wait_connected(timeout):
            raise FirstlightError("Merlin's data port does not answer.", field="port", value=self._parameters["port"])
        for name, value in (settings or {}).items():
            self.api.set(name, value)
        if shape is not None:
            self.api.set("NUMFRAMESTOACQUIRE", shape[0] * shape[1])
        if configured is not None:
            configured()
        source = self._source(shape, record)
        source.tap(connection)
        try:
            self.api.command("STARTACQUISITION")
        except BaseException:
            connection.tap = None
            raise
        source.over(connection)
        if ready is not None:
            try:
                ready(source)
            except BaseException:
                self.api.command("STOPACQUISITION")
                raise
        return source

    def _source(self, shape: tuple[int, int] | None, record: Path | None = None) -> MerlinSource:
        scan = {} if shape is None else {"scan_y": shape[0], "scan_x": shape[1]}
        return MerlinSource(**{**self._parameters, **scan, "record": record})

    def _open(self) -> Connection:
        if self._connection is None:
            raise FirstlightError("The connection is closed.", next_move="Make a new Detector.")
        return self._connection

    def close(self) -> None:
        """Disconnect; harmless when called twice."""
        connection, self._connection = self._connection, None
        if self._api is not None:
            self._api.close()
        if connection is not None:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""A detector to be used from a notebook: one connection for many series, waited for or armed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from firstlight.core.errors import FirstlightError, SourceError

from .connection import Connection
from .control import Acquisition, Simplon
from .source import DectrisSource


class Detector:
    """A DECTRIS detector.

    Args:
        data: Where frames come from, such as ``tcp://dcu:9999``.
        api: Address of the REST interface, such as ``http://dcu``; only arming needs it.
        parameters: Of `DectrisSource`, for every series.

    Example::

        with Detector("tcp://dcu:9999", api="http://dcu") as detector:
            source = detector.arm(shape=(256, 256), trigger_mode="exte", count_time=1e-3)
            run = fl.run(source, [...])
            source = detector.wait(timeout=10)  # or the next one that somebody else arms
    """

    def __init__(self, data: str, *, api: str | None = None, **parameters: Any) -> None:
        """Connect to the data; frames of a series that is armed from now on are not missed."""
        self._parameters = {"data": data, **parameters}
        self._api = None if api is None else Simplon(api)
        self._connection: Connection | None = DectrisSource(**self._parameters).connect()

    @property
    def api(self) -> Simplon:
        """The REST interface.

        Raises:
            SourceError: No address was given.
        """
        if self._api is None:
            raise SourceError("The address of the REST interface is not known.", field="api", expected="http://dcu")
        return self._api

    def wait(
        self, timeout: float | None = None, *, shape: tuple[int, int] | None = None, record: Path | None = None
    ) -> DectrisSource | None:
        """The next series that somebody else arms; None at the time-out.

        Args:
            timeout: Seconds; None: for ever.
            shape: (scan_y, scan_x), if the detector does not know it.
            record: Record what comes from now on in this file, as it comes.
        """
        connection = self._open()
        source = self._source(shape, record=record)
        source.tap(connection)
        series = connection.wait(timeout)
        if series is None:
            connection.tap = None
            return None
        return source.over(connection, series)

    def listen(self, parameters: Mapping[str, Any]) -> DectrisSource:
        """A source of the next one, whoever starts it; opening the source waits for that.

        Args:
            parameters: Of the source, such as scan_y and scan_x.
        """
        return DectrisSource(**{**self._parameters, **parameters}).over(self._open())

    def arm(
        self,
        *,
        shape: tuple[int, int] | None = None,
        record: Path | None = None,
        configured: Callable[[], None] | None = None,
        ready: Callable[[DectrisSource], None] | None = None,
        **changes: Any,
    ) -> DectrisSource:
        """Configure the detector, arm it, and give the source of its series.

        Args:
            shape: (scan_y, scan_x); sets the number of frames where a trigger mode is given.
            record: Record what comes in this file, as it comes.
            configured: Called when the detector is configured, before it is armed.
            ready: Called when the detector is armed: start the scan here.
            changes: As `Acquisition` names them: trigger_mode, frame_time, …

        Raises:
            ControlError: The control unit does not answer, or refuses.
        """
        connection = self._open()
        if shape is not None and "trigger_mode" in changes:
            changes = {"frames": shape[0] * shape[1], **changes}
        self.api.configure(Acquisition(**changes))
        if configured is not None:
            configured()
        armed = self._source(shape, record=record)
        armed.tap(connection)
        try:
            number = self.api.arm()
        except BaseException:
            connection.tap = None
            raise
        source = armed.model_copy(update={"series": number}).over(connection)
        if ready is not None:
            try:
                ready(source)
            except BaseException:
                self.api.abort()
                raise
        return source

    def trigger(self, *, timeout: float | None = None) -> None:
        """Begin exposures (ints, inte)."""
        self.api.trigger(timeout=timeout)

    def _source(self, shape: tuple[int, int] | None, **more: Any) -> DectrisSource:
        scan = {} if shape is None else {"scan_y": shape[0], "scan_x": shape[1]}
        return DectrisSource(**{**self._parameters, **scan, **more})

    def _open(self) -> Connection:
        if self._connection is None:
            raise FirstlightError("The connection is closed.", next_move="Make a new Detector.")
        return self._connection

    def close(self) -> None:
        """Disconnect; harmless when called twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

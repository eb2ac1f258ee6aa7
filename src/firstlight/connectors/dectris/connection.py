"""A connection that lasts over many series: one thread receives, and sorts messages into the series they belong to."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import zmq
from zmq.utils.monitor import recv_monitor_message

from firstlight.core.arrays import Ids
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.core.receiving import Limits
from firstlight.core.tap import Tap
from firstlight.core.untaken import Untaken

from . import stream2
from .intake import Intake, intake_for
from .pieces import Usual, usual_of
from .series import Series, missed
from .stream1 import Parts
from .wire import Frame, Message, SeriesEnd, SeriesStart, Stray

_log = logging.getLogger(__name__)

_AT_ONCE = 64
"""Messages taken before time is looked at."""
_PATIENCE = 0.004
"""Seconds to wait for a message: what is gathered is handed on then. Waiting within `recv` is half the price of polling."""
_GATHER = 0.001
"""Seconds to let messages gather once all have been taken: to be woken for each costs more than to read it."""
_MONITOR = 0.05
"""Seconds between looks at who is connected."""

_EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a detector sends, and how."""

    data: str
    """Such as ``tcp://dcu:9999`` (stream v1) or ``tcp://dcu:31001`` (stream v2)."""
    socket: Literal["pull", "sub"] = "pull"
    queue: int = 1000
    """Messages that may wait in the network layer."""
    server_key: str | None = None
    """Public key of the server (Z85, 40 characters) if it speaks CurveZMQ."""
    secret_key: str | None = None
    """Our own secret key; None: a new pair for this connection."""


class Connection:
    """Receives from one detector until it is closed.

    Args:
        address: Where it sends.
        limits: What a series may take.
        channel: The one threshold that is wanted; None: all.
        decoders: Threads that decode.
        join: Take a series whose header was missed, too.
        tap: Is given every message as it came, to be recorded.
    """

    def __init__(
        self,
        address: Address,
        limits: Limits,
        *,
        channel: str | None = None,
        decoders: int = 2,
        join: bool = False,
        tap: Tap | None = None,
    ) -> None:
        """Connect and start receiving.

        Raises:
            SourceError: The address or a key is malformed.
        """
        self.address, self._limits, self._channel, self._join = address, limits, channel, join
        self.connected = False
        """The detector (or a proxy) is there, and talks to us."""
        self.refused = ""
        """Why it did not talk to us."""
        self.foreign = 0
        """Frames of other series, or of one that nobody waits for."""
        self.strays = 0
        """Messages that make no sense."""
        self.tap = tap
        """May be set before a series begins, and taken away."""
        self.changed = threading.Condition()
        """Notified when a series begins, and when `connected` changes."""
        self._decoders = ThreadPoolExecutor(decoders, "dectris decoder")
        self._reading = Parts()
        self._usual: Usual | None = None
        """What frames look like that need not be read one by one."""
        self._current: Series | None = None
        self.untaken: Untaken[Series] = Untaken(self.changed)
        """Series that nobody reads yet."""
        self._stopping = threading.Event()
        self._context = zmq.Context()
        try:
            self._socket, self._monitor = _connected(self._context, address)
            self._intake = intake_for(self._socket)
        except (zmq.ZMQError, ValueError) as error:
            self._context.destroy(linger=0)
            raise SourceError(
                f"The address can not be used: {error}.",
                field="data",
                value=address.data,
                expected="such as tcp://dcu:9999, and keys of 40 characters",
            ) from error
        self._thread = threading.Thread(target=self._run, name="dectris receiver", daemon=True)
        self._thread.start()

    # ---- from other threads -----------------------------------------------------------------------------------------

    def wait(
        self, timeout: float | None, *, series: int | None = None, stopped: Callable[[], bool] = lambda: False
    ) -> Series | None:
        """The next series that begins, or has begun since nobody waits; None at the time-out.

        Args:
            timeout: Seconds to wait at most; None: for ever.
            series: Number of the one that is wanted; others are passed over.
            stopped: Says that waiting has no more sense.
        """
        return self.untaken.take(
            timeout,
            lambda: stopped() or self._stopping.is_set(),
            lambda found: series in (None, found.start.series),
        )

    def close(self) -> None:
        """End; harmless when called twice."""
        self._stopping.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=10.0)
        self._decoders.shutdown(wait=True)

    # ---- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._receive()
        except Exception as error:  # it must reach the reader, not end in a silent thread
            _log.exception("The receiving thread failed.")
            if self._current is not None:
                known = isinstance(error, FirstlightError)
                self._current.fail(error if known else SourceError(f"Receiving failed: {error}", field="data"))
        finally:
            if self._current is not None:
                self._current.finish("the connection was closed")
            if self._intake is not None:
                self._intake.close()
            self._context.destroy(linger=0)

    def _receive(self) -> None:
        look_again = 0.0
        while not self._stopping.is_set():
            if time.monotonic() >= look_again:
                look_again = time.monotonic() + _MONITOR
                while self._monitor.poll(0):
                    self._notice(recv_monitor_message(self._monitor))
            series = self._current
            if series is not None and not series.over and series.full:
                series.tick(paused=True)
                self._stopping.wait(0.002)
                continue
            self._take_some()
            if self._current is not None:
                self._current.tick()

    def _notice(self, event: Any) -> None:
        with self.changed:
            if event["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.connected, self.refused = True, ""
            elif event["event"] == zmq.EVENT_DISCONNECTED:
                self.connected = False
            else:
                self.refused = "it speaks CurveZMQ and does not accept our keys, or does not speak it while we do"
            self.changed.notify_all()

    def _take_some(self) -> None:
        intake, usual = self._intake, self._usual
        if intake is not None and (intake.unfinished or (usual is not None and self._fits(usual))):
            self._take_together(intake, usual)
            return
        self._take_one_by_one()

    def _take_one_by_one(self) -> None:
        end = time.monotonic() + _PATIENCE
        for at in range(_AT_ONCE):
            try:
                parts = self._message(zmq.NOBLOCK if at else 0)  # the first waits for _PATIENCE
            except zmq.Again:
                if at:
                    time.sleep(_GATHER)
                return
            self._learn(parts, self._sort(parts))
            if time.monotonic() > end or (self._current is not None and self._current.full):
                return

    def _learn(self, parts: list[memoryview], message: Message | None) -> None:
        """Take note of what the frames of a series look like."""
        if self._intake is None or not isinstance(message, Frame):
            return
        if self._usual is None or self._usual.frame.series != message.series:
            self._usual = usual_of(parts, message)

    def _fits(self, usual: Usual) -> bool:
        """True if frames like this one need no look of their own: those of the series that goes on, and is not recorded."""
        current = self._current
        plain = self.tap is None and not self._reading.begun
        return (
            plain and current is not None and current.start.series == usual.frame.series and current.takes(usual.like)
        )

    def _take_together(self, intake: Intake, usual: Usual | None) -> None:
        """Take messages in one go; frames that are like those before are handed on together, all else is read one by one."""
        messages = intake.take()
        if messages is None:
            return
        numbers = np.full(len(messages), -1) if usual is None else usual.numbers(messages)
        self._look_for_falls(numbers)
        edges = [0, *(np.flatnonzero(np.diff(numbers < 0)) + 1).tolist(), len(messages)]
        for begin, end in pairwise(edges):
            current = self._current
            if usual is not None and current is not None and numbers[begin] >= 0 and self._fits(usual):
                current.take_many(numbers[begin:end], usual.pieces(messages, begin, end))
            else:
                for at in range(begin, end):
                    self._sort(messages.message(at))
        if numbers.max() < 0:
            self._usual = None
        if intake.drained:
            time.sleep(_GATHER)

    def _look_for_falls(self, numbers: Ids) -> None:
        """Mark (-1) frames to be read one by one, because the numbers of a replay start over there; see `_again`."""
        current = self._current
        if self._join and current is not None and current.start.version == 0:
            before = np.maximum.accumulate(np.concatenate([[current.newest], numbers]))[:-1]
            numbers[numbers < before - self._limits.window] = -1

    def _sort(self, parts: list[memoryview]) -> Message | None:
        """Read one message; the last thing that it says."""
        single = len(parts) == 1 and parts[0][:3] == stream2.MAGIC
        found = [stream2.read(parts[0])] if single else self._reading.feed(parts)
        for each in found:
            self._handle(each)
        if self.tap is not None:
            self.tap(self._current, parts, found)
        return found[-1] if found else None

    def _message(self, flags: int) -> list[memoryview]:
        """One message. A part knows whether more come; recv_multipart asks the socket again, which takes three times as long."""
        receive = self._socket.recv
        part = receive(flags, copy=False)
        parts = [part.buffer]
        while part.more:
            part = receive(copy=False)
            parts.append(part.buffer)
        return parts

    def _handle(self, message: Message) -> None:
        current = self._current
        if isinstance(message, SeriesStart):
            self._begin(message)
        elif isinstance(message, Frame):
            self._frame(message)
        elif isinstance(message, SeriesEnd):
            if current is not None and current.start.series == message.series:
                current.finish("the detector ended it before its last frame" if not current.places.complete else "")
        elif isinstance(message, Stray):
            self.strays += 1
            if self.strays == 1:
                _log.warning("A message was passed over: %s", message.reason)

    def _begin(self, start: SeriesStart) -> None:
        current = self._current
        if current is not None and not current.over:
            current.finish(f"series {start.series} began")
        self._current = Series(start, self._limits, self._channel, self._decoders)
        self.untaken.add(self._current)

    def _frame(self, frame: Frame) -> None:
        current = self._current
        if self._join and (
            current is None
            or frame.series != current.start.series
            or _again(current, frame.number, self._limits.window)
        ):
            self._begin(missed(frame))
            current = self._current
        if current is None or frame.series != current.start.series:
            self.foreign += 1
            if self.foreign == 1:
                _log.warning("Frames of series %d are passed over: its start was not seen.", frame.series)
        else:
            current.receive(frame)


def _again(series: Series, number: int, window: int) -> bool:
    """True if the numbers of a replay that never changes its series number start over: they fall by more than disorder explains."""
    return series.start.version == 0 and number < series.newest - (0 if series.over else window)


def _connected(context: zmq.Context[Any], address: Address) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
    """The socket, and one that tells whether somebody answers."""
    socket = context.socket(zmq.SUB if address.socket == "sub" else zmq.PULL)
    socket.set_hwm(address.queue)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
    socket.setsockopt(zmq.MAXMSGSIZE, 2**31)
    socket.setsockopt(zmq.RCVTIMEO, round(_PATIENCE * 1000))
    if address.socket == "sub":
        socket.setsockopt(zmq.SUBSCRIBE, b"")
    if address.server_key is not None:
        socket.curve_serverkey = address.server_key.encode("ascii")
        if address.secret_key is None:
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
        else:
            secret = address.secret_key.encode("ascii")
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_public(secret), secret
    monitor = socket.get_monitor_socket(_EVENTS)
    socket.connect(address.data)
    return socket, monitor

"""Source: one position for each trigger, from a PandABox."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
import zmq
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Item, Scan, Stream
from firstlight.core.curve import BadKey, z85_key
from firstlight.core.errors import SourceError
from firstlight.core.handover import HandOver
from firstlight.core.source import Source
from firstlight.core.units import Bytes, Degree, Second

from . import data_port, json_stream
from .messages import Message, Samples, Start, Stop
from .places import Averages, Placed

_LOOK = 0.1
"""Seconds of waiting for bytes before the time is looked at."""


class PandaSource(Source):
    """Receives positions from a PandABox, one for each frame, keyed by sample number: loss and disorder never shift them.

    `address` is the JSON stream over ZeroMQ (``tcp://host:6666``) or the box's own data port (``panda://host:8889``). A
    position is the mean of `upsample` samples; y and x are ``encoder · scale · direction``. What has no samples is lost, what is
    not a number rejected, and both are counted. A capture that starts over opens a new epoch.
    """

    use: ClassVar[str] = "panda"
    pausable: ClassVar[bool] = False

    address: Annotated[str, Field(pattern=r"^(tcp|ipc|panda)://.+")] = "tcp://127.0.0.1:6666"
    """Where samples come from: JSON over ZeroMQ (``tcp://`` or ``ipc://``), or the data port (``panda://host:8889``)."""
    x_channel: str = "INENC2.VAL.Value"
    """Channel of the fast axis; a slash before it does not matter."""
    y_channel: str = "INENC3.VAL.Value"
    """Channel of the slow axis."""
    x_scale: float = 1.0
    """Length per count of the fast axis, in `unit`."""
    y_scale: float = 1.0
    """Length per count of the slow axis, in `unit`."""
    x_direction: Literal[-1, 1] = 1
    """−1 turns the fast axis round."""
    y_direction: Literal[-1, 1] = 1
    """−1 turns the slow axis round."""
    swap: bool = False
    """Exchange y and x."""
    unit: Literal["m", "mm", "um", "nm", "px"] = "um"
    """Unit of the positions."""
    angle: Degree | None = None
    """Rotation of the sample: the fast axis is foreshortened by |cos θ| up to 45°, by |sin θ| beyond; default: not at all."""
    upsample: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Samples that were taken for each frame."""
    positions: Annotated[int, Field(gt=0)] | None = None
    """How many there will be, where that is known: the source ends after the last one."""
    window: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    """How many later positions must be complete before a missing one is given up."""
    server_key: Annotated[str, Field(min_length=40, max_length=44)] | None = None
    """Public key (Z85 or base64) of a server that speaks CurveZMQ."""
    secret_key: str | None = None
    """Name of the environment variable with our own secret key; default: a new key for each connection."""
    idle: Annotated[Second, Field(gt=0)] = 30.0
    """The capture is over after this time without a sample, once one came."""
    timeout: Annotated[Second, Field(gt=0)] = 300.0
    """How long to wait for the first sample."""
    memory: Annotated[Bytes, Field(gt=0)] = 64 * 2.0**20
    """Bytes of positions that may wait for the run."""

    _handover: HandOver | None = PrivateAttr(default=None)
    _thread: threading.Thread | None = PrivateAttr(default=None)
    _stopping: threading.Event = PrivateAttr(default_factory=threading.Event)
    _error: SourceError | None = PrivateAttr(default=None)
    _averages: Averages | None = PrivateAttr(default=None)

    def open(self) -> Scan:
        """Connect; positions are received from now on.

        Raises:
            SourceError: The address or a key is malformed, or nothing listens at the data port.
        """
        self.close()
        self._stopping.clear()
        self._error = None
        receive = self._connected()
        self._handover = HandOver(int(self.memory))
        channels = (json_stream.channel_name(self.y_channel), json_stream.channel_name(self.x_channel))
        self._averages = Averages(channels, self.upsample, self.window)
        arguments = (receive, self._averages, self._handover)
        self._thread = threading.Thread(target=self._run, args=arguments, name="panda receiver", daemon=True)
        self._thread.start()
        axes = ("position", "yx")
        return Scan({MAIN: Stream(axes, {"position": self.positions, "yx": 2}, "float64", unit=self.unit)}, "panda")

    def items(self) -> Iterator[Item]:
        """Chunks of positions, gaps and the end, as they come.

        Raises:
            SourceError: Receiving failed, or no sample came within `timeout`.
        """
        handover = self._handover
        if handover is None:
            raise SourceError(
                "The source is not open.", field="address", value=self.address, next_move="Call open() first."
            )
        yield from handover.items()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End; what has arrived is delivered."""
        self._stopping.set()

    def close(self) -> None:
        """Disconnect."""
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=10.0)

    # ---- the thread -------------------------------------------------------------------------------------------------

    def _run(self, receive: _Receiver, averages: Averages, handover: HandOver) -> None:
        try:
            self._receive(receive, averages, handover)
        except SourceError as error:
            self._error = error
        except (OSError, zmq.ZMQError) as error:
            self._error = SourceError(f"Receiving positions failed: {error}", field="address", value=self.address)
        finally:
            receive.close()
            handover.put(End())
            handover.close()

    def _receive(self, receive: _Receiver, averages: Averages, handover: HandOver) -> None:
        last, begun, done = time.monotonic(), False, 0
        while not self._stopping.is_set():
            messages = receive.some()
            now = time.monotonic()
            if messages is None:
                break
            for message in messages:
                if isinstance(message, Samples):
                    placed, gaps = averages.take(message)
                    begun = begun or averages.begun
                    last = now if begun else last
                    done += self._hand_on(placed, gaps, handover, now)
                elif isinstance(message, Start):
                    done = 0 if begun else done
                    self._hand_on(None, averages.start(), handover, now)
                elif isinstance(message, Stop) and begun:
                    self._hand_on(None, averages.finish(message), handover, now)
                    if self.positions is None or averages.settled >= self.positions:
                        return
            if self.positions is not None and done >= self.positions:
                break
            if begun and now - last > self.idle:
                break
            if not begun and now - last > self.timeout:
                raise self._silence(averages)
        self._hand_on(None, averages.finish(), handover, time.monotonic())

    def _hand_on(self, placed: Placed | None, gaps: list[Any], handover: HandOver, now: float) -> int:
        """Give positions and gaps to the reader; the number of positions that are settled by them."""
        for gap in gaps:
            handover.put(gap)
        count = sum(len(gap) for gap in gaps)
        if placed is None:
            return count
        keep = np.ones(len(placed.ids), bool) if self.positions is None else placed.ids < self.positions
        if keep.any():
            places, ids = self.places(placed.values[keep]), placed.ids[keep]
            known = np.isfinite(places).all(axis=1)
            for wrong in ids[~known].tolist():
                handover.put(Gap(placed.epoch, wrong, wrong, "its position is not a number", "rejected"))
            if known.any():
                handover.put(Chunk(places[known], ("yx",), ids[known], placed.epoch, received=now))
        return count + int(keep.sum())

    def places(self, counts: Array) -> Array:
        """Positions of encoder counts, both of shape (position, 2): y and x."""
        short = 1.0
        if self.angle is not None:
            theta = math.radians(self.angle)
            short = abs(math.cos(theta)) if abs(self.angle) <= 45 else abs(math.sin(theta))
        scale = np.array([self.y_scale * self.y_direction, self.x_scale * self.x_direction * short])
        found = counts * scale
        return found[:, ::-1].copy() if self.swap else found

    def _silence(self, averages: Averages) -> SourceError:
        if averages.strays:
            return SourceError(
                f"{averages.strays} messages came from {self.address}, but none with both channels.",
                field="x_channel",
                value=(self.x_channel, self.y_channel),
                expected="channels that the PandABox captures",
                next_move="Set x_channel and y_channel to names that it sends.",
            )
        return SourceError(
            f"No position came within {self.timeout:g} s.",
            field="address",
            value=self.address,
            expected="a PandABox that is armed",
            next_move="Check the address, that the box is armed, and, with CurveZMQ, the keys: a wrong key is silent.",
        )

    # ---- connecting -------------------------------------------------------------------------------------------------

    def _connected(self) -> _Receiver:
        try:
            if self.address.startswith("panda://"):
                return _DataPort(self.address.removeprefix("panda://"))
            return _JsonSocket(self.address, self.server_key, self._secret())
        except (OSError, zmq.ZMQError, ValueError, BadKey) as error:
            raise SourceError(
                f"The PandABox can not be reached: {error}",
                field="address",
                value=self.address,
                expected="such as tcp://host:6666 for JSON over ZeroMQ, panda://host:8889 for the data port",
            ) from error

    def _secret(self) -> str | None:
        if self.secret_key is None:
            return None
        found = os.environ.get(self.secret_key)
        if not found:
            raise SourceError(
                "The environment variable with the secret key is not set.", field="secret_key", value=self.secret_key
            )
        return found


class _Receiver(Protocol):
    """Something that messages come from."""

    def some(self) -> list[Message] | None:
        """What has come, after a short wait; None when nothing will come any more."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


class _JsonSocket:
    """JSON over ZeroMQ."""

    def __init__(self, address: str, server_key: str | None, secret: str | None) -> None:
        self._context = zmq.Context()
        try:
            self._socket = self._context.socket(zmq.SUB)
            self._socket.set_hwm(20000)
            self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
            self._socket.setsockopt(zmq.MAXMSGSIZE, json_stream.LARGEST)
            self._socket.setsockopt(zmq.RCVTIMEO, round(_LOOK * 1000))
            self._socket.setsockopt(zmq.SUBSCRIBE, b"")
            if server_key is not None:
                given = None if secret is None else z85_key(secret, "the secret key").encode("ascii")
                own = zmq.curve_keypair() if given is None else (zmq.curve_public(given), given)
                self._socket.curve_serverkey = z85_key(server_key, "server_key").encode("ascii")
                self._socket.curve_publickey, self._socket.curve_secretkey = own
            self._socket.connect(address)
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def some(self) -> list[Message] | None:
        found: list[Message] = []
        try:
            found.append(json_stream.read(self._socket.recv()))
            while len(found) < 64:
                found.append(json_stream.read(self._socket.recv(zmq.NOBLOCK)))
        except zmq.Again:
            pass
        return found

    def close(self) -> None:
        self._context.destroy(linger=0)


class _DataPort:
    """The box's own TCP port."""

    def __init__(self, place: str) -> None:
        host, _, port = place.partition(":")
        self._socket = socket.create_connection((host, int(port or 8889)), timeout=5.0)
        self._socket.sendall(data_port.REQUEST)
        self._socket.settimeout(_LOOK)
        self._decoder = data_port.Decoder()

    def some(self) -> list[Message] | None:
        try:
            data = self._socket.recv(2**18)
        except TimeoutError:
            return []
        return self._decoder.feed(data) if data else None

    def close(self) -> None:
        self._socket.close()

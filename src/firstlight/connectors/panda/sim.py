"""Simulator: a PandABox that is not there. Publishes the positions of a scan as JSON over ZeroMQ, or over its data port."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import zmq
from pydantic import Field, model_validator

from firstlight.core import registry
from firstlight.core.arrays import Array
from firstlight.core.curve import z85_key
from firstlight.core.errors import SourceError
from firstlight.core.npy import open_npy
from firstlight.core.step import Configured
from firstlight.core.units import Hertz, Second

from . import data_port, json_stream

POSITIONS = "positions"


class PandaSimulator(Configured):
    """Sends the positions of a scan as a PandABox does: encoder values of two channels, `upsample` samples for each frame."""

    use: ClassVar[str] = "panda"

    file: Path | None = None
    """Positions to play (.npy, shape (position, 2): y and x), or a file for `source`."""
    source: str | None = None
    """Name of the source that reads the file, or makes one: its stream `positions` is played. Default: none for .npy."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of that source."""
    stream: Literal["json", "port"] = "json"
    """JSON over ZeroMQ (PUB), or the data port (TCP)."""
    x_channel: str = "INENC2.VAL.Value"
    """Channel of the fast axis."""
    y_channel: str = "INENC3.VAL.Value"
    """Channel of the slow axis."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """Length per count; positions are divided by it, and rounded over the data port."""
    upsample: Annotated[int, Field(ge=1, le=1000)] = 1
    """Samples for each position; they lie evenly about it."""
    samples: Annotated[int, Field(ge=1, le=100_000)] = 41
    """Samples of a message."""
    rate: Annotated[Hertz, Field(ge=0)] = 0.0
    """Positions per second; 0: as fast as possible."""
    lose: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Numbers of messages to hold back."""
    swap: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Numbers of messages that come after their successor (JSON)."""
    unheard: Annotated[int, Field(ge=0)] = 0
    """Positions that are published before anybody listens, as for a run that was started too late; the first capture then
    waits for it (JSON)."""
    captures: Annotated[int, Field(ge=1, le=1000)] = 1
    """How often the scan is played, each time as a capture of its own."""
    wait: Annotated[Second, Field(ge=0)] = 60.0
    """How long to wait for somebody who listens."""
    linger: Annotated[Second, Field(ge=0)] = 1.0
    """How long to stay after the last capture."""
    port: int = Field(default=0, ge=0, le=65535)
    """TCP port; 0: any free one."""
    interface: str = "127.0.0.1"
    """Address to serve on. Anything but loopback makes it visible to the network."""
    secret_key: str | None = None
    """Name of the environment variable with the server's secret key (Z85 or base64): the JSON stream then speaks CurveZMQ."""

    @model_validator(mode="after")
    def _something_to_play(self) -> PandaSimulator:
        if self.file is not None and not self.file.is_file():
            raise ValueError(f"file = '{self.file}' is no file")
        if self.file is None and self.source is None:
            raise ValueError("give a file, or the name of a source with positions")
        if self.secret_key is not None and not os.environ.get(self.secret_key):
            raise ValueError(f"secret_key = '{self.secret_key}': the environment has no such variable")
        return self

    def run(
        self, stop: threading.Event | None = None, on_ready: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """Serve until all captures are played, or `stop` is set.

        Args:
            stop: Set it from another thread to end.
            on_ready: Called once the port is open, with the address and what will be played.

        Returns:
            What was sent.

        Raises:
            SourceError: There are no positions, or the port is taken.
        """
        stop = stop or threading.Event()
        places = self._load()
        play = self._publish if self.stream == "json" else self._serve
        try:
            return play(places, stop, on_ready or (lambda told: None))
        except (OSError, zmq.ZMQError) as error:
            raise SourceError(
                f"The port can not be opened: {error}", field="port", value=self.port, expected="a free port"
            ) from error

    # ---- within -----------------------------------------------------------------------------------------------------

    def _load(self) -> Array:
        """Positions, shape (position, 2)."""
        if self.source is None and self.file is not None:
            try:
                found = np.array(open_npy(self.file))
            except (OSError, ValueError) as error:
                raise SourceError(
                    f"The file can not be read: {error}", field="file", value=str(self.file), expected="an .npy file"
                ) from error
        else:
            given = {"path": self.file} if self.file is not None else {}
            source = registry.get("sources", str(self.source))(**given, **self.parameters)
            source.open()
            try:
                found = np.asarray(source.read({}, POSITIONS))
            finally:
                source.close()
        if found.ndim != 2 or found.shape[1] != 2 or not len(found) or not np.isfinite(found).all():
            raise SourceError(
                "These are no positions.",
                field="file",
                value=found.shape,
                expected="finite numbers, shape (position, 2): y and x",
            )
        return found.astype(np.float64)

    def _messages(self, places: Array) -> Iterator[tuple[int, int, Array]]:
        """Number and first sample of each message that is sent, and its samples of shape (sample, 2), in counts."""
        spread = (np.arange(self.upsample) - (self.upsample - 1) / 2) * 1e-3
        counts = (places[:, None, :] / self.scale + spread[None, :, None]).reshape(-1, 2)
        starts = list(range(0, len(counts), self.samples))
        order = [*range(len(starts))]
        for number in self.swap:
            if number + 1 < len(order):
                order[number], order[number + 1] = order[number + 1], order[number]
        for number in order:
            if number not in self.lose:
                yield number, starts[number], counts[starts[number] : starts[number] + self.samples]

    def _pace(self, began: float, samples: int, stop: threading.Event) -> None:
        if self.rate:
            stop.wait(max(0.0, began + samples / self.upsample / self.rate - time.monotonic()))

    def _publish(
        self, places: Array, stop: threading.Event, on_ready: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        context = zmq.Context()
        try:
            socket = context.socket(zmq.XPUB)  # which tells of each that subscribes
            socket.setsockopt(zmq.XPUB_VERBOSE, 1)
            socket.set_hwm(20000)
            if self.secret_key is not None:
                secret = z85_key(os.environ[self.secret_key], self.secret_key).encode("ascii")
                socket.curve_server = True
                socket.curve_publickey, socket.curve_secretkey = zmq.curve_public(secret), secret
            port = self.port
            if port:
                socket.bind(f"tcp://{self.interface}:{port}")
            else:
                port = socket.bind_to_random_port(f"tcp://{self.interface}")
            on_ready({"positions": f"tcp://{self.interface}:{port}", "count": len(places)})
            if not self.unheard:
                self._await_listener(socket, stop)
            sent = sum(self._capture(socket, places, stop, first=not number) for number in range(self.captures))
            stop.wait(self.linger)
        finally:
            context.destroy(linger=1000)
        return {"sent": sent, "captures": self.captures}

    def _await_listener(self, socket: zmq.Socket[bytes], stop: threading.Event) -> None:
        end = time.monotonic() + self.wait
        while not stop.is_set() and time.monotonic() < end:
            if socket.poll(50) and socket.recv().startswith(b"\x01"):  # 0 is somebody who goes
                return

    def _capture(self, socket: zmq.Socket[bytes], places: Array, stop: threading.Event, *, first: bool) -> int:
        """Send one capture; the first one waits for a listener after what nobody hears."""
        began, sent, messages = time.monotonic(), 0, 0
        unheard = self.unheard if first else 0
        socket.send(json_stream.write_start())
        for number, at, counts in self._messages(places):
            if stop.is_set():
                break
            if unheard and at >= unheard * self.upsample:
                self._await_listener(socket, stop)
                began, unheard = time.monotonic() - at / self.upsample / (self.rate or math.inf), 0
            socket.send(
                json_stream.write_samples({self.x_channel: counts[:, 1], self.y_channel: counts[:, 0]}, at, number)
            )
            sent, messages = sent + len(counts), messages + 1
            self._pace(began, at + len(counts), stop)
        socket.send(json_stream.write_stop(messages))
        return sent

    def _serve(
        self, places: Array, stop: threading.Event, on_ready: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        names = [channel.rpartition(".") for channel in (self.x_channel, self.y_channel)]
        fields = [data_port.Field(name, capture, "double") for name, _, capture in names]
        sent = 0
        with socket.create_server((self.interface, self.port)) as server:
            server.settimeout(0.1)
            port = server.getsockname()[1]
            on_ready({"positions": f"panda://{self.interface}:{port}", "count": len(places)})
            peer = self._accept(server, stop)
            if peer is None:
                return {"sent": 0, "captures": 0}
            with peer:
                peer.settimeout(5.0)
                peer.recv(4096)
                peer.sendall(b"OK\n")
                for _ in range(self.captures):
                    sent += self._capture_port(peer, places, fields, stop)
                stop.wait(self.linger)
        return {"sent": sent, "captures": self.captures}

    def _accept(self, server: socket.socket, stop: threading.Event) -> socket.socket | None:
        end = time.monotonic() + self.wait
        while not stop.is_set() and time.monotonic() < end:
            try:
                return server.accept()[0]
            except TimeoutError:
                continue
        return None

    def _capture_port(
        self, peer: socket.socket, places: Array, fields: list[data_port.Field], stop: threading.Event
    ) -> int:
        began, sent = time.monotonic(), 0
        peer.sendall(data_port.write_header(fields))
        for _, first, counts in self._messages(places):
            if stop.is_set():
                break
            peer.sendall(data_port.write_block(fields, [counts[:, 1], counts[:, 0]]))
            sent += len(counts)
            self._pace(began, first + len(counts), stop)
        peer.sendall(data_port.write_end(sent))
        return sent

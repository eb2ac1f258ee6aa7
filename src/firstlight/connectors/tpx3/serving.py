"""What the simulators of Timepix3 share: they play a file or a phantom to clients of a TCP port."""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.step import Configured

from .played import played

_PIECE = 2**20
"""Bytes of a recording that are sent at a time."""


class Serving(Configured):
    """Serves one client after the other."""

    file: Path | None = None
    """File to play: .npy of unsigned integers (scan_y, scan_x, row, col); default: the phantom of a phase object."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the phantom, such as ``{scan_y: 64, scan_x: 64}``."""
    replay: Path | None = None
    """Send this recorded stream, byte for byte, instead of something simulated."""
    clients: Annotated[int, Field(ge=0)] = 1
    """Serve so many clients, one after the other; 0: until told to stop."""
    port: int = Field(default=0, ge=0, le=65535)
    """TCP port; 0: any free one."""
    interface: str = "127.0.0.1"
    """Address to serve on. Anything but loopback makes the detector visible to the network."""

    def run(
        self, stop: threading.Event | None = None, on_ready: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """Serve until all clients are served, or `stop` is set.

        Args:
            stop: Set it from another thread to end.
            on_ready: Called once the port is open.

        Returns:
            What was sent.

        Raises:
            SourceError: There is nothing to play, or the port is taken.
        """
        stop = stop or threading.Event()
        data = played(self.file, self.parameters) if self.replay is None else np.zeros((0, 0, 0, 0), np.uint8)
        try:
            server = socket.create_server((self.interface, self.port))
        except OSError as error:
            raise SourceError(f"The port can not be used: {error}.", field="port", value=self.port) from error
        served = 0
        with server:
            server.settimeout(0.1)
            if on_ready is not None:
                host, port = server.getsockname()
                on_ready({"host": host, "port": port, "frames": data.shape[0] * data.shape[1]})
            while not stop.is_set() and (not self.clients or served < self.clients):
                with contextlib.suppress(TimeoutError):
                    client, _ = server.accept()
                    with client, contextlib.suppress(OSError):
                        if self.replay is None:
                            self.serve(client, data, stop)
                        else:
                            self._send(client, self.replay, stop)
                    served += 1
        return {"clients": served, "frames": data.shape[0] * data.shape[1]}

    def _send(self, client: socket.socket, recording: Path, stop: threading.Event) -> None:
        with recording.expanduser().open("rb") as file:
            while not stop.is_set() and (part := file.read(_PIECE)):
                client.sendall(part)
        client.settimeout(0.1)
        while not stop.is_set():  # as the detector, stay connected until the client has had enough
            with contextlib.suppress(TimeoutError):
                if not client.recv(_PIECE):
                    return

    @abstractmethod
    def serve(self, client: socket.socket, data: Array, stop: threading.Event) -> None:
        """Send one client everything.

        Args:
            client: The connection.
            data: (scan_y, scan_x, row, col): what is played.
            stop: Set from another thread to end.
        """

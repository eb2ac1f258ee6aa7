"""Simulator: Accos and a Timepix3 detector that are not there. Plays a file or a phantom as sparse frames."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.step import Configured
from firstlight.core.units import Second

from . import wire
from .played import played


class Tpx3Simulator(Configured):
    """Sends one acquisition with one scan to each client, as Accos does."""

    use: ClassVar[str] = "tpx3"

    file: Path | None = None
    """File to play: .npy of unsigned integers (scan_y, scan_x, row, col); default: the phantom of a phase object."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the phantom, such as ``{scan_y: 64, scan_x: 64}``."""
    frames: Annotated[int, Field(gt=0)] = 64
    """Frames in a chunk."""
    padding: Annotated[int, Field(ge=0, le=4096)] = 0
    """Bytes between the parts of a chunk."""
    cancel_after: Annotated[int, Field(ge=0)] | None = None
    """Cancel the scan after so many chunks."""
    dwell: Annotated[Second, Field(ge=0)] = 0.0
    """Pause after each chunk."""
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
        data = played(self.file, self.parameters)
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
                        for message in self.messages(data):
                            if stop.wait(self.dwell):
                                break
                            client.sendall(message)
                    served += 1
        return {"clients": served, "frames": data.shape[0] * data.shape[1]}

    def messages(self, data: Array) -> Iterator[bytes]:
        """What one client gets."""
        start = wire.AcquisitionStart((data.shape[0], data.shape[1]), (data.shape[2], data.shape[3]), sequence=1)
        yield wire.write_start(start)
        yield wire.write_scan(1, {"simulated": "by firstlight, no measured data"})
        flat = data.reshape(-1, *data.shape[2:])
        cancelled = False
        for number, first in enumerate(range(0, len(flat), self.frames)):
            cancelled = number == self.cancel_after
            if cancelled:
                break
            yield wire.write_frames(start, flat[first : first + self.frames], padding=self.padding)
        if not cancelled:
            yield wire.write_end(1, scan=True)
        yield wire.write_end(1, scan=False)

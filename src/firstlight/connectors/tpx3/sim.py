"""Simulator: Accos and a Timepix3 detector that are not there. Plays a file or a phantom as sparse frames."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.units import Second

from . import wire
from .serving import Serving


class Tpx3Simulator(Serving):
    """Sends one acquisition with one scan to each client, as Accos does."""

    use: ClassVar[str] = "tpx3"

    frames: Annotated[int, Field(gt=0)] = 64
    """Frames in a chunk."""
    padding: Annotated[int, Field(ge=0, le=4096)] = 0
    """Bytes between the parts of a chunk."""
    cancel_after: Annotated[int, Field(ge=0)] | None = None
    """Cancel the scan after so many chunks."""
    dwell: Annotated[Second, Field(ge=0)] = 0.0
    """Pause after each chunk."""

    def serve(self, client: socket.socket, data: Array, stop: threading.Event) -> None:
        """Send one client everything."""
        for message in self.messages(data):
            if stop.wait(self.dwell):
                return
            client.sendall(message)

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

"""Send the messages of a recording again, byte for byte."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import zmq

from .messages import read_messages


def replay(socket: zmq.Socket[bytes], path: Path, rate: float, stop: threading.Event) -> dict[str, Any]:
    """Send every message of a file to whoever reads.

    Args:
        socket: A bound socket (push or pub).
        path: The file, as `MessagesFile` writes it.
        rate: Messages per second; 0: as fast as they are taken.
        stop: Set it from another thread to end.

    Returns:
        How many were sent, and how fast.

    Raises:
        SourceError: The file holds something else.
    """
    began, sent = time.monotonic(), 0
    for parts in read_messages(path):
        if rate > 0:
            stop.wait(max(0.0, began + sent / rate - time.monotonic()))
        while not socket.poll(50, zmq.POLLOUT):
            if stop.is_set():
                break
        if stop.is_set():
            break
        socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
        sent += 1
    seconds = time.monotonic() - began
    return {"sent": sent, "rate": round(sent / max(seconds, 1e-9), 1)}

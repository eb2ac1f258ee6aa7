"""Messages over a connected socket; blocking, for threads."""

from __future__ import annotations

import socket
from collections import deque

from .protocol import Decoder, Message, encode


class Channel:
    """One connection between a run process and a watcher; used by one thread at a time."""

    def __init__(self, connected: socket.socket) -> None:
        """Take over a connected socket."""
        self._socket = connected
        self._decoder = Decoder()
        self._ready: deque[Message] = deque()

    def send(self, message: Message) -> None:
        """Send a message.

        Raises:
            OSError: The other side is gone.
            ProtocolError: The message is too large.
        """
        for part in encode(message):
            self._socket.sendall(part)

    def receive(self) -> Message | None:
        """The next message, or None when the other side closed in order.

        Raises:
            OSError: The other side is gone, in the middle of a message or not.
            ProtocolError: It does not speak this protocol.
        """
        while not self._ready:
            count = self._socket.recv_into(self._decoder.room())
            if count == 0:
                if self._decoder.idle:
                    return None
                raise ConnectionResetError("the other side closed in the middle of a message")
            self._ready.extend(self._decoder.filled(count))
        return self._ready.popleft()

    def close(self) -> None:
        """Close the connection; harmless when called twice. Wakes a thread that receives."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was closed already, by us or by them
        self._socket.close()

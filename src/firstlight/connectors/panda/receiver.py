"""Where messages of a PandABox come from: two kinds of sockets."""

from __future__ import annotations

import socket
from typing import Protocol

import zmq

from firstlight.core.curve import z85_key

from . import data_port, json_stream
from .messages import Message

_LOOK = 0.1
"""Seconds of waiting for bytes before the time is looked at."""


class Receiver(Protocol):
    """Something that messages come from."""

    def some(self) -> list[Message] | None:
        """What has come, after a short wait; None when nothing will come any more."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


class JsonSocket:
    """JSON over ZeroMQ.

    Args:
        address: Where it is published.
        server_key: Public key of a server that speaks CurveZMQ.
        secret: Our own secret key; None: a new one.
    """

    def __init__(self, address: str, server_key: str | None, secret: str | None) -> None:
        """Connect."""
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
        """Up to 64 messages."""
        found: list[Message] = []
        try:
            found.append(json_stream.read(self._socket.recv()))
            while len(found) < 64:
                found.append(json_stream.read(self._socket.recv(zmq.NOBLOCK)))
        except zmq.Again:
            pass
        return found

    def close(self) -> None:
        """Disconnect."""
        self._context.destroy(linger=0)


class DataPort:
    """The box's own TCP port.

    Args:
        place: ``host:port``.
    """

    def __init__(self, place: str) -> None:
        """Connect, and ask for all captures from now on."""
        host, _, port = place.partition(":")
        self._socket = socket.create_connection((host, int(port or 8889)), timeout=5.0)
        self._socket.sendall(data_port.REQUEST)
        self._socket.settimeout(_LOOK)
        self._decoder = data_port.Decoder()

    def some(self) -> list[Message] | None:
        """What the next bytes say."""
        try:
            data = self._socket.recv(2**18)
        except TimeoutError:
            return []
        return self._decoder.feed(data) if data else None

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()

"""A view's websocket: images as large as the screen, one on its way at most, and always the newest."""

from __future__ import annotations

import json
import time
from typing import Any

import anyio
import numpy as np
from starlette.websockets import WebSocket

from firstlight.core.errors import FirstlightError
from firstlight.jobs.picture import Wanted
from firstlight.jobs.protocol import Payload, plain
from firstlight.jobs.remote import RemoteRun

from .talk import NONSENSE, Threads, converse, refuse

POLL = 0.15
"""Seconds for which one question to the run stays open; what a new screen size may have to wait."""
REST = 0.5
"""Seconds between two questions to a run that has ended."""


class ViewSocket:
    """Sends one view to one client.

    Args:
        socket: The accepted connection.
        run: The run.
        view: The view's name.
        threads: Where the work is done.
    """

    def __init__(self, socket: WebSocket, run: RemoteRun, view: str, threads: Threads) -> None:
        """Wait for the client to say what it can show."""
        self._socket = socket
        self._run = run
        self._view = view
        self._threads = threads
        self._wanted: Wanted | None = None
        self._shown: Wanted | None = None
        self._version = -1
        self._acked = True
        self._news = anyio.Event()

    async def serve(self, first: dict[str, Any]) -> None:
        """Send images until the client goes; `first` is what it said already."""
        if "width" in first:
            try:
                self._take(first)
            except FirstlightError as error:
                await refuse(self._socket, error)
        await converse(self._socket, self._send_all, self._take)

    def _take(self, message: dict[str, Any]) -> None:
        if "ack" in message:
            if message["ack"] == self._version:
                self._acked = True
        else:
            self._wanted = Wanted.of(message)
        self._news.set()
        self._news = anyio.Event()

    async def _send_all(self) -> None:
        try:
            while True:
                await self._wait_until_due()
                await self._send_one()
        except FirstlightError as error:  # no such view: it will not come by waiting
            await refuse(self._socket, error)
            await self._socket.close(NONSENSE)

    async def _wait_until_due(self) -> None:
        while self._wanted is None or not self._acked:
            await self._news.wait()

    async def _send_one(self) -> None:
        wanted = self._wanted or Wanted()
        after = self._version if wanted == self._shown else -1
        begun, news = time.monotonic(), self._news
        found = await self._threads.run(lambda: self._message(wanted, after))
        if found is not None:
            self._shown, self._version, self._acked = wanted, found[0], False
            await self._socket.send({"type": "websocket.send", "bytes": found[1]})
        elif time.monotonic() - begun < POLL / 2:  # it has ended, or has not started: do not ask in circles
            with anyio.move_on_after(REST):
                await news.wait()

    def _message(self, wanted: Wanted, after: int) -> tuple[int, memoryview] | None:
        found = self._run.picture(self._view, wanted, after=after, timeout=POLL)
        if found is None:
            return None
        header, pixels = found
        return header["version"], binary_message(header, pixels.reshape(-1).view(np.uint8).data)


def binary_message(header: dict[str, Any], pixels: Payload) -> memoryview:
    """u32 length of the header (little-endian) | header as JSON | pixels (little-endian)."""
    text = json.dumps(plain({**header, "sent": time.time()}, nan=False), separators=(",", ":")).encode()
    head = len(text).to_bytes(4, "little") + text
    message = np.empty(len(head) + len(pixels), np.uint8)
    message[: len(head)] = np.frombuffer(head, np.uint8)
    message[len(head) :] = np.frombuffer(pixels, np.uint8)  # numpy lets other threads run while it copies
    return message.data

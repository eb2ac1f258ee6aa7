"""Large answers go out a piece at a time: a loop that copies megabytes at once answers nobody meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from fastapi.responses import StreamingResponse
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from firstlight.jobs.protocol import Payload

PIECE = 1 << 18
"""Bytes that are made and sent at a time: no copy of one takes long enough to be felt elsewhere."""


def cut(data: Payload) -> Iterator[memoryview]:
    """The same bytes in pieces that share its memory; one empty piece of nothing."""
    whole = memoryview(data).cast("B")
    return (whole[first : first + PIECE] for first in range(0, max(len(whole), 1), PIECE))


class PiecewiseResponse(StreamingResponse):
    """An answer that is there as a whole, sent piece by piece, as fast as it is taken.

    Args:
        content: The body.
        headers: Further headers.
        media_type: What it is.
    """

    def __init__(
        self,
        content: Payload,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/octet-stream",
    ) -> None:
        """Say how long it is, as an answer in one piece does."""
        length = str(memoryview(content).nbytes)
        super().__init__(_bytes(content), headers={"content-length": length, **(headers or {})}, media_type=media_type)


async def _bytes(content: Payload) -> AsyncIterator[bytes]:
    for piece in cut(content):
        yield bytes(piece)


class PiecewiseSockets(WebSocketsSansIOProtocol):
    """Websockets whose long messages leave as fragments (RFC 6455, section 5.4), which every client puts together again."""

    def __init__(self, *args: Any, **more: Any) -> None:
        """As any websocket; fragments of two messages may not mix."""
        super().__init__(*args, **more)
        self._turn = asyncio.Lock()

    async def send(self, message: Any) -> None:
        """Send what the application says."""
        data = message.get("bytes") if message["type"] == "websocket.send" else None
        async with self._turn:
            if data is None or len(data) <= PIECE:
                await super().send(message)
            else:
                await self._send_pieces(data)

    async def _send_pieces(self, data: Payload) -> None:
        left = len(data)
        for piece in cut(data):
            left -= len(piece)
            await self.writable.wait()
            try:
                if self.conn.expect_continuation_frame:
                    self.conn.send_continuation(piece, fin=left == 0)
                else:
                    self.conn.send_binary(piece, fin=left == 0)
            except InvalidState:
                raise ClientDisconnected from None
            self.transport.write(b"".join(self.conn.data_to_send()))

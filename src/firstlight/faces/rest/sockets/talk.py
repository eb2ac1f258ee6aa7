"""What the websockets share: who may speak, what can be read, and threads for work that is not for the loop."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.websockets import WebSocket, WebSocketDisconnect

from firstlight.core.errors import FirstlightError
from firstlight.faces.rest.describe import refusal_of
from firstlight.faces.rest.guard import AUTHORISED, token_fits
from firstlight.faces.rest.settings import Settings

T = TypeVar("T")

_MOST_MISTAKES = 20
"""Messages that make no sense before a connection is closed."""
_PATIENCE = 10.0
"""Seconds to wait for a token."""
_WATCHERS = 128
"""Websockets that are worked for at once; more take turns."""

POLICY, NONSENSE = 1008, 1007
"""Codes with which a websocket is closed: not allowed; not readable."""


class Threads:
    """Threads for what websockets ask for: their own, so that they keep no REST call waiting."""

    def __init__(self) -> None:
        """Make none yet."""
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """Do something that blocks; if the connection goes away meanwhile, its result is dropped."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_WATCHERS)
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)


async def read(socket: WebSocket) -> dict[str, Any]:
    """The next message as a mapping.

    Raises:
        FirstlightError: It is no JSON object.
        WebSocketDisconnect: There is no next message.
    """
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    try:
        value = json.loads(message.get("text") or message.get("bytes") or b"")
    except (ValueError, RecursionError):
        raise FirstlightError("The message is not JSON.", field="message", expected="a JSON object") from None
    if not isinstance(value, dict):
        raise FirstlightError("The message is not a JSON object.", field="message", value=value, expected="{…}")
    return value


async def converse(
    socket: WebSocket, send: Callable[[], Awaitable[None]], take: Callable[[dict[str, Any]], None]
) -> None:
    """Send and listen at once, until the client goes (which either may notice first) or says too much that makes no sense.

    Args:
        socket: An accepted connection.
        send: Sends whatever there is to send, and does not return while there may be more.
        take: Is given each message; a FirstlightError is told to the client.
    """

    async def sending() -> None:
        with suppress(WebSocketDisconnect):
            await send()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sending)
        with suppress(WebSocketDisconnect):
            await _listen(socket, take)
        tasks.cancel_scope.cancel()


async def _listen(socket: WebSocket, take: Callable[[dict[str, Any]], None]) -> None:
    mistakes = 0
    while mistakes < _MOST_MISTAKES:
        try:
            take(await read(socket))
        except FirstlightError as error:
            mistakes += 1
            await refuse(socket, error)
    await socket.close(NONSENSE)


async def refuse(socket: WebSocket, error: Exception) -> None:
    """Tell the other side what was wrong."""
    await socket.send_text(refusal_of(error).model_dump_json())


async def greet(socket: WebSocket, settings: Settings) -> dict[str, Any] | None:
    """Accept a connection. Without a cookie, its first message must bring the token; None: it did not, and is closed.

    Returns:
        That first message, which may say more, or an empty mapping if none was needed.
    """
    await socket.accept()
    if socket.scope.get(AUTHORISED):
        return {}
    try:
        with anyio.fail_after(_PATIENCE):
            first = await read(socket)
    except (TimeoutError, FirstlightError):
        first = {}
    token = first.get("token")
    if token_fits(settings, token if isinstance(token, str) else None):
        return first
    await refuse(
        socket, FirstlightError("A token is needed.", field="token", expected='{"token": …} as the first message')
    )
    await socket.close(POLICY)
    return None

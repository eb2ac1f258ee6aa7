"""A run's events websocket: its status at most five times a second, and each line of its log."""

from __future__ import annotations

import json
import time
from functools import partial

import anyio
from starlette.websockets import WebSocket

from firstlight.faces.rest.describe import detail_of, line_of
from firstlight.jobs.remote import RemoteRun

from .talk import Threads, converse

PERIOD = 0.2
"""Seconds between two statuses."""
KEPT_LINES = 2000
"""Lines that somebody who comes late still gets."""


async def send_events(socket: WebSocket, run: RemoteRun, threads: Threads) -> None:
    """Send a run's events until the client goes. What it says is read, so that it may, and not heeded."""
    await converse(socket, partial(_send_all, socket, run, threads), lambda _: None)


async def _send_all(socket: WebSocket, run: RemoteRun, threads: Threads) -> None:
    number = -1
    last = ""
    while True:
        begun = time.monotonic()
        status, over = await threads.run(lambda: _status(run))
        if status != last:
            last = status
            await socket.send_text(status)
        lines, number = await threads.run(partial(_lines, run, number))
        for line in lines:
            await socket.send_text(line)
        pause = PERIOD if not over else 5 * PERIOD
        await anyio.sleep(max(0.0, begun + pause - time.monotonic()))


def _status(run: RemoteRun) -> tuple[str, bool]:
    detail = detail_of(run)
    return f'{{"type":"status","run":{detail.model_dump_json(by_alias=True)}}}', detail.ended is not None


def _lines(run: RemoteRun, number: int) -> tuple[list[str], int]:
    found, _ = run.lines_now(max(number, 0))
    following = max(number, 0) + len(found)
    kept = found[-KEPT_LINES:] if number < 0 else found
    return [json.dumps({"type": "log", "line": line_of(line).model_dump()}) for line in kept], following

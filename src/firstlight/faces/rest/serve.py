"""Running the service: in this process until told to stop, or on a thread beside other work."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Sequence

import anyio.to_thread
import uvicorn
from fastapi import APIRouter, FastAPI

from firstlight.core.errors import FirstlightError
from firstlight.jobs.supervise import Supervisor

from .app import create_app
from .pieces import PiecewiseSockets
from .settings import Settings

_SWITCH = 0.001
"""Seconds after which a thread must let the event loop have the interpreter (Python's own choice is 5 ms)."""
_LONGEST_MESSAGE = 1 << 16
"""Bytes of one message from a client."""


class _Server(uvicorn.Server):
    """Gives up what is being worked out before it waits for the answers that are on their way."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End in order."""
        await anyio.to_thread.run_sync(self.config.app.state.desk.close)  # pyright: ignore[reportFunctionMemberAccess, reportUnknownMemberType, reportAttributeAccessIssue]
        await super().shutdown(sockets)


def server(app: FastAPI, settings: Settings, *, quiet: bool = False) -> uvicorn.Server:
    """The server for an application."""
    sys.setswitchinterval(_SWITCH)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="asyncio",
        ws=PiecewiseSockets,
        ws_max_size=_LONGEST_MESSAGE,
        ws_per_message_deflate=False,  # packing images would hold up the loop for longer than sending them
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="error" if quiet else "warning",
        timeout_graceful_shutdown=2,
    )
    return _Server(config)


def listen(settings: Settings) -> socket.socket:
    """A listening socket, so that a port that is taken is found before anything is started.

    Raises:
        FirstlightError: The port is taken, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise FirstlightError(
            f"The service can not listen on {settings.host}:{settings.port} ({error.strerror}).",
            field="port",
            value=settings.port,
            expected="a free port",
            next_move="Choose another with '--port', or end what uses it.",
        ) from None
    return listener


def serve(settings: Settings, supervisor: Supervisor | None = None, *, further: Sequence[APIRouter] = ()) -> None:
    """Serve until SIGINT or SIGTERM. Runs go on after that.

    Raises:
        FirstlightError: The port is taken.
    """
    listener = listen(settings)
    server(create_app(settings, supervisor, further=further), settings).run(sockets=[listener])


class ServiceThread:
    """The service on a thread of this process, for the demo and for tests."""

    def __init__(
        self, settings: Settings, supervisor: Supervisor | None = None, *, further: Sequence[APIRouter] = ()
    ) -> None:
        """Start, and wait until it answers.

        Raises:
            FirstlightError: The port is taken, or the service does not come up.
        """
        self._listener = listen(settings)
        self.port: int = self._listener.getsockname()[1]
        self.app = create_app(settings, supervisor, further=further)
        self._server = server(self.app, settings, quiet=True)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, name="service", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise FirstlightError("The service did not come up.", field="port", value=self.port)
            time.sleep(0.01)

    def stop(self) -> None:
        """End the service; harmless when called twice. Runs go on."""
        self._server.should_exit = True
        self._thread.join(10)

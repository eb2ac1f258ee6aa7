"""A small PVA server: some channels, started, stopped and started again at the same address."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from p4p.client.thread import Context
from p4p.client.thread import TimeoutError as NoAnswer
from p4p.server import Server
from p4p.server.raw import SharedPV

from firstlight.core.errors import SourceError
from firstlight.core.silence import Silence

from .chatter import hush

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NAP = 0.05


class Beamline:
    """Serves channels; used by one thread.

    Args:
        names: Name of the channel for each use; the first is the one whose clients are waited for.
        interface: Address to serve on; on loopback the server is isolated from the network and from the environment.
            None: as the EPICS_PVAS_* environment says.
        port: TCP port, or 0 for any free one, kept over restarts.
    """

    def __init__(self, names: Mapping[str, str], interface: str | None, port: int) -> None:
        """Prepare; nothing is served yet."""
        self.names, self._interface = dict(names), interface
        self._port, self.search_port = port, 0
        self._first: dict[str, Any] = {}
        self._channels: dict[str, Any] = {}
        self._server: Any = None
        self._client = threading.Event()
        self._watcher: _Watcher | None = None
        self._posted: Silence | None = None
        """Since the last post."""

    @property
    def address(self) -> str:
        """``host:port`` of the server."""
        return f"{self._interface or '127.0.0.1'}:{self._port}"

    def set(self, use: str, value: Any) -> None:
        """What a channel holds when it is started."""
        self._first[use] = value

    def start(self) -> None:
        """Serve all channels.

        Raises:
            SourceError: The address can not be used.
        """
        hush()
        self._client.clear()
        watched = next(iter(self.names))
        self._watcher = _Watcher(self._client)
        self._channels = {
            use: SharedPV(handler=self._watcher if use == watched else None, initial=self._first[use])
            for use in self.names
        }
        served = {self.names[use]: channel for use, channel in self._channels.items()}
        try:
            self._server = Server(providers=[served], **self._settings())
        except RuntimeError as error:
            raise SourceError(
                f"The PVA server can not serve at {self.address}: {error}",
                field="port",
                value=self._port,
                next_move="Use another port, or 0 for any free one.",
            ) from error
        conf = self._server.conf()
        self._port = int(conf["EPICS_PVAS_SERVER_PORT"])
        self.search_port = int(conf["EPICS_PVAS_BROADCAST_PORT"])

    def _settings(self) -> dict[str, Any]:
        if self._interface is None:
            return {"conf": {"EPICS_PVAS_SERVER_PORT": str(self._port)} if self._port else None, "useenv": True}
        conf = {"EPICS_PVAS_INTF_ADDR_LIST": self._interface, "EPICS_PVAS_SERVER_PORT": str(self._port)}
        if self._interface not in LOOPBACK:
            return {"conf": conf, "useenv": True}
        return {
            "conf": {
                **conf,
                "EPICS_PVAS_BROADCAST_PORT": str(self.search_port),
                "EPICS_PVAS_AUTO_BEACON_ADDR_LIST": "NO",
                "EPICS_PVAS_BEACON_ADDR_LIST": "127.0.0.1",
            },
            "useenv": False,
        }

    def wait_for_client(self, stop: threading.Event) -> bool:
        """Wait until somebody connects to the first channel; False if `stop` was set before."""
        while not stop.is_set():
            if self._client.wait(0.05):
                return True
        return False

    def post(self, use: str, value: Any) -> None:
        """Post a new value of a channel; its arrays are not copied."""
        self._channels[use].post(value)
        self._posted = Silence()

    def let_last_out(self, seconds: float = 0.2) -> None:
        """Give what was posted last `seconds` to leave, if somebody is connected to the first channel.

        A server that stops drops what its clients have not received yet, and does not tell what that is. Time in which the
        system kept us from running does not count: nothing left meanwhile.
        """
        if self._posted is None or self._watcher is None or not self._watcher.connected:
            return
        while self._posted.look() < seconds:
            time.sleep(_NAP)

    def stop(self) -> None:
        """Take all channels away; harmless when called twice."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        for channel in self._channels.values():
            channel.close()
        self._channels = {}


class _Watcher:
    """Notices the clients of a channel."""

    def __init__(self, seen: threading.Event) -> None:
        self._seen = seen
        self.connected = False

    def onFirstConnect(self, channel: Any) -> None:  # noqa: N802  (p4p looks for this name)
        self.connected = True
        self._seen.set()

    def onLastDisconnect(self, channel: Any) -> None:  # noqa: N802  (likewise)
        self.connected = False


def refuse_taken(names: list[str], interface: str | None, timeout: float = 0.5) -> None:
    """Refuse channel names that a server answers for already.

    Only loopback is asked where the channels stay on loopback.

    Raises:
        SourceError: A name is taken.
    """
    local = interface in LOOPBACK
    conf = {
        "EPICS_PVA_ADDR_LIST": "127.0.0.1",
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        "EPICS_PVA_INTF_ADDR_LIST": "127.0.0.1",
    }
    with Context("pva", conf=conf if local else None, useenv=not local, nt=False) as client:
        found: Any = client.get(names, request=["field(timeStamp)"] * len(names), timeout=timeout, throw=False)
    for name, answer in zip(names, found, strict=True):
        if not isinstance(answer, NoAnswer):
            raise SourceError(
                f"The PV '{name}' is served already.",
                field="prefix",
                value=name,
                expected="names that nobody answers for",
                next_move="Stop the other server, or give another prefix.",
            )

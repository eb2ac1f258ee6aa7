"""The control port of the simulated Merlin: parameters, commands and error codes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Generator

from .wire import PREFIX, message

_LONGEST = 4096
_LIMITS = {
    "NUMFRAMESTOACQUIRE": (0, 10**9),
    "NUMFRAMESPERTRIGGER": (0, 10**9),
    "ACQUISITIONTIME": (0, 10**7),
    "COUNTERDEPTH": (1, 24),
    "TRIGGERSTART": (0, 5),
    "CONTINUOUSRW": (0, 1),
}
"""Numbers that can be set, and between what."""


class Commands:
    """What a client of the control port has set and commanded.

    Args:
        shape: (frame, row, col) of what is played.
        depth: Bits of the counter.
        continuous: The acquisition goes on and on.
    """

    def __init__(self, shape: tuple[int, ...], depth: int, *, continuous: bool) -> None:
        """Idle."""
        self.values: dict[str, str] = {
            "IMAGEX": str(shape[2]),
            "IMAGEY": str(shape[1]),
            "COUNTERDEPTH": str(depth),
            "NUMFRAMESTOACQUIRE": "0" if continuous else str(shape[0]),
            "NUMFRAMESPERTRIGGER": "1",
            "ACQUISITIONTIME": "1.0",
            "TRIGGERSTART": "5",
            "CONTINUOUSRW": str(int(continuous)),
            "DETECTORSTATUS": "0",
        }
        self._start = threading.Event()
        self._trigger = threading.Event()
        self._stop = threading.Event()
        self._busy = False

    @property
    def frames(self) -> int:
        """Frames of the next acquisition."""
        return int(self.values["NUMFRAMESTOACQUIRE"])

    @property
    def stopped(self) -> bool:
        """True after STOPACQUISITION or ABORT."""
        return self._stop.is_set()

    def started(self, timeout: float) -> bool:
        """True once STARTACQUISITION has come; clears it."""
        if not self._start.wait(timeout):
            return False
        self._start.clear()
        return True

    def wait_for_trigger(self, stop: threading.Event) -> None:
        """Until SOFTTRIGGER, or at once where the trigger is internal (TRIGGERSTART 0)."""
        while self.values["TRIGGERSTART"] == "5" and not (self._trigger.wait(0.05) or stop.is_set() or self.stopped):
            pass
        self._trigger.clear()

    def finish(self) -> None:
        """The acquisition is over."""
        self._busy = False
        self._stop.clear()

    def answer(self, request: str) -> str:
        """The answer to one request, without prefix."""
        fields = request.split(",")
        verb, name = fields[0], fields[1] if len(fields) > 1 else ""
        if verb == "GET":
            found = self.values.get(name)
            return f"GET,{name},{'' if found is None else found},{2 if found is None else 0}"
        if verb == "SET":
            return f"SET,{name},{self._set(name, ','.join(fields[2:]))}"
        return f"{verb},{name},{self._command(name) if verb == 'CMD' else 2}"

    def _set(self, name: str, value: str) -> int:
        if name not in _LIMITS:
            return 2
        if self._busy:
            return 1
        low, high = _LIMITS[name]
        try:
            if not low <= float(value) <= high:
                return 3
        except ValueError:
            return 3
        self.values[name] = value
        return 0

    def _command(self, name: str) -> int:
        if name == "STARTACQUISITION":
            if self._busy:
                return 1
            self._busy = True
            self._stop.clear()
            self._start.set()
        elif name == "SOFTTRIGGER":
            self._trigger.set()
        elif name in ("STOPACQUISITION", "ABORT"):
            if self._busy:
                self._stop.set()
        else:
            return 2
        return 0

    @contextlib.contextmanager
    def serve(self, server: socket.socket, stop: threading.Event) -> Generator[int]:
        """Answer clients in a thread of its own; gives the port."""
        thread = threading.Thread(target=self._serve, args=(server, stop), name="simulated Merlin", daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join(timeout=5)
            server.close()

    def _serve(self, server: socket.socket, stop: threading.Event) -> None:
        server.settimeout(0.1)
        while not stop.is_set():
            with contextlib.suppress(OSError):
                client, _ = server.accept()
                with client:
                    self._talk(client, stop)

    def _talk(self, client: socket.socket, stop: threading.Event) -> None:
        client.settimeout(0.1)
        text = b""
        while not stop.is_set():
            try:
                more = client.recv(4096)
            except TimeoutError:
                continue
            if not more:
                return
            text += more
            while len(text) >= PREFIX:
                length = int(text[4:14]) - 1 if text[:4] == b"MPX," and text[4:14].isdigit() else 0
                if not 0 < length < _LONGEST:
                    return
                if len(text) < PREFIX + length:
                    break
                request = str(text[PREFIX : PREFIX + length], "latin-1")
                text = text[PREFIX + length :]
                client.sendall(message(self.answer(request).encode("latin-1")))

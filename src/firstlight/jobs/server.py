"""The run process's ear: answers watchers over a Unix socket, a thread for each connection."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError
from firstlight.core.run import ENDED, Run

from .channel import Channel
from .journal import Journal
from .messages import error_fields, shown_message, status_fields
from .picture import Wanted, picture
from .protocol import Message, ProtocolError, array_fields, plain

MOST_CONNECTIONS = 256
LONGEST_PATH = 100
"""Bytes that the path of a Unix socket may have on every platform (108 on Linux, 104 elsewhere), with some to spare."""
_LONGEST_WAIT = 30.0
_KEPT_PICTURES = 32

Answer = Callable[[Mapping[str, Any]], Message]


class RunServer:
    """Lets other processes watch and steer a run of this one.

    Args:
        run: The run.
        journal: Its events so far.
        folder: Where the socket goes, if its path is short enough for one.
    """

    def __init__(self, run: Run, journal: Journal, folder: Path) -> None:
        """Listen, and answer from threads of our own until `close`."""
        self._run = run
        self._journal = journal
        self._pictures = _Pictures(run)
        self._aside: Path | None = None
        self._lock = threading.Lock()
        self._open: set[Channel] = set()
        self.address = str(self._place(folder))
        self._listener = _listen(self.address)
        self._answers: dict[str, Answer] = {
            "status": self._status,
            "view": self._view,
            "picture": self._picture,
            "events": self._events,
            "set": self._set,
            "stop": self._stop,
            "report": self._report,
        }
        threading.Thread(target=self._accept, name="run-server", daemon=True).start()

    def close(self) -> None:
        """Stop listening and drop all connections; the socket file goes too."""
        self._listener.close()
        Path(self.address).unlink(missing_ok=True)
        if self._aside is not None:
            shutil.rmtree(self._aside, ignore_errors=True)
        with self._lock:
            still_open = list(self._open)
        for channel in still_open:
            channel.close()

    def _place(self, folder: Path) -> Path:
        path = folder / "run.sock"
        if len(os.fsencode(path)) <= LONGEST_PATH:
            return path
        self._aside = Path(tempfile.mkdtemp(prefix="firstlight-"))  # mode 0700
        return self._aside / "run.sock"

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return  # closed
            channel = Channel(connected)
            with self._lock:
                room = len(self._open) < MOST_CONNECTIONS
                if room:
                    self._open.add(channel)
            if not room:
                channel.close()
                continue
            threading.Thread(target=self._serve, args=(channel,), name="run-watcher", daemon=True).start()

    def _serve(self, channel: Channel) -> None:
        try:
            while (question := channel.receive()) is not None:
                channel.send(self._answer(question.head))
        except (OSError, ProtocolError):
            pass  # the watcher is gone, or is none of ours: it can not be told anything
        finally:
            with self._lock:
                self._open.discard(channel)
            channel.close()

    def _answer(self, question: Mapping[str, Any]) -> Message:
        call = question.get("call")
        answer = self._answers.get(call) if isinstance(call, str) else None
        try:
            if answer is None:
                raise ProtocolError(
                    "There is no such call.", field="call", value=call, expected="one of " + ", ".join(self._answers)
                )
            return answer(question)
        except Exception as error:  # whatever it is belongs to whoever asked, and must not end the server
            return Message({"error": error_fields(error)})

    def _status(self, question: Mapping[str, Any]) -> Message:
        return Message({"status": status_fields(self._run.status())})

    def _view(self, question: Mapping[str, Any]) -> Message:
        shown = self._run.view(_text(question, "name"), after=_number(question, "after"), timeout=_wait(question))
        return Message({"shown": None, "ended": self._ended()}) if shown is None else shown_message(shown)

    def _picture(self, question: Mapping[str, Any]) -> Message:
        wanted = Wanted.of(question.get("wanted") or {})
        found = self._pictures.get(_text(question, "name"), wanted, _number(question, "after"), _wait(question))
        if found is None:
            return Message({"picture": None, "ended": self._ended()})
        fields, payload = array_fields(found[1])
        return Message({"picture": found[0], "array": fields}, payload)

    def _events(self, question: Mapping[str, Any]) -> Message:
        lines, ended = self._journal.after(_number(question, "after"), _wait(question))
        return Message({"events": lines, "ended": ended})

    def _set(self, question: Mapping[str, Any]) -> Message:
        changes = question.get("changes")
        if not isinstance(changes, dict) or not all(isinstance(part, dict) for part in changes.values()):
            raise FirstlightError(
                "The changes have the wrong form.",
                field="changes",
                value=changes,
                expected="{step: {parameter: value}}",
            )
        epoch, frame = self._run.set(changes)
        return Message({"epoch": epoch, "id": frame})

    def _stop(self, question: Mapping[str, Any]) -> Message:
        self._run.stop()
        return Message({"stopping": True})

    def _report(self, question: Mapping[str, Any]) -> Message:
        return Message({"report": plain(self._run.report())})

    def _ended(self) -> bool:
        return self._run.status().state in ENDED


class _Pictures:
    """Pictures by view and screen; watchers with equal screens share the work."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[str, Wanted], tuple[threading.Lock, tuple[dict[str, Any], Array] | None]] = (
            OrderedDict()
        )

    def get(self, name: str, wanted: Wanted, after: int, wait: float) -> tuple[dict[str, Any], Array] | None:
        shown = self._run.view(name, after=after, timeout=wait)
        if shown is None:
            return None
        key = (name, wanted)
        with self._lock:
            mine, _ = self._made.setdefault(key, (threading.Lock(), None))
            self._made.move_to_end(key)
            while len(self._made) > _KEPT_PICTURES:
                self._made.popitem(last=False)
        with mine:
            with self._lock:
                known = self._made.get(key, (mine, None))[1]
            if known is None or known[0]["version"] < shown.version:
                infos = {info.name: info for info in self._run.views}
                known = picture(name, shown, wanted, infos.get(name))
                with self._lock:
                    self._made[key] = (mine, known)
        return known


def _listen(address: str) -> socket.socket:
    """A listening socket that its owner alone may connect to: the mode is set before anybody can."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    Path(address).unlink(missing_ok=True)
    listener.bind(address)
    Path(address).chmod(0o600)
    listener.listen(64)
    return listener


def _text(question: Mapping[str, Any], name: str) -> str:
    value = question.get(name)
    if not isinstance(value, str):
        raise ProtocolError("A field has the wrong form.", field=name, value=value, expected="a text")
    return value


def _number(question: Mapping[str, Any], name: str) -> int:
    value = question.get(name, -1)
    if not isinstance(value, int):
        raise ProtocolError("A field has the wrong form.", field=name, value=value, expected="a whole number")
    return value


def _wait(question: Mapping[str, Any]) -> float:
    value = question.get("wait", 0.0)
    return min(max(float(value), 0.0), _LONGEST_WAIT) if isinstance(value, (int, float)) else 0.0

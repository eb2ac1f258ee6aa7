"""A run in another process, through the same calls as one in this process."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from firstlight.core.arrays import Array
from firstlight.core.errors import JobError, StepFailed, UnknownName
from firstlight.core.held import Place
from firstlight.core.run import Counts, Event, Result, Results, RunState, Status, ViewInfo
from firstlight.core.view import Shown

from .channel import Channel
from .crash import alive, look_after
from .messages import error_of, event_of, shown_of, status_of
from .picture import Wanted, picture
from .protocol import Message, ProtocolError, array_of, plain
from .store import RunEntry, RunFolder

LONGEST_WAIT = 10.0
"""Seconds for which one question may stay open in the run process; longer waits ask again."""
_GONE = 30.0
"""Seconds to wait at most for a process that was killed to be gone."""
_ANSWER_TIMEOUT = 60.0
"""Seconds beyond the wait after which a run process that does not answer counts as gone for this call."""


class RunGone(ConnectionError):
    """Nobody answers at the run's socket."""


class RemoteRun:
    """Satisfies `core.run.Run` over the run process's socket. Safe to call from any thread.

    Each call has a connection for itself while it lasts, so that one that waits holds up no other. When the process has
    ended, answers come from the run's folder.

    Args:
        folder: The run's folder in the store.
    """

    def __init__(self, folder: RunFolder) -> None:
        """Connect at the first call, not now."""
        self.folder = folder
        self._lock = threading.Lock()
        self._free: list[Channel] = []
        self._closed = 0
        """How often the connections were closed: one that was in use meanwhile is not kept."""
        self._last: dict[str, Shown] = {}

    @property
    def id(self) -> str:
        """The run's id in the store."""
        return self.folder.id

    def entry(self) -> RunEntry:
        """State, times and error, as the store knows them; notices a crash."""
        return look_after(self.folder)

    @property
    def counts(self) -> Counts:
        """The worst consumer's counts."""
        return self.status().counts

    @property
    def views(self) -> tuple[ViewInfo, ...]:
        """What can be shown."""
        return self.status().views

    def status(self) -> Status:
        """Everything a screen shows, now; or as it was last, when the process has ended."""
        try:
            return status_of(self._ask({"call": "status"}).head["status"])
        except RunGone:
            return self._status_from_folder()

    def _status_from_folder(self) -> Status:
        entry = self.entry()
        last = self.folder.last_status() or _no_status(entry.state)
        if not entry.over:
            return last
        idle = replace(
            last, state=entry.state, frames_per_second=0.0, bytes_per_second=0.0, queue_bytes=0, queue_frames=0
        )
        return replace(idle, error=entry.error, result=entry.result or last.result)

    def view(self, name: str, *, after: int = -1, timeout: float | None = 0.0) -> Shown | None:
        """The newest version of a view, if newer than `after`, at full resolution; waits up to `timeout` second for one."""
        try:
            reply = self._wait_for({"call": "view", "name": name, "after": after}, timeout, "shown")
            return None if reply is None else shown_of(reply)
        except RunGone:
            return self._view_from_folder(name, after)

    def _view_from_folder(self, name: str, after: int) -> Shown | None:
        known = self._last.get(name)
        if known is None:
            known = self.folder.last_view(name)
            if known is None:
                self._check_view(name)
                return None
            if self.entry().over:
                self._last[name] = known
        return known if known.version > after else None

    def _check_view(self, name: str) -> None:
        names = [view.name for view in self._status_from_folder().views]
        if names and name not in names:
            raise UnknownName(
                f"The run has no view '{name}'.", field="view", value=name, expected="one of " + ", ".join(names)
            )

    def picture(
        self, name: str, wanted: Wanted, *, after: int = -1, timeout: float | None = 0.0
    ) -> tuple[dict[str, Any], Array] | None:
        """What a screen shows of a view: a header and pixels, scaled by the run process; see `jobs.picture`."""
        try:
            question = {"call": "picture", "name": name, "after": after, "wanted": wanted.fields()}
            reply = self._wait_for(question, timeout, "picture")
            return None if reply is None else (reply.head["picture"], array_of(reply.head["array"], reply.payload))
        except RunGone:
            shown = self._view_from_folder(name, after)
            infos = {view.name: view for view in self._status_from_folder().views} if shown is not None else {}
            return None if shown is None else picture(name, shown, wanted, infos.get(name))

    def events(self, *, follow: bool = True) -> Iterator[Event]:
        """Events from the start of the run; with `follow`, until the run has ended."""
        for line in self.lines(follow=follow):
            yield event_of(line)

    def lines(self, after: int = 0, *, follow: bool = True) -> Iterator[dict[str, Any]]:
        """Events as numbered plain values, from number `after` on."""
        while True:
            found, ended = self.lines_now(after, timeout=1.0 if follow else 0.0)
            yield from found
            after += len(found)
            if not found and (ended or not follow):
                return

    def lines_now(self, after: int, *, timeout: float = 0.0) -> tuple[list[dict[str, Any]], bool]:
        """Events from number `after` on that are there within `timeout` second, and whether the run has ended."""
        try:
            head = self._ask({"call": "events", "after": after, "wait": min(timeout, LONGEST_WAIT)}).head
            return list(head["events"]), bool(head["ended"])
        except RunGone:
            ended = self.entry().over
            found = self.folder.log(after)
            if not found and not ended:
                time.sleep(min(timeout, 0.1))
            return found, ended

    def set(self, changes: Mapping[str, Mapping[str, Any]]) -> Place:
        """Change parameters of one or several steps at once: all or none.

        Raises:
            UnknownName: No such step or parameter.
            ChangeRefused: The step can not change while it runs, or the value is not valid.
            RunGone: The run has ended, or has not started yet.
        """
        if self.entry().over:  # its process may listen for a moment yet
            raise RunGone(f"The run {self.id} has ended.")
        head = self._ask({"call": "set", "changes": plain(changes)}).head
        return int(head["epoch"]), int(head["id"])

    def stop(self) -> None:
        """Ask the run to end; harmless when it has ended."""
        try:
            self._ask({"call": "stop"})
        except RunGone:
            entry = self.entry()
            if not entry.over and entry.pid is not None and alive(entry.pid, entry.born):
                os.kill(entry.pid, signal.SIGTERM)  # it is still loading its job, and listens to this alone

    def kill(self) -> None:
        """End the process at once, whatever it does. Its files say what is missing."""
        entry = self.entry()
        if not entry.over and entry.pid is not None and alive(entry.pid, entry.born):
            os.kill(entry.pid, signal.SIGKILL)
            deadline = time.monotonic() + _GONE  # noted now, with its cause: whoever looks later knows neither
            while not self.entry().over and time.monotonic() < deadline:
                time.sleep(0.02)

    def finished(self, timeout: float | None = None) -> Results:
        """Wait for the end; the results are the last pictures of the views (what went to sinks is in their files).

        Raises:
            JobError: The job has mistakes.
            StepFailed: The run failed or its process crashed; the message says why.
            TimeoutError: It did not end in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (entry := self.entry()).over:
            left = LONGEST_WAIT if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"The run {self.id} did not end within {timeout:g} s.")
            time.sleep(min(left, 0.05))
        if entry.problems:
            raise JobError(entry.problems)
        if entry.state in ("failed", "crashed"):
            raise StepFailed(entry.error or f"The run {self.id} {entry.state}.")
        return Results(
            {view.name: self._result(view) for view in self.views if self.folder.last_view(view.name) is not None}
        )

    def _result(self, info: ViewInfo) -> Result:
        shown = self.view(info.name)
        if shown is None:
            raise UnknownName(f"The run kept no picture of '{info.name}'.", field="view", value=info.name)
        return Result(shown.data, shown.stream.axes, shown.stream.unit, shown.covered, shown.stream.marks)

    def report(self) -> dict[str, Any]:
        """The machine-readable report; of a crashed run, what its last status says."""
        try:
            return dict(self._ask({"call": "report"}).head["report"])
        except RunGone:
            kept = self.folder.read("report.json")
            if isinstance(kept, dict):
                return kept
            status = self._status_from_folder()
            return {
                **status.counts.as_dict(),
                "state": status.state,
                "error": status.error,
                "values": dict(status.values),
            }

    def steps(self) -> dict[str, Any]:
        """Title and schema of each step's parameters, by step name."""
        found = self.folder.read("steps.json")
        return found if isinstance(found, dict) else {}

    def close(self) -> None:
        """Close the connections; the run goes on. Later calls connect anew."""
        with self._lock:
            free, self._free = self._free, []
            self._closed += 1
        for channel in free:
            channel.close()

    # -- questions and answers ------------------------------------------------------------------------------------

    def _wait_for(self, question: dict[str, Any], timeout: float | None, field: str) -> Message | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LONGEST_WAIT if deadline is None else max(0.0, deadline - time.monotonic())
            reply = self._ask({**question, "wait": min(left, LONGEST_WAIT)})
            if reply.head.get(field) is not None:
                return reply
            if reply.head.get("ended") or (deadline is not None and time.monotonic() >= deadline):
                return None

    def _ask(self, question: dict[str, Any]) -> Message:
        closed = self._closed
        channel, fresh = self._take()
        try:
            reply = _exchange(channel, question)
        except (OSError, ProtocolError) as error:
            channel.close()
            if fresh:
                raise RunGone(f"The run {self.id} does not answer: {error}") from error
            self.close()  # a kept connection may be older than the end of the process: the others then are, too
            return self._ask(question)
        with self._lock:
            kept = closed == self._closed
            if kept:
                self._free.append(channel)
        if not kept:
            channel.close()
        if "error" in reply.head:
            raise error_of(reply.head["error"])
        return reply

    def _take(self) -> tuple[Channel, bool]:
        with self._lock:
            if self._free:
                return self._free.pop(), False
        address = self.folder.entry().address
        if address is None or not Path(address).exists():
            raise RunGone(f"The run {self.id} does not listen.")
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.settimeout(LONGEST_WAIT + _ANSWER_TIMEOUT)
        try:
            connected.connect(address)
        except OSError as error:
            connected.close()
            raise RunGone(f"The run {self.id} does not answer: {error}") from error
        return Channel(connected), True


def _exchange(channel: Channel, question: dict[str, Any]) -> Message:
    channel.send(Message(question))
    reply = channel.receive()
    if reply is None:
        raise ConnectionResetError("the run process closed the connection")
    return reply


def _no_status(state: RunState) -> Status:
    return Status(
        state=state,
        counts=Counts(),
        consumers={},
        frames_per_second=0.0,
        bytes_per_second=0.0,
        latency_ms=None,
        queue_bytes=0,
        queue_capacity=0,
        queue_frames=0,
        skipped={},
        views=(),
        steps=(),
        values={},
        changes=(),
    )

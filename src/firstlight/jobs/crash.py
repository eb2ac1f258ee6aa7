"""What happened to a run process that is gone without saying so."""

from __future__ import annotations

import signal
import subprocess
import time

import psutil

from .store import RunEntry, RunFolder

_children: dict[str, subprocess.Popen[bytes]] = {}
_UNBORN = 60.0
"""Seconds that a run may stand in the store without a process: whoever made it died before starting it."""


def adopt(run: str, child: subprocess.Popen[bytes]) -> None:
    """Remember a child, whose exit status is then known."""
    _children[run] = child


def reap(run: str, timeout: float) -> None:
    """Wait for the process of an ended run to be gone, for at most `timeout` second."""
    child = _children.get(run)
    if child is None:
        return
    try:
        child.wait(timeout)
    except subprocess.TimeoutExpired:
        return
    _children.pop(run, None)


def look_after(folder: RunFolder) -> RunEntry:
    """What is known about a run; one whose process is gone without a word is marked as crashed."""
    child = _child_of(folder)
    code = None if child is None else child.poll()  # also lets the system forget a dead child
    entry = folder.entry()
    if entry.over:
        if code is not None:
            _children.pop(folder.id, None)
        return entry
    if _alive(entry, code, known=child is not None):
        return entry
    entry = folder.entry()  # it may have said its last word between our two looks
    if not entry.over and entry.state == "starting" and code == -signal.SIGTERM:
        return folder.update(state="stopped", ended=time.time())  # asked to stop before it could listen
    return entry if entry.over else folder.update(state="crashed", ended=time.time(), error=_story(folder, entry, code))


def _child_of(folder: RunFolder) -> subprocess.Popen[bytes] | None:
    """Our child in which a run goes on: its own, or that of an earlier scan."""
    found = _children.get(folder.id)
    told = None if found is not None else folder.read("process.json")
    if not isinstance(told, dict) or not _children:
        return found
    # a list, because other threads start and end runs meanwhile
    return next((child for child in list(_children.values()) if child.pid == told.get("pid")), None)


def _alive(entry: RunEntry, code: int | None, *, known: bool) -> bool:
    if known:
        return code is None
    if entry.pid is None:
        return time.time() - entry.started < _UNBORN
    return alive(entry.pid, entry.born)


def born(pid: int) -> float | None:
    """When a process was created: its number alone may belong to another one later. None if it has ended already."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def alive(pid: int, born: float | None) -> bool:
    """True if that very process still runs: its number may belong to another one by now."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and (born is None or abs(process.create_time() - born) < 1.0)
    except psutil.Error:
        return False


def _story(folder: RunFolder, entry: RunEntry, code: int | None) -> str:
    parts = [f"The run process {entry.pid or ''}".strip() + f" {_cause(code)}."]
    if entry.result:
        parts.append(f"What it had written is in {entry.result}, which names what is missing.")
    lines = [*(str(line.get("text", "")) for line in folder.log()[-5:]), *folder.printed(8)]
    if lines:
        parts.append("Its last words:\n" + "\n".join(f"  {line}" for line in lines))
    return " ".join(parts)


def _cause(code: int | None) -> str:
    if code is None:
        return "is gone and left no reason (killed, out of memory, or the machine was restarted)"
    if code >= 0:
        return f"ended with exit code {code} before it could say why"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = {
        "SIGKILL": " (by somebody, or by the system for lack of memory)",
        "SIGSEGV": " (a fault in compiled code)",
        "SIGBUS": " (a file in use became shorter, or its disk failed)",
    }.get(name, "")
    return f"was killed by {name}{hint}"

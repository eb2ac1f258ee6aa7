"""Folders as a kill would leave them, wherever it falls: a copy at each moment at which what others see changes."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
_watching: list[Moments] = []


class Moments:
    """Copies of a folder, each as it was just before a file in it was opened for writing, renamed, removed or made.

    What a process has handed to the system stays after a kill, and nothing else does: a copy has just that. Moments at
    which only the bytes of an open file change are taken by `now`.
    """

    def __init__(self, folder: Path, kept: Path) -> None:
        self.folder, self.kept = folder.resolve(), kept
        self.taken: list[Path] = []
        self._one = threading.Lock()
        self._copying = threading.local()

    def now(self) -> None:
        """Take a copy."""
        if getattr(self._copying, "on", False):
            return
        with self._one:
            self._copying.on = True
            try:
                copy = self.kept / f"{len(self.taken):03}"
                with suppress(shutil.Error):  # another thread's file that went meanwhile
                    shutil.copytree(self.folder, copy)
                self.taken.append(copy)
            finally:
                self._copying.on = False

    def _event(self, event: str, arguments: tuple[Any, ...]) -> None:
        path = arguments[0]
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if isinstance(path, str | bytes | os.PathLike) and os.path.abspath(os.fsdecode(path)).startswith(
            str(self.folder)
        ):
            self.now()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in _EVENTS:
        _watching[-1]._event(event, arguments)


@contextmanager
def every_moment(folder: Path, kept: Path) -> Iterator[Moments]:
    """Watch a folder while something writes to it; one copy more is taken at the end."""
    if not _installed:
        sys.addaudithook(_hook)
        _installed.append(True)
    found = Moments(folder, kept)
    _watching.append(found)
    try:
        yield found
    finally:
        _watching.pop()
    found.now()


_installed: list[bool] = []

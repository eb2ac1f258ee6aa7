"""What a detector sends, kept as it came: a bounded queue that never waits, and a thread of its own that writes."""

from __future__ import annotations

import gc
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .chunk import Scan
from .errors import FirstlightError, SinkError

_log = logging.getLogger(__name__)

_AT_ONCE, _BYTES_AT_ONCE = 256, 2**20
"""Messages, and about as many bytes, that are written at once."""
_GATHER = 0.02
"""Seconds between looks at the queue: to be woken for each message costs the receiving thread more than to read it."""
_PATIENCE = 60.0
"""Seconds that the end of a recording waits for the disk."""


class Arrived(NamedTuple):
    """One message, as it came."""

    at: float
    """Unix time in second."""
    owner: object
    """The acquisition that was going on."""
    parts: Sequence[memoryview]
    told: Sequence[Any] = ()
    """What it says, if that is known: nobody need read it twice."""


class Recorder(ABC):
    """Writes messages to one file; called from one thread."""

    path: Path

    @abstractmethod
    def begin(self, owner: object, scan: Scan) -> None:
        """Create the file.

        Args:
            owner: The acquisition that the run takes.
            scan: What its frames look like.

        Raises:
            SinkError: The file exists, or can not be created.
        """

    @abstractmethod
    def write(self, arrived: Sequence[Arrived]) -> None:
        """Write messages in the order in which they came.

        Raises:
            SinkError: The disk is full, or gone.
        """

    @abstractmethod
    def close(self, dropped: int, *, complete: bool) -> str:
        """Say in the file what it lacks, and close it.

        Args:
            dropped: Messages that were not written because the disk was too slow, or failed.
            complete: Everything that came was written.

        Returns:
            What the file holds, in words.
        """


class Tap:
    """Between the receiving thread, which calls it with every message, and the thread that writes.

    Called, it never waits. What does not fit into `memory`, because the disk is slower than the detector, is not recorded;
    it is counted, said, and marked in the file. A disk that fails ends the recording, not the run.

    Args:
        recorder: Writes the file.
        memory: Bytes of messages that may wait for it.
    """

    def __init__(self, recorder: Recorder, memory: float) -> None:
        """Gather from now on; nothing is written before `begin`."""
        self._recorder, self._memory = recorder, memory
        self._queue: deque[Arrived] = deque()
        self._taken: deque[Arrived] = deque()
        """Out of the queue, and not written yet; belongs to the thread that writes."""
        self._bytes = 0
        """Of both."""
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = self._frozen = False
        self.dropped = 0
        """Messages that were not recorded."""
        self.error: FirstlightError | None = None
        """Why the recording ended early."""
        self.newest: Sequence[memoryview] = ()
        """The message that came last."""

    def __call__(self, owner: object, parts: Sequence[memoryview], told: Sequence[Any] = ()) -> None:
        """Take one message, and what it says; never waits."""
        size = sum(map(len, parts))
        with self._changed:
            self.newest = parts
            if self._closing or self.error is not None:
                self.dropped += self.error is not None
                return
            if self._thread is None:  # nobody knows yet what is wanted: the newest is
                while self._queue and self._bytes + size > self._memory:
                    self._bytes -= _length(self._queue.popleft())
                    self.dropped += 1
            elif self._bytes and self._bytes + size > self._memory:
                self._drop()
                return
            self._queue.append(Arrived(time.time(), owner, parts, told))
            self._bytes += size
            if 2 * self._bytes > self._memory:
                self._changed.notify()

    def _drop(self) -> None:
        self.dropped += 1
        if self.dropped == 1:
            _log.warning(
                "The disk is slower than the detector: some of what comes is not recorded in %s. The run goes on.",
                self._recorder.path,
            )

    def begin(self, owner: object, scan: Scan) -> None:
        """Create the file and start writing, with what has come already.

        Raises:
            SinkError: The file exists, or can not be created.
        """
        self._recorder.begin(owner, scan)
        # messages that wait are many objects, which make Python look through all others again and again for garbage: that
        # was half of what the receiving thread did, and stopped every thread for a tenth of a second each time
        if not gc.get_freeze_count():
            self._frozen = True
            gc.freeze()
        with self._changed:
            self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Write what has come, close the file and say what it holds; harmless when called twice, or before `begin`."""
        with self._changed:
            done, self._closing = self._closing, True
            self._changed.notify_all()
        thread = self._thread
        if thread is None or done:
            return
        thread.join(_PATIENCE)
        if self._frozen:
            gc.unfreeze()
        if thread.is_alive():
            _log.error("The disk does not answer: the recording in %s has no end.", self._recorder.path)

    # ---- the thread that writes -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while batch := self._next():
            try:
                self._recorder.write(batch)
            except Exception as error:  # it ends the recording, not the run, and must be said
                self._fail(error, len(batch))
            size = sum(map(_length, batch))
            with self._changed:
                self._bytes -= size
        self._close()

    def _next(self) -> list[Arrived]:
        """Messages to write; empty at the end."""
        while not self._taken:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or 2 * self._bytes > self._memory, _GATHER)
                if self._closing and not self._queue:
                    return []
                self._taken, self._queue = self._queue, deque()
        batch: list[Arrived] = []
        size = 0
        while self._taken and len(batch) < _AT_ONCE and size < _BYTES_AT_ONCE:
            batch.append(self._taken.popleft())
            size += _length(batch[-1])
        return batch

    def _fail(self, error: Exception, lost: int) -> None:
        known: Any = error if isinstance(error, FirstlightError) else SinkError(f"Recording failed: {error!r}.")
        with self._changed:
            self.error = self.error or known
            for left in (self._taken, self._queue):
                lost += len(left)
                self._bytes -= sum(map(_length, left))
                left.clear()
            self.dropped += lost
        _log.error("The recording ended early, the run goes on. %s", known)

    def _close(self) -> None:
        complete = self.error is None and not self.dropped
        try:
            told = self._recorder.close(self.dropped, complete=complete)
        except Exception as error:  # likewise
            self.error = self.error or SinkError(f"The recording can not be closed: {error}")
            _log.error("The recording is not whole. %s", error)
            return
        said = _log.info if complete else _log.warning
        ended = "" if self.error is None else f" It ended early, and the run went on: {self.error}"
        said("Recorded in %s: %s.%s", self._recorder.path, told, ended)


def _length(message: Arrived) -> int:
    return sum(map(len, message.parts))

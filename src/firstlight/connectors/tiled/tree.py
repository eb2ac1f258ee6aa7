"""One container of a Tiled server, written by a thread of its own: nobody who computes ever waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from firstlight.core.arrays import Array

from .nodes import GROWING, Nodes, Room

_log = logging.getLogger(__name__)

CONTAINER = ""
"""Name of the container itself."""
_NOTHING = np.empty(0)
_PAUSE = 2.0
"""Seconds before a server that failed is tried again."""
_TOGETHER = 256
"""Rows that are sent at once at most."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of an array, and where they go."""

    node: str
    first: int
    values: Array
    room: Room = GROWING

    @property
    def stop(self) -> int:
        """The row after the last one."""
        return self.first + len(self.values)


Work = Rows | tuple[str, Array, dict[str, Any]] | None
"""Rows, or a whole array with its node and metadata; None: the metadata of the container, last of all."""


@dataclass(slots=True)
class Waiting:
    """What is not written yet."""

    newest: dict[str, tuple[Array, dict[str, Any]]] = field(default_factory=dict[str, "tuple[Array, dict[str, Any]]"])
    """Whole arrays: of each node the newest alone."""
    rows: dict[str, list[Rows]] = field(default_factory=dict[str, "list[Rows]"])
    """By node."""
    bytes: int = 0

    def __bool__(self) -> bool:
        """True if there is something to do."""
        return bool(self.newest or self.rows)


class Tree:
    """Writes nodes into one container. Safe to call from any thread; no call waits for the server but `release`.

    Whole arrays: the newest of each node wins. Rows wait within `memory`; what does not fit is left out and told. While the server is gone, what waits waits.

    Args:
        connect: Gives the nodes of the container; called on the thread that writes, again after each failure.
        memory: Bytes of rows that may wait.
    """

    def __init__(self, connect: Callable[[], Nodes], memory: float) -> None:
        """Start the thread."""
        self._connect, self._memory = connect, memory
        self._changed = threading.Condition(threading.RLock())
        self._waiting = Waiting()
        self._lacking: dict[str, int] = {}
        """Rows that were left out, by node."""
        self._busy = self._ending = False
        self._doing: Work = None
        self._problem = ""
        self._final: dict[str, Any] = {}
        self._told_of: dict[str, dict[str, Any]] = {}
        """Metadata of nodes that comes from elsewhere than their values."""
        self._noted: dict[str, Any] = {}
        """Metadata of the container that became known in the run."""
        self._written: dict[str, int] = {}
        """Rows that were written, by node."""
        self._progress = time.monotonic()
        """When the server last took something, or began to fail."""
        self._rows_next = True
        self._halves: dict[str, dict[int, Array]] = {}
        self._thread = threading.Thread(target=self._run, name="tiled writer", daemon=True)
        self._thread.start()

    def replace(self, node: str, values: Array, metadata: Mapping[str, Any]) -> None:
        """Have a whole array written, in place of what the node holds."""
        with self._changed:
            self._waiting.newest[node] = (values, dict(metadata))
            self._changed.notify_all()

    def tell(self, node: str, metadata: Mapping[str, Any]) -> None:
        """Metadata for a whole array, written with it from the next time on."""
        with self._changed:
            self._told_of[node] = {**self._told_of.get(node, {}), **metadata}

    def note(self, metadata: Mapping[str, Any]) -> None:
        """Have metadata of the container written, beside what is there."""
        with self._changed:
            self._noted.update(metadata)
            self.replace(CONTAINER, _NOTHING, self._noted)

    def half(self, node: str, at: int, values: Array, metadata: Mapping[str, Any]) -> None:
        """Have one of two arrays written that make up a node, as soon as both are there in one size.

        Args:
            node: Of both, shape (2, …).
            at: Which of them: 0 or 1.
            values: Of this one.
            metadata: Of the node.
        """
        with self._changed:
            both = self._halves.setdefault(node, {})
            both[at] = values
            if len(both) == 2 and both[0].shape == both[1].shape:
                self.replace(node, np.stack([both[0], both[1]]), metadata)

    def place(self, rows: Rows) -> None:
        """Have rows written at their place, or leave them out where too many wait."""
        with self._changed:
            if self._waiting.bytes + rows.values.nbytes > self._memory:
                self._lacking[rows.node] = self._lacking.get(rows.node, 0) + len(rows.values)
                return
            self._waiting.rows.setdefault(rows.node, []).append(rows)
            self._waiting.bytes += rows.values.nbytes
            self._changed.notify_all()

    def release(
        self, metadata: Mapping[str, Any], patience: float, counted: Mapping[str, str] | None = None
    ) -> list[str]:
        """Write what waits and then the metadata of the container, and end; what it lacks, in words.

        Args:
            metadata: Of the whole container.
            patience: Seconds to wait while the server fails; one that is slow has ten times as long.
            counted: Further metadata: by name the node whose written rows are counted.
        """
        end = time.monotonic() + 10 * patience
        with self._changed:
            self._progress = time.monotonic()
            while (self._waiting or self._busy) and time.monotonic() < min(end, self._given_up_at(end, patience)):
                self._changed.wait(0.1)
            if self._busy:
                self._put_back(self._doing)
            self._count_what_waits()
            lacking = [f"{count} rows of {node}" for node, count in self._lacking.items()]
            lacking += [node for node in self._waiting.newest if node != CONTAINER]
            self._waiting = Waiting()
            counts = {name: self._written.get(node, 0) for name, node in (counted or {}).items()}
            self._final = {
                **self._noted,
                **metadata,
                **counts,
                "complete": bool(metadata.get("complete")) and not lacking,
                "lacking": lacking,
            }
            self._ending = True
            self._changed.notify_all()
        self._thread.join(max(0.5, self._given_up_at(end, patience) - time.monotonic()))
        if self._thread.is_alive() or self._problem:
            lacking.append("the final metadata")
        return [*lacking, *([self._problem] if self._problem else [])]

    def _given_up_at(self, end: float, patience: float) -> float:
        """When nobody waits any longer: a server that fails is given some time since it last took something."""
        return self._progress + patience if self._problem else end

    def _count_what_waits(self) -> None:
        for node, waiting in self._waiting.rows.items():
            self._lacking[node] = self._lacking.get(node, 0) + sum(len(rows.values) for rows in waiting)

    # ---- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        nodes: Nodes | None = None
        ending = False
        while not ending:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ending)
                self._doing = work = self._take()
                self._busy, ending = True, self._ending
            nodes = self._try(nodes, work)
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                if nodes is None and not ending:
                    self._changed.wait_for(lambda: self._ending, _PAUSE)
        if nodes is not None:
            nodes.close()

    def _try(self, nodes: Nodes | None, work: Work) -> Nodes | None:
        """Do one piece of work; None if the server has to be connected anew."""
        try:
            nodes = nodes or self._connect()
            if work is None:
                nodes.describe(self._final)
            elif isinstance(work, Rows):
                nodes.place(work.node, work.first, work.values, work.room)
                self._note_written(work)
            elif work[0] == CONTAINER:
                nodes.describe(work[2])
            else:
                nodes.replace(work[0], work[1], {**work[2], **self._told_of.get(work[0], {})})
        except Exception as error:  # whatever the client raises must not end the run
            self._told(str(error) or type(error).__name__)
            self._put_back(work)
            if nodes is not None:
                nodes.close()
            return None
        self._progress = time.monotonic()
        self._told("")
        return nodes

    def _note_written(self, rows: Rows) -> None:
        with self._changed:
            self._written[rows.node] = self._written.get(rows.node, 0) + len(rows.values)

    def _take(self) -> Work:
        """The next piece of work: rows (neighbours at once) and whole arrays by turns; None when all is done.

        Rows that come faster than the server takes them must not keep images from it.
        """
        rows_now = self._rows_next or not self._waiting.newest
        self._rows_next = not self._rows_next
        if not self._waiting.rows or not rows_now:
            if not self._waiting.newest:
                return None
            node = next(iter(self._waiting.newest))
            return (node, *self._waiting.newest.pop(node))
        node = next(iter(self._waiting.rows))
        rows = sorted(self._waiting.rows.pop(node), key=lambda each: each.first)
        count = 1
        while (
            count < len(rows)
            and rows[count].first == rows[count - 1].stop
            and rows[count].stop - rows[0].first <= _TOGETHER
        ):
            count += 1
        if rows[count:]:
            self._waiting.rows[node] = rows[count:]
        parts = [each.values for each in rows[:count]]
        taken = rows[0] if count == 1 else Rows(node, rows[0].first, np.concatenate(parts), rows[0].room)
        self._waiting.bytes -= taken.values.nbytes
        return taken

    def _put_back(self, work: Work) -> None:
        with self._changed:
            if isinstance(work, Rows):
                self._waiting.rows.setdefault(work.node, []).append(work)
                self._waiting.bytes += work.values.nbytes
            elif work is not None:
                self._waiting.newest.setdefault(work[0], (work[1], work[2]))

    def _told(self, problem: str) -> None:
        """Say it when the server goes, and when it comes back."""
        if bool(problem) != bool(self._problem):
            if problem:
                # it may have hung before it failed: from now on it has its time to come back
                self._progress = time.monotonic()
                _log.warning("Tiled can not be written: %s. The run goes on.", problem[:500])
            else:
                _log.info("Tiled is written again.")
        self._problem = problem[:500]

"""Buffers: the only place that holds frames between two threads, and the only place where we may lose them.

What happens when one is full is a policy that the user chose: ``wait`` (the writer blocks), ``drop_oldest`` (a Gap takes
the place of the oldest chunk), ``fail`` (the run fails) or ``spill`` (to a bounded ring outside memory; when that is full
too, the oldest is dropped). Writers and readers are threads; an event loop never touches a buffer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from .chunk import Chunk, End, Gap, Item
from .errors import FirstlightError, Stopped
from .units import Bytes

Policy = Literal["wait", "drop_oldest", "fail", "spill"]

MIB = 2.0**20


class BufferSettings(BaseModel):
    """How much a buffer holds, and what happens when it is full."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    policy: Policy = "wait"
    """What happens when it is full: wait, drop_oldest, fail or spill."""
    memory: Bytes = Field(default=256 * MIB, gt=0)
    """Bytes of frames held in memory."""
    disk: Bytes = Field(default=4096 * MIB, ge=0)
    """Bytes of the ring on disk, under the policy spill."""


class BufferFull(FirstlightError):
    """A buffer with the policy ``fail`` was full."""


class Overflow(Protocol):
    """A bounded ring outside memory, for the policy ``spill``."""

    def put(self, chunk: Chunk) -> Any | None:
        """Store one chunk; None if there is no room."""
        ...

    def take(self, ticket: Any) -> Chunk:
        """Read a chunk back and free its room; tickets are taken in the order they were given."""
        ...

    def discard(self, ticket: Any) -> None:
        """Free the room of a chunk without reading it."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


@dataclass(slots=True)
class _Spilled:
    """What stands in the queue for a chunk that lies in the overflow."""

    ticket: Any
    frames: int
    parts: tuple[Gap, ...]


def gaps_of(chunk: Chunk, reason: str) -> tuple[Gap, ...]:
    """The frames of a chunk that is given up, as dropped gaps (one per run of consecutive ids)."""
    ids = sorted(int(i) for i in chunk.ids)
    runs: list[list[int]] = []
    for i in ids:
        if runs and i == runs[-1][1] + 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    return tuple(Gap(chunk.epoch, first, last, reason, "dropped", chunk.stream) for first, last in runs)


class Buffer:
    """A bounded queue of chunks, gaps and ends; safe for several writers and readers."""

    def __init__(
        self,
        settings: BufferSettings | None = None,
        overflow: Overflow | None = None,
        name: str = "buffer",
        on_drop: Callable[[Gap], None] | None = None,
    ) -> None:
        """Start empty.

        Args:
            settings: Size and policy.
            overflow: Where to spill; needed by the policy ``spill``.
            name: For messages.
            on_drop: Told of each gap made here, on the writer's thread; must not touch this buffer.
        """
        self.settings = settings or BufferSettings()
        self.name = name
        self._overflow = overflow
        self._on_drop = on_drop
        self._queue: deque[Item | _Spilled] = deque()
        self._bytes = 0
        self._frames = 0
        self._changed = threading.Condition()
        self._stopped = False
        self._closed = False
        self._woken = False
        self.dropped = 0
        self.most_bytes = 0

    @property
    def bytes(self) -> int:
        """Bytes of frames in memory now."""
        return self._bytes

    @property
    def frames(self) -> int:
        """Frames held now, spilled ones included."""
        return self._frames

    def put(self, item: Item) -> None:
        """Add an item; a full buffer does what its policy says.

        Raises:
            BufferFull: The policy is ``fail``.
            Stopped: The run was stopped while this waited.
        """
        with self._changed:
            if not isinstance(item, Chunk):
                self._queue.append(item)
            elif len(item):
                self._admit(item)
            self._changed.notify_all()

    def _admit(self, chunk: Chunk) -> None:
        policy = self.settings.policy
        if policy == "wait":
            self._changed.wait_for(lambda: self._stopped or self._fits(chunk))
            if self._stopped:
                raise Stopped(f"The run was stopped while the buffer '{self.name}' was full.")
        elif policy == "fail" and not self._fits(chunk):
            raise BufferFull(
                f"The buffer '{self.name}' is full.",
                field="buffers",
                value=f"{self._bytes} of {self.settings.memory:.0f} byte",
                next_move="Give it more memory, or the policy 'spill' or 'drop_oldest'.",
            )
        elif policy == "spill" and not self._fits(chunk):
            self._spill(chunk)
            return
        while policy == "drop_oldest" and not self._fits(chunk):
            self._drop_oldest()
        self._append(chunk)

    def _fits(self, chunk: Chunk) -> bool:
        return self._bytes == 0 or self._bytes + chunk.nbytes <= self.settings.memory

    def _append(self, chunk: Chunk) -> None:
        self._queue.append(chunk)
        self._bytes += chunk.nbytes
        self._frames += len(chunk)
        self.most_bytes = max(self.most_bytes, self._bytes)

    def _spill(self, chunk: Chunk) -> None:
        """Put a chunk that memory has no room for into the overflow; if that is full too, make room by dropping."""
        if self._overflow is None:
            raise BufferFull(
                f"The buffer '{self.name}' spills, but has nowhere to.", field="buffers", expected="a spill folder"
            )
        ticket = self._overflow.put(chunk)
        while ticket is None:
            self._drop_oldest()
            if self._fits(chunk):
                self._append(chunk)
                return
            ticket = self._overflow.put(chunk)
        self._queue.append(_Spilled(ticket, len(chunk), gaps_of(chunk, f"the buffer '{self.name}' was full")))
        self._frames += len(chunk)

    def _drop_oldest(self) -> None:
        for place, item in enumerate(self._queue):
            if isinstance(item, Chunk):
                gaps = gaps_of(item, f"the buffer '{self.name}' was full")
                self._bytes -= item.nbytes
                self._frames -= len(item)
            elif isinstance(item, _Spilled):
                gaps = item.parts
                if self._overflow is not None:
                    self._overflow.discard(item.ticket)
                self._frames -= item.frames
            else:
                continue
            self.dropped += sum(map(len, gaps))
            self._replace(place, gaps)
            if self._on_drop is not None:
                for gap in gaps:
                    self._on_drop(gap)
            return

    def _replace(self, place: int, gaps: tuple[Gap, ...]) -> None:
        """Put gaps in the place of an item, joined to a neighbouring gap where they continue it (the queue stays bounded)."""
        del self._queue[place]
        before = self._queue[place - 1] if place else None
        first = gaps[0]
        if (
            isinstance(before, Gap)
            and before.kind == "dropped"
            and (before.epoch, before.stream, before.last + 1) == (first.epoch, first.stream, first.first)
        ):
            self._queue[place - 1] = Gap(before.epoch, before.first, first.last, first.reason, "dropped", first.stream)
            gaps = gaps[1:]
        for gap in reversed(gaps):
            self._queue.insert(place, gap)

    def get(self, timeout: float | None = None) -> Item | None:
        """Take the next item; None at the time-out, after `wake`, or when the buffer is closed and empty.

        Raises:
            Stopped: The run was stopped.
        """
        with self._changed:
            self._changed.wait_for(self._worth_a_look, timeout)
            self._woken = False
            if self._stopped:
                raise Stopped("The run was stopped.")
            if not self._queue:
                return None
            item = self._queue.popleft()
            if isinstance(item, _Spilled):
                chunk = self._overflow.take(item.ticket) if self._overflow else None
                self._frames -= item.frames
                self._changed.notify_all()
                return chunk
            if isinstance(item, Chunk):
                self._bytes -= item.nbytes
                self._frames -= len(item)
            self._changed.notify_all()
            return item

    def _worth_a_look(self) -> bool:
        return bool(self._queue) or self._stopped or self._closed or self._woken

    def wake(self) -> None:
        """Let whoever waits for an item, or will next, return at once without one."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    @property
    def finished(self) -> bool:
        """True when it is closed and empty."""
        with self._changed:
            return self._closed and not self._queue

    def close(self) -> None:
        """Say that nothing more will be put; what is held can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Give up: wake everybody who waits, with `Stopped`."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def __len__(self) -> int:
        """Number of items held."""
        return len(self._queue)


__all__ = ["Buffer", "BufferFull", "BufferSettings", "End", "Overflow", "Policy", "gaps_of"]

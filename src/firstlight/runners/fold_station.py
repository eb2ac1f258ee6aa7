"""The owner of a fold: adds chunks, answers parameter changes at once, publishes results when they are due."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from firstlight.core.chunk import Chunk, End, Gap
from firstlight.core.errors import ChangeRefused, FirstlightError
from firstlight.core.fold import Fold
from firstlight.core.held import START, Held, Version
from firstlight.core.plan import Planned, Port
from firstlight.core.run import Event
from firstlight.core.solver import Solver
from firstlight.core.step import Step
from firstlight.core.view import Shown

from .context import Context
from .describe import view_name
from .folding import SetFold
from .held_inputs import with_parameters
from .stations import Consumer, Station

IDLE = 0.02
"""Seconds between two looks at the clock while no chunk comes."""


@dataclass(frozen=True, slots=True)
class Digested(Chunk):
    """A chunk whose stateless part of the work is done, with what it was made of."""

    raw: Chunk | None = None
    by: Step | None = None


@dataclass(slots=True)
class _Request:
    """A change of parameters, and the answer to it."""

    step: Step
    answered: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


class FoldStation(Station):
    """Runs one fold, or one solver."""

    def __init__(
        self, planned: Planned, context: Context, *, every: dict[str, float], feeds: dict[str, list[Consumer]]
    ) -> None:
        """Not started yet.

        Args:
            planned: The fold.
            context: What the run shares.
            every: By output that is viewed: the shortest time between two versions, in second.
            feeds: By output: what takes the final result.
        """
        super().__init__(f"fold-{planned.name}", context)
        self._planned = planned
        fold: Any = planned.step
        self._fold: Fold[Any] = fold
        self._digests = type(fold).digest is not Fold.digest
        self._every = every
        self._feeds = feeds
        self._requests: deque[_Request] = deque()
        self._state: Any = None
        self._dirty = False
        self._urgent = False
        self._refining = False
        self._next_view = 0.0
        self._emitted_frames = 0
        self._emitted_at = time.monotonic()
        self._frames = 0
        self._newest = (0, 0)
        self._received = 0.0
        self._held: dict[str, Any] = {}
        self._closing = False

    # ---- called by other threads -------------------------------------------------------------------------------------

    @property
    def fold(self) -> Fold[Any]:
        """The fold with the parameters that hold now."""
        return self._fold

    def digest(self, chunk: Chunk) -> Chunk:
        """The stateless part of the work, done by the worker that made the chunk."""
        if not self._digests:
            return chunk
        fold = self._fold
        started = time.perf_counter()
        done = fold.digest(chunk)
        self.context.worked(f"{self._planned.name} (digest)", time.perf_counter() - started, chunk)
        return Digested(
            done.data,
            done.axes,
            done.ids,
            done.epoch,
            done.where,
            done.coords,
            done.stream,
            done.set,
            done.received,
            chunk,
            fold,
        )

    def change(self, step: Step, timeout: float = 30.0) -> None:
        """Give the fold other parameters; returns when its state is converted.

        Raises:
            ChangeRefused: The fold can not take them.
        """
        request = _Request(step)
        self._requests.append(request)
        if not self.is_alive():
            raise ChangeRefused(f"'{self._planned.name}' has ended.", field="step", value=self._planned.name)
        if not request.answered.wait(timeout):
            raise ChangeRefused(
                f"'{self._planned.name}' did not take the change within {timeout:g} s.",
                field="step",
                value=self._planned.name,
            )
        if request.error is not None:
            raise request.error

    # ---- the owner's thread ------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Take chunks until the stream ends, then publish the final result."""
        if self._planned.by_set:
            self._fold_sets()
            return
        held = self.context.held(self._planned) if self._planned.held else {}
        self._state = self._fold.empty(self._planned.scan)
        while True:
            busy = self._refining or self._dirty or isinstance(self._fold, Solver)
            item = self.buffer.get(timeout=0.0 if self._refining else IDLE if busy else 4 * IDLE)
            self._answer()
            if isinstance(item, End) and item.set is None:
                break
            if isinstance(item, Chunk):
                self._add(item, list((held or {}).values()))
            elif isinstance(item, Gap):
                self._fold.miss(self._state, item)
                self.context.ledger(self._planned.name).miss(item)
            elif item is None:
                self._use_idle_time()
            self._publish_if_due()
        self._finish()

    def _add(self, chunk: Chunk, held: list[Held]) -> None:
        started = time.perf_counter()
        frames = self._redigested(chunk)
        try:
            self._fold.add(self._state, frames, *held)
        except Exception as error:
            raise self.context.guarded(self._planned.name, error, self._fold.model_dump()) from error
        self.context.worked(self._planned.name, time.perf_counter() - started, chunk)
        self.context.ledger(self._planned.name).done(len(chunk))
        self._frames += len(chunk)
        self._newest = max(self._newest, (chunk.epoch, int(chunk.ids.max())))
        self._received = max(self._received, chunk.received)
        self._dirty = True

    def _redigested(self, chunk: Chunk) -> Chunk:
        """A chunk that was digested with parameters that no longer hold is digested again."""
        if isinstance(chunk, Digested) and chunk.raw is not None and chunk.by is not self._fold:
            return self._fold.digest(chunk.raw)
        return chunk

    def _answer(self) -> None:
        """Take changes by the user, then versions of held parameters."""
        while self._requests:
            request = self._requests.popleft()
            try:
                self._adapt(request.step)
            except FirstlightError as error:
                request.error = error
            finally:
                request.answered.set()
        if not self._planned.held_parameters:
            return
        known = self.context.known_parameters(self._planned)
        if known and known != self._held:
            self._held = known
            self._adapt(with_parameters(self._fold, known))

    def _adapt(self, step: Any) -> None:
        if step == self._fold:
            return
        self._state = step.adapt(self._state, self._fold)
        self._fold = step
        self._dirty = self._urgent = self._refining = True

    def _use_idle_time(self) -> None:
        if self._refining:
            self._refining = self._fold.refine(self._state)
            self._dirty = True
        elif isinstance(self._fold, Solver) and self._frames and not self.context.plan.job.source.pausable:
            self._fold.advance(self._state, 1)
            self._dirty = True

    def _publish_if_due(self) -> None:
        now = time.monotonic()
        emit = self._planned.node.emit
        due = (emit.frames is not None and self._frames - self._emitted_frames >= emit.frames) or (
            emit.seconds is not None and now - self._emitted_at >= emit.seconds and self._frames > self._emitted_frames
        )
        viewed = bool(self._every) and self._dirty and (self._urgent or now >= self._next_view)
        if not (due or viewed) or not self._fold.ready(self._state):
            return
        outputs = self._fold.result(self._state)
        if viewed:
            self._show(outputs)
            self._next_view = now + min(self._every.values())
        if due:
            self._emitted_frames, self._emitted_at = self._frames, now
            self._hand_on(outputs, last=False)

    def _show(self, outputs: dict[str, Any]) -> None:
        self._dirty = self._urgent = False
        for name, array in outputs.items():
            if name in self._every:
                self.context.board.post(
                    view_name((self._planned.name, name), self.context.plan), self._shown(name, array)
                )

    def _shown(self, name: str, array: Any) -> Shown:
        scan = self._planned.outputs[name]
        return Shown(
            np.asarray(array),
            scan.main,
            0,
            self._newest[0],
            self._newest[1],
            self._received,
            coverage=self._fold.coverage(self._state),
            coarse=self._refining,
            calibration=scan.calibration,
        )

    def _hand_on(self, outputs: dict[str, Any], *, last: bool) -> None:
        """Give a result to those who hold it; the first, and the last, hold for every frame."""
        for name, value in outputs.items():
            array = np.asarray(value)
            port: Port = (self._planned.name, name)
            store = self.context.stores[port]
            first = last or store.known() is None
            since = START if first else (self._newest[0], self._newest[1] + 1)
            store.add(Version(array, since, float(self._newest[1])))
            self.context.keep(self._planned, name, array)
            if array.ndim == 0:
                self.context.tell(
                    Event("value", f"{self._planned.name}.{name} = {array.item():.6g}", data={"value": array.item()})
                )

    def _finish(self) -> None:
        if isinstance(self._fold, Solver):
            self._fold.advance(self._state, self._fold.rounds)
        self._wait_for_held_parameters()
        while self._refine_to_the_end():
            pass
        self._refining = False
        outputs = self._fold.result(self._state) if self._fold.ready(self._state) else {}
        if outputs:
            self._show(outputs)
            self._hand_on(outputs, last=True)
        for name in self._planned.outputs:
            self.context.stores[self._planned.name, name].complete()
            stream = self._planned.outputs[name].main
            for consumer in self._feeds.get(name, []):
                if name in outputs:
                    data = np.asarray(outputs[name])[np.newaxis]
                    consumer.put(Chunk(data, stream.axes, np.zeros(1, np.int64), received=self._received))
                consumer.put(End())

    def _refine_to_the_end(self) -> bool:
        self._answer()
        return self._fold.refine(self._state)

    def _wait_for_held_parameters(self) -> None:
        """The final result uses the final versions of what other folds of the same stream find."""
        for port in self._planned.held_parameters.values():
            self.context.stores[port].wait(until_complete=True)

    def _fold_sets(self) -> None:
        sets = SetFold(self._planned, self._fold)
        while True:
            item = self.buffer.get()
            if isinstance(item, Chunk):
                sets.add(item)
            elif isinstance(item, End) or item is None:
                self._hand_on_sets(sets.close(None if item is None else item.set))
                if item is None or item.set is None:
                    break
        for name in self._planned.outputs:
            self.context.stores[self._planned.name, name].complete()
            for consumer in self._feeds.get(name, []):
                consumer.put(End())

    def _hand_on_sets(self, found: dict[str, list[Version]]) -> None:
        for name, versions in found.items():
            for version in versions:
                self.context.stores[self._planned.name, name].add(version)
                stream = self._planned.outputs[name].main
                place = np.array([version.since[1]], np.int64)
                for consumer in self._feeds.get(name, []):
                    consumer.put(Chunk(version.value[np.newaxis], stream.axes, place, version.since[0]))

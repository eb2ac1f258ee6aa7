"""The owner of a fold: adds chunks, answers parameter changes at once, publishes results when they are due."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import Chunk, End, Gap
from firstlight.core.errors import ChangeRefused, FirstlightError
from firstlight.core.fold import Fold
from firstlight.core.held import START, Version
from firstlight.core.one_pass import Sums
from firstlight.core.plan import Planned, Port
from firstlight.core.run import Event
from firstlight.core.solver import Solver
from firstlight.core.step import Step

from .change_request import ChangeRequest, refuse_all
from .context import Context
from .describe import view_name
from .digested import Digested
from .fold_picture import Picture
from .folding import final_version
from .held_inputs import valid_parameters
from .ranges import ranged
from .set_folding import fold_sets
from .stations import Consumer, Station

IDLE = 0.02
"""Seconds between two looks at the clock while no chunk comes."""


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
        self._ledger = context.ledger(planned.name) if planned.cut is None and not planned.by_set else None
        """None: frames are counted where they are gathered."""
        fold: Any = planned.step
        self._fold: Fold[Any] = fold
        self._digests = type(fold).digest is not Fold.digest
        self._every = every
        self._feeds = feeds
        self._requests: deque[ChangeRequest] = deque()
        self._state: Any = None
        self._dirty = False
        self._urgent = False
        self._refining = False
        self._ending = False
        """The stream has ended: what remains is the exact, final result."""
        self._next_view = 0.0
        self._emitted_frames = 0
        self._emitted_at = time.monotonic()
        self._frames = self._solved = 0
        self._newest = (0, 0)
        self._received = 0.0
        self._held: dict[str, Any] = {}
        self._asked = threading.Event()
        """Somebody waits for a change."""
        self._ended = threading.Event()
        checkpoint = None if planned.by_set else context.checkpoint
        self._saved = None if checkpoint is None else checkpoint.saved(planned.name)

    # ---- called by other threads -------------------------------------------------------------------------------------

    @property
    def fold(self) -> Fold[Any]:
        """The fold with the parameters that hold now."""
        return self._fold

    @property
    def step_name(self) -> str:
        """The name of the step."""
        return self._planned.name

    @property
    def sums(self) -> bool:
        """True if its digest is a sum over pixels or frames, for which it can share a pass with other steps."""
        return type(self._fold).wanted is not Fold.wanted and not self._planned.by_set

    def digest(self, chunk: Chunk, sums: Sums | None = None) -> Chunk:
        """The stateless part of the work, done by the worker that made the chunk; of `sums`, where they are known."""
        if not self._digests or self._planned.by_set:
            return chunk.dense()
        fold = self._fold
        started = time.perf_counter()
        try:
            with ranged(f"{self._planned.name} (digest)"):
                done = fold.digest(chunk.dense()) if sums is None else fold.digest_sums(chunk, sums)
        except Exception as error:
            raise self._named(error) from error
        self.context.worked(f"{self._planned.name} (digest)", time.perf_counter() - started, chunk)
        return Digested.of(done, chunk, fold)

    def follow(self, every: float) -> None:
        """Show all outputs from now on, at most so often (in second), or as often as before if that is more."""
        shown = dict.fromkeys(self._planned.outputs, every)
        self._every = shown | {name: min(every, before) for name, before in self._every.items()}

    def change(self, step: Step, timeout: float = 30.0) -> None:
        """Give the fold other parameters; returns when its state is converted.

        Raises:
            ChangeRefused: The fold can not take them.
        """
        name = self._planned.name
        request = ChangeRequest(step)
        self._requests.append(request)
        self._asked.set()
        if not self._planned.by_set:
            self.buffer.wake()
        if self._ended.is_set():
            raise ChangeRefused(f"'{name}' has ended.", field="step", value=name)
        if not request.answered.wait(timeout) and request.withdraw():
            raise ChangeRefused(f"'{name}' did not take the change within {timeout:g} s.", field="step", value=name)
        request.answered.wait()
        if request.error is not None:
            raise request.error

    # ---- the owner's thread ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until the end of the stream; whoever still waits for a change is told that it is too late."""
        try:
            super().run()
        finally:
            self._ended.set()
            refuse_all(self._requests, self._planned.name)

    def _named(self, error: Exception) -> FirstlightError:
        return self.context.guarded(self._planned.name, error, self._fold.model_dump())

    def work(self) -> None:
        """Take chunks until the stream ends, then publish the final result."""
        if self._planned.by_set:
            fold_sets(self._planned, self._fold, self.context, self.buffer, self._feeds)
            return
        try:
            self._work()
        except Exception as error:
            raise self._named(error) from error

    def _work(self) -> None:
        self._state = self._fold.empty(self._planned.scan)
        if self._fold.rereads:
            source: Any = self.context.plan.job.played
            self._fold.may_read(self._state, source.read if self.context.plan.may_read(self._planned) else None)
        while True:
            waits = self._dirty or isinstance(self._fold, Solver)
            item = self.buffer.get(timeout=0.0 if self._refining or self._solves else IDLE if waits else 4 * IDLE)
            self._answer()
            if isinstance(item, End) and item.set is None:
                break
            if isinstance(item, Chunk):
                self._add(item)
            elif isinstance(item, Gap):
                self._miss(item)
            elif item is None:
                self._use_idle_time()
            self._publish_if_due()
        self._linger()
        self._finish()

    def _add(self, chunk: Chunk) -> None:
        held = self.context.held(self._planned) if self._planned.held else {}
        started = time.perf_counter()
        frames = self._redigested(chunk)
        try:
            with self.context.under_way.on(self._planned.name, len(chunk)), ranged(self._planned.name):
                self._fold.add(
                    self._state, frames, *(known.bind(chunk.epoch, chunk.ids) for known in (held or {}).values())
                )
        except Exception as error:
            raise self.context.guarded(self._planned.name, error, self._fold.model_dump(), chunk) from error
        self.context.worked(self._planned.name, time.perf_counter() - started, chunk)
        self._count(len(chunk))
        self._frames += len(chunk)
        self._newest = max(self._newest, (chunk.epoch, int(chunk.ids.max())))
        self._received = max(self._received, chunk.received)
        self._dirty = True

    def _redigested(self, chunk: Chunk) -> Chunk:
        """A chunk that was digested with parameters that no longer hold is digested again."""
        if isinstance(chunk, Digested) and chunk.raw is not None and not self._fold.digests_like(chunk.by):
            return self._fold.digest(chunk.raw)
        return chunk

    def _answer(self) -> None:
        """Take changes by the user, then versions of held parameters."""
        self._asked.clear()
        while self._requests:
            request = self._requests.popleft()
            if not request.take():
                continue
            self._held = {}
            try:
                self._adapt(request.step)
            except FirstlightError as error:
                request.error = error
            except Exception as error:
                request.error = self._named(error)
                raise
            finally:
                request.answered.set()
        if not self._planned.held_parameters:
            return
        known = self.context.known_parameters(self._planned)
        if known and known != self._held:
            step: Any = valid_parameters(self._planned.name, self._fold, known)
            if self._ending or not self._fold.negligible(step):
                self._held = known
                self._adapt(step)

    def _adapt(self, step: Any) -> None:
        if step == self._fold:
            return
        if self._frames or type(step).adapt is not Fold.adapt:
            self._state = step.adapt(self._state, self._fold)
        else:
            self._state = step.empty(self._planned.scan)
        self._fold = step
        self._dirty = self._urgent = self._refining = True

    def _use_idle_time(self) -> None:
        if self._refining:
            self._refining = self._fold.refine(self._state)
            self._dirty = True
        elif isinstance(self._fold, Solver) and self._solves:
            self._advance(self._fold)
            self._solved, self._dirty = self._frames, True

    @property
    def _solves(self) -> bool:
        """True while another round may improve a live result: it is done as soon as no frame waits, however many a second come."""
        fold, live = self._fold, not self.context.plan.job.source.pausable
        return isinstance(fold, Solver) and live and (self._frames > self._solved or fold.ready(self._state))

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
            self.context.keep_numbers(self._planned, outputs)
            self._next_view = now + min(self._every.values())
        if due:
            self._emitted_frames, self._emitted_at = self._frames, now
            self._hand_on(outputs, last=False)

    def _show(self, outputs: dict[str, Any]) -> None:
        self._dirty = self._urgent = False
        for name, array in outputs.items():
            if name in self._every:
                picture = Picture(
                    self._newest, self._received, coverage=self._fold.coverage(self._state), coarse=self._refining
                )
                view = view_name((self._planned.name, name), self.context.plan)
                picture.post(self.context.board, view, array, self._planned.outputs[name])

    def _hand_on(self, outputs: dict[str, Any], *, last: bool) -> None:
        """Give a result to those who hold it; the first, and the last, hold for every frame."""
        for name, value in outputs.items():
            array = np.asarray(value)
            port: Port = (self._planned.name, name)
            store = self.context.stores[port]
            since = START if store.known() is None else (self._newest[0], self._newest[1] + 1)
            if last:
                store.settle(final_version(array))
            else:
                store.add(Version(array, since, float(self._newest[1])))
            self.context.keep(self._planned, name, array)
            if array.ndim == 0:
                self.context.tell(
                    Event("value", f"{self._planned.name}.{name} = {array.item():.6g}", data={"value": array.item()})
                )

    def _finish(self) -> None:
        self._ending = True
        self._wait_for_held_parameters()
        self._answer()
        if isinstance(self._fold, Solver):
            self._solve_to_the_end()
        while self._refine_to_the_end():
            pass
        self._refining = False
        outputs = self._final()
        if outputs:
            self._show(outputs)
            self._hand_on(outputs, last=True)
            self.context.findings |= self._fold.findings(self._state)
            self.context.note_chosen(self._planned.name, self._fold.chosen(self._state))
        remarks = self._fold.remarks(self._state) if self._saved is None else ()
        self.context.remark(self._planned.name, remarks)
        for name in self._planned.outputs:
            self.context.stores[self._planned.name, name].complete("" if outputs else "; ".join(remarks))
            stream = self._planned.outputs[name].main
            for consumer in self._feeds.get(name, []):
                if name in outputs:
                    data = np.asarray(outputs[name])[np.newaxis]
                    consumer.put(Chunk(data, stream.axes, np.zeros(1, np.int64), received=self._received))
                consumer.put(End())

    def _linger(self) -> None:
        """Stay open for whoever looks, as long as the job says, or until the run is told to stop."""
        context = self.context
        until = time.monotonic() + context.plan.job.runner.linger
        watched = bool(self._every) and self._frames > 0 and type(self._fold).adapt is not Fold.adapt
        if not watched or isinstance(self._fold, Solver) or until <= time.monotonic():
            return
        context.lingering.add(self._planned.name)
        while time.monotonic() < until and not (context.stopping or context.failed.is_set()):
            self._asked.wait(0.0 if self._refining else IDLE)
            if context.seen_enough.is_set():
                return
            self._answer()
            self._use_idle_time()
            self._publish_if_due()

    def _solve_to_the_end(self) -> None:
        """The rounds after the last frame, shown on the way; a user who stops the run gets what there is."""
        done = 0
        if isinstance(self._fold, Solver):
            self._fold.complete(self._state)
        while isinstance(self._fold, Solver) and done < self._fold.rounds and not (done and self.context.stopping):
            self._advance(self._fold)
            done += 1
            self._dirty = True
            self._answer()
            self._publish_if_due()
        if isinstance(self._fold, Solver):
            self._fold.conclude(self._state)

    def _advance(self, solver: Solver[Any]) -> None:
        with self.context.under_way.on(self._planned.name), ranged(f"{self._planned.name} (round)"):
            solver.advance(self._state, 1)

    def _final(self) -> dict[str, Array]:
        """The result; of a run that goes on the one that it had found before, to the last bit."""
        if self._saved is not None:
            return self._saved
        with self.context.under_way.on(self._planned.name):
            outputs = self._fold.result(self._state) if self._fold.ready(self._state) else {}
        if outputs and self.context.checkpoint is not None:
            self.context.checkpoint.keep(self._planned.name, outputs)
        return outputs

    def has(self, epoch: int, ids: Ids) -> bool:
        """True if an interrupted run has found the result."""
        return self._saved is not None

    def skip(self, frames: int) -> None:
        """Count frames that the result is made of."""
        self._count(frames)

    def _count(self, frames: int) -> None:
        if self._ledger is not None:
            self._ledger.done(frames)

    def _miss(self, gap: Gap) -> None:
        self._fold.miss(self._state, gap)
        if self._ledger is not None:
            self._ledger.miss(gap)

    def _refine_to_the_end(self) -> bool:
        self._answer()
        return self._fold.refine(self._state)

    def _wait_for_held_parameters(self) -> None:
        """The final result uses the final versions of what other folds of the same stream find."""
        for port in self._planned.held_parameters.values():
            self.context.stores[port].wait(until_complete=True)

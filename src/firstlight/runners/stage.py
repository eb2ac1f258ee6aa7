"""A stage: worker threads that take a chunk through every map step of it, and hand the results to the consumers."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, cast

import numpy as np

from firstlight.core.arrays import Ids
from firstlight.core.buffer import Buffer
from firstlight.core.chunk import Chunk, End, Item
from firstlight.core.devices import PROCESSOR
from firstlight.core.errors import Stopped
from firstlight.core.held import Held
from firstlight.core.operator import Operator
from firstlight.core.plan import Planned, Port

from .apply import apply, apply_sparse, apply_sums, join_chunks, same_frames
from .context import Context
from .fold_station import FoldStation
from .fusing import Fusion, fusions
from .ranges import ranged
from .sharing import Sharing
from .stations import Consumer, Narrowing, Resuming

_DENSE = 4 * 2**20
"""Bytes of dense frames that are made of sparse ones at a time."""


def _hooks(planned: Planned) -> Mapping[str, Any]:
    return planned.step.hooks if isinstance(planned.step, Operator) else {}


class Stage:
    """Map steps between a buffer and the consumers of their outputs.

    One thread takes a chunk through the whole stage; threads multiply chunks.
    """

    def __init__(
        self,
        origin: Port,
        maps: Sequence[Planned],
        consumers: Mapping[Port, Sequence[Consumer]],
        buffer: Buffer,
        context: Context,
        threads: int,
    ) -> None:
        """Not started yet."""
        self.origin = origin
        self._maps = list(maps)
        self._consumers = consumers
        self.buffer = buffer
        self._context = context
        found = [consumer for each in consumers.values() for consumer in each]
        resuming = [each for each in found if isinstance(each, Resuming)]
        # asked once: to ask a protocol whether something follows it takes as long as a small step
        self._resuming = resuming if len(resuming) == len(found) else []
        """All consumers, if each of them may have frames from an interrupted run."""
        self._narrowing = found[0] if len(found) == 1 and isinstance(found[0], Narrowing) else None
        """The only consumer, if it may want a part of each frame."""
        self._take = threading.Lock()
        self._idle = threading.Condition()
        self._in_flight = 0
        apart = {(p.name, name) for p in self._maps for name in p.outputs} if context.watch.every_step else set[Port]()
        self._fusions = fusions(self._maps, apart | set(consumers))
        self._sharing = Sharing(self._maps, consumers, context)
        name = ".".join(origin)
        self.threads = [
            threading.Thread(target=self._run, name=f"stage-{name}-{n}", daemon=True) for n in range(threads)
        ]
        context.failing.append(buffer.stop)

    def start(self) -> None:
        """Prepare the steps, then start the workers."""
        for planned in self._maps:
            if isinstance(planned.step, Operator):
                planned.step.prepare(planned.scan)
        for thread in self.threads:
            thread.start()

    def put(self, item: Item) -> None:
        """Queue one item; the buffer does what its policy says when it is full."""
        self.buffer.put(item)

    def _run(self) -> None:
        try:
            while True:
                item = self._next()
                if item is None:
                    return
                if isinstance(item, Chunk):
                    self._work(item)
                elif isinstance(item, End):
                    self._end(item)
                else:
                    self._forward(item)
        except Stopped:
            return
        except Exception as error:
            self._context.fail(error)

    def _next(self) -> Item | None:
        with self._take:
            item = self.buffer.get()
            if isinstance(item, Chunk):
                with self._idle:
                    self._in_flight += 1
        return item

    def has(self, epoch: int, ids: Ids) -> bool:
        """True if every consumer has, from an earlier run, what would be made of these frames."""
        return bool(self._resuming) and all(each.has(epoch, ids) for each in self._resuming)

    def skip(self, frames: int) -> None:
        """Count frames that every consumer has."""
        for consumer in self._resuming:
            consumer.skip(frames)

    def _work(self, chunk: Chunk) -> None:
        try:
            own = chunk.within(0)
            if self.has(own.epoch, own.ids):
                self.skip(len(own))
                return
            for part in self._parts(chunk):
                self._work_on(part)
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()

    def _work_on(self, chunk: Chunk) -> None:
        shared: dict[Port, dict[str, Any]] = {}
        for port, result in self.results(self._narrowed(chunk), shared).items():
            own = result.within(0)
            for consumer in self._consumers.get(port, ()):
                if isinstance(consumer, FoldStation):
                    consumer.put(consumer.digest(own, self._shared(port, own, shared).get(consumer.step_name)))
                else:
                    consumer.put(own.dense())

    def _parts(self, chunk: Chunk) -> list[Chunk]:
        """A chunk of sparse frames in parts that have room as dense ones, if anything here needs them dense."""
        if not chunk.sparse or self._takes_sparse():
            return [chunk]
        frame = int(np.prod(chunk.data.shape[1:], dtype=np.int64)) * chunk.data.dtype.itemsize
        step = max(1, _DENSE // max(frame, 1))
        return [chunk.take(slice(first, first + step)) for first in range(0, len(chunk), step)]

    def _takes_sparse(self) -> bool:
        """True if all that works on the frames of this stage has a way to work on events."""
        known = self._sharing.of(self.origin)
        heads = [item for item in self._fusions if item.first.main == self.origin or item.first.cut is not None]
        if any(len(item.steps) > 1 or not (item.name in known or "sparse" in _hooks(item.first)) for item in heads):
            return False
        folds = self._consumers.get(self.origin, ())
        return all(isinstance(each, FoldStation) and each.step_name in known for each in folds)

    def _narrowed(self, chunk: Chunk) -> Chunk:
        """What the only consumer wants of a chunk."""
        return chunk if self._narrowing is None else self._narrowing.narrowed(chunk)

    def _shared(self, port: Port, chunk: Chunk, known: dict[Port, dict[str, Any]]) -> dict[str, Any]:
        """Sums over the frames at a port, taken once for all steps that need them."""
        if port not in known and self._sharing.of(port):
            known[port] = self._sharing.sums(port, chunk.within(0))
        return known.get(port, {})

    def results(self, chunk: Chunk, shared: dict[Port, dict[str, Any]] | None = None) -> dict[Port, Chunk]:
        """Every output of the stage for one chunk; sums over frames that are taken on the way are left in `shared`."""
        shared = {} if shared is None else shared
        found: dict[Port, Chunk] = {self.origin: chunk}
        for item in self._fusions:
            main = item.first.main if item.first.cut is None else self.origin
            source = (found[main] if main in found else chunk).within(item.first.reach)
            started = time.perf_counter()
            sums = self._shared(main, source, shared).get(item.first.name) if len(item.steps) == 1 else None
            if sums is not None:
                outputs = self._finished(item.first, source.within(0), sums)
            else:
                with self._context.under_way.on(item.name, len(source), item.series):
                    outputs = self._of_events(item, source) or self._outputs(item, source.dense())
                self._context.worked(item.name, time.perf_counter() - started, source.within(0))
            found.update({(item.last.name, name): result for name, result in outputs.items()})
            for name, result in outputs.items():
                taken = (item.last.name, name) in self._consumers
                self._context.watch.step(item.last, name, result.within(0), taken=taken)
        return found

    def _finished(self, planned: Planned, chunk: Chunk, sums: Any) -> dict[str, Chunk]:
        """What a step makes of the sums that one pass has found for it."""
        _, step = next(iter(self._context.in_force(planned, chunk)))
        return apply_sums(cast("Operator", step), chunk, sums)

    def _of_events(self, fusion: Fusion, chunk: Chunk) -> dict[str, Chunk] | None:
        """What the body of a step for sparse frames makes of such."""
        if not chunk.sparse or len(fusion.steps) > 1 or "sparse" not in _hooks(fusion.first) or fusion.first.held:
            return None
        pieces = [
            apply_sparse(cast("Operator", step), part) for part, step in self._context.in_force(fusion.first, chunk)
        ]
        return {name: join_chunks([piece[name] for piece in pieces]) for name in pieces[0]}

    def _outputs(self, fusion: Fusion, chunk: Chunk) -> dict[str, Chunk]:
        with ranged(fusion.name) if len(fusion.steps) > 1 else nullcontext():
            fused = fusion.apply(chunk, self._context)
        if fused is not None:
            return fused
        outputs: dict[str, Chunk] = {}
        for planned in fusion.steps:
            with ranged(planned.name):
                applied = self._apply(planned, chunk.within(planned.reach))
            outputs = {name: result.within(planned.margin) for name, result in applied.items()}
            chunk = next(iter(outputs.values()))
        return outputs

    def _apply(self, planned: Planned, chunk: Chunk) -> dict[str, Chunk]:
        held = self._context.held(planned, chunk.where) if planned.held else {}
        if held is None:
            return dict.fromkeys(planned.outputs, chunk)
        pieces: list[dict[str, Chunk]] = []
        for part, step in self._context.in_force(planned, chunk):
            operator: Any = step
            if planned.along is None:
                pieces.append(self._with_body(planned, operator, part, held))
            else:  # its neighbours belong to what a step with a halo needs
                pieces.append(same_frames(self._with_body(planned, operator, chunk, held), part))
        if len(pieces) == 1:
            return pieces[0]
        return {name: join_chunks([piece[name] for piece in pieces], chunk.margin) for name in pieces[0]}

    def _with_body(self, planned: Planned, step: Operator, chunk: Chunk, held: Mapping[str, Held]) -> dict[str, Chunk]:
        """What the body that was chosen for a step makes of a chunk."""
        if planned.device == PROCESSOR:
            return apply(step, chunk, held, along=planned.along)
        return self._context.devices.alone(planned, step, chunk, held)

    def _end(self, end: End) -> None:
        """Wait for the chunks in work, then hand the end on."""
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0 or self._context.failed.is_set())
        if self._context.failed.is_set():
            return
        self._forward(end)
        if end.set is None:
            self.buffer.close()
            for planned in self._maps:
                if isinstance(planned.step, Operator):
                    planned.step.close()

    def _forward(self, item: Item) -> None:
        for consumers in self._consumers.values():
            for consumer in consumers:
                consumer.put(item)

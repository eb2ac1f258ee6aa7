"""What all threads of one run share."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.buffer import MIB, BufferSettings
from firstlight.core.chunk import MAIN, Chunk, Gap, Item
from firstlight.core.counts import Intake, Ledger
from firstlight.core.errors import FirstlightError
from firstlight.core.held import START, Held, HeldStore, Place
from firstlight.core.plan import Plan, Planned, Port
from firstlight.core.run import Change, Event, Result, Results
from firstlight.core.step import Step

from .board import Board
from .checkpoint import Checkpoint
from .describe import small_values
from .failing import step_failed
from .held_inputs import as_parameter, first_versions, part_of, valid_parameters
from .on_device import DeviceWork
from .under_way import UnderWay
from .watch import Watch

STATION_MEMORY = 64 * MIB
"""Byte of the buffer of a station, where no budget says otherwise."""
EVENTS = 20_000
"""Events kept for those who follow; a run may go on for days."""


READING, WRITING = "reading", "writing "
"""Names under which the times of the source and (with what they write) of sinks are noted."""


@dataclass(slots=True)
class StageTimes:
    """What one stage has worked."""

    seconds: float = 0.0
    bytes: int = 0
    chunks: int = 0
    frames: int = 0


@dataclass(frozen=True, slots=True)
class Setting:
    """The parameters of a step, from a place on."""

    since: Place
    step: Step


@dataclass
class Context:
    """Shared state of a run. Each part has its own lock or one owner."""

    plan: Plan
    intake: Intake
    board: Board = field(default_factory=Board)
    ledgers: dict[str, Ledger] = field(default_factory=dict[str, Ledger])
    stores: dict[Port, HeldStore] = field(default_factory=dict[Port, HeldStore])
    results: Results = field(default_factory=Results)
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    findings: dict[str, Any] = field(default_factory=dict[str, Any])
    """What folds say about their final results, for the report."""
    gaps: deque[Gap] = field(default_factory=lambda: deque[Gap](maxlen=100_000))
    changes: list[Change] = field(default_factory=list[Change])
    times: dict[str, StageTimes] = field(default_factory=dict[str, StageTimes])
    error: Exception | None = None
    stopping: bool = False
    """The user asked for the end."""
    halted: bool = False
    """What is finished was kept and the rest left undone, for a run that goes on later."""
    only_short_work: bool = False
    """The user asked for the end, and what is still to be drained need not be waited for where it takes long."""
    checkpoint: Checkpoint | None = None
    """Where a run that may be interrupted notes what it has found."""

    def __post_init__(self) -> None:
        """Make what every step needs."""
        self.lock = threading.RLock()
        self.changing = threading.Lock()
        """Held while one set of changes is put in force."""
        self.failed = threading.Event()
        """Nobody need go on: something raised, or the run was halted."""
        self.failing: list[Any] = []
        """Callables that wake everybody who waits, called at the first failure or when the run is halted."""
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._told = 0
        """Events so far, those that were forgotten included."""
        self._news = threading.Condition()
        self._closed = False
        self.watch = Watch(self.plan, self.tell)
        self.devices = DeviceWork(self.plan)
        self.under_way = UnderWay(self._gives_up)
        self.settings: dict[str, tuple[Setting, ...]] = {
            planned.name: (Setting((0, -(2**62)), planned.step),) for planned in self.plan.steps
        }
        self.lingering: set[str] = set()
        """Steps that have all their frames and stay open for somebody who looks."""
        self.seen_enough = threading.Event()
        """Nobody looks any more: they may end."""
        self.begun: set[str] = set()
        """Steps behind a regrouping that have begun: all their blocks must have the same parameters."""
        self.overridden: dict[tuple[str, str], Place] = {}
        """(step, parameter) that the user took over from a held input, and from where on."""
        for planned in self.plan.steps:
            for output in planned.outputs:
                self.stores[planned.name, output] = HeldStore()

    # ---- memory ------------------------------------------------------------------------------------------------------

    @property
    def station_memory(self) -> float:
        """Byte of the buffer of a station."""
        return STATION_MEMORY if self.plan.sizes is None else self.plan.sizes.station

    def buffer_settings(self, stream: str) -> BufferSettings:
        """Of the buffer behind a stream of the source: the user's, or what the memory budget leaves."""
        given, sizes = self.plan.job.buffers, self.plan.sizes
        settings = self.plan.job.buffer(stream)
        if stream in given or "default" in given or sizes is None or settings.policy != "wait":
            return settings
        return settings.model_copy(update={"memory": sizes.queue})

    # ---- events ------------------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Add an event for those who follow."""
        with self._news:
            self._events.append(event)
            self._told += 1
            self._news.notify_all()

    def close_events(self) -> None:
        """No more events will come."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def events(self, *, follow: bool) -> Iterator[Event]:
        """Every event from the start (the newest `EVENTS` of them); with `follow`, until the run has ended."""
        place = 0
        while True:
            with self._news:
                if follow:
                    self._news.wait_for(lambda at=place: self._told > at or self._closed)
                batch = list(self._events)[len(self._events) - min(self._told - place, len(self._events)) :]
                place = self._told
                closed = self._closed
            yield from batch
            if not follow or (closed and not batch):
                return

    def fail(self, error: Exception) -> None:
        """Remember the first error and wake everybody."""
        with self.lock:
            if self.error is not None:
                return
            self.error = error
            self.failed.set()
        self.tell(Event("log", str(error), "error"))
        self._wake()

    def note_chosen(self, step: str, chosen: Mapping[str, Any]) -> None:
        """Note what a step took for parameters that leave the choice to it."""
        if chosen:
            self.findings.setdefault("chosen", {})[step] = dict(chosen)

    def remark(self, step: str, texts: Iterable[str]) -> None:
        """Tell what users must know of what a step found."""
        for text in texts:
            self.findings.setdefault("remarks", {}).setdefault(step, []).append(text)
            self.tell(Event("log", f"{step}: {text}.", "warning"))

    def halt(self) -> None:
        """Leave what is not finished undone, and wake everybody who waits for it."""
        with self.lock:
            self.halted = True
            self.failed.set()
        self._wake()

    def _gives_up(self) -> bool:
        """True if work that takes so long that it pauses is to end there: asked by those who work, in their pauses."""
        if self.only_short_work and not self.halted:
            self.halt()
        return self.failed.is_set()

    def _wake(self) -> None:
        for store in self.stores.values():
            store.stop()
        for wake in self.failing:
            with suppress(Exception):
                wake()

    # ---- frames ------------------------------------------------------------------------------------------------------

    def miss(self, gap: Gap) -> None:
        """Remember a gap of the main stream, for the record."""
        if gap.stream == MAIN:
            self._note(gap)
            level = "info" if gap.kind == "excluded" else "warning"
            frames = f"frame {gap.first}" if len(gap) == 1 else f"frames {gap.first} to {gap.last}"
            self.tell(Event("loss", f"{gap.kind}: {frames} (epoch {gap.epoch}): {gap.reason}", level))

    def _note(self, gap: Gap) -> None:
        """Add a gap to the record, as one with the last where it continues that."""
        with self.lock:
            last = self.gaps[-1] if self.gaps else None
            if last is not None and replace(last, first=last.last + 1, last=gap.last) == gap:
                self.gaps[-1] = replace(last, last=gap.last)
            else:
                self.gaps.append(gap)

    def ledger(self, consumer: str) -> Ledger:
        """The ledger of a consumer, made at the first call: before the first frame, so that one that is late is seen."""
        with self.lock:
            return self.ledgers.setdefault(consumer, Ledger())

    def worked(self, stage: str, seconds: float, chunk: Chunk) -> None:
        """Add to what a stage has worked."""
        with self.lock:
            times = self.times.setdefault(stage, StageTimes())
            times.seconds += seconds
            times.bytes += chunk.nbytes
            times.chunks += 1
            times.frames += len(chunk)

    # ---- parameters --------------------------------------------------------------------------------------------------

    def current(self, name: str) -> Step:
        """A step with the parameters that hold for the newest frames."""
        return self.settings[name][-1].step

    def in_force(self, planned: Planned, chunk: Chunk) -> Iterator[tuple[Chunk, Step]]:
        """Parts of a chunk, each with the step whose parameters hold for its frames."""
        by_id = self.plan.works_on_source_frames(planned.name)
        if not by_id:
            self.begun.add(planned.name)
        settings = self.settings[planned.name]
        versions = self._held_parameters(planned)
        if len(settings) == 1 and all(len(known.versions) == 1 for known in versions.values()):
            yield chunk, self._with_held(planned, settings[0], versions, START)
            return
        places = [(chunk.epoch, int(frame)) if by_id else settings[-1].since for frame in chunk.ids]
        marks = [setting.since for setting in settings]
        keys = [
            (bisect_right(marks, place) - 1, *(known.index(place) if by_id else -1 for known in versions.values()))
            for place in places
        ]
        for key in dict.fromkeys(keys):
            index = [n for n, each in enumerate(keys) if each == key]
            part = chunk if len(index) == len(keys) else chunk.take(np.asarray(index))
            yield part, self._with_held(planned, settings[key[0]], versions, places[index[0]] if by_id else None)

    def _held_parameters(self, planned: Planned) -> dict[str, Held]:
        """The versions of each held parameter; waits for the first as the step's `before_first` says."""
        found: dict[str, Held] = {}
        for name, port in planned.held_parameters.items():
            if self.overridden.get((planned.name, name)) is not None and self.stores[port].known() is None:
                continue
            known = first_versions(planned, name, self.stores[port], complete=planned.cut is not None)
            if known is not None:
                found[name] = known
        return found

    def _with_held(self, planned: Planned, setting: Setting, versions: dict[str, Held], place: Place | None) -> Step:
        """The step with the held parameters that apply at a place (None: the newest), but those that the user set."""
        values: dict[str, Any] = {}
        for name, known in versions.items():
            taken_over = self.overridden.get((planned.name, name))
            if taken_over is None or setting.since < taken_over:
                index = -1 if place is None else known.index(place)
                values[name] = as_parameter(known.versions[index].value)
        return valid_parameters(planned.name, setting.step, values) if values else setting.step

    def known_parameters(self, planned: Planned) -> dict[str, Any]:
        """The held parameters of a fold, as far as they are known now."""
        found = {
            name: self.stores[port].known()
            for name, port in planned.held_parameters.items()
            if (planned.name, name) not in self.overridden
        }
        return {name: as_parameter(held.newest) for name, held in found.items() if held is not None}

    def held(self, planned: Planned, where: Mapping[str, slice] | None = None) -> dict[str, Held] | None:
        """The held data arguments of a step; None if one is missing and its frames pass without.

        Behind a regrouping ids name rows, not frames: the newest version holds there. Where a chunk has only a part of
        each frame (`where`), it gets that part of images too.
        """
        found: dict[str, Held] = {}
        by_id = self.plan.counts_source_frames(planned.name)
        for name, port in planned.held.items():
            known = first_versions(planned, name, self.stores[port], complete=self._comes_first(port, planned))
            if known is None:
                return None
            known = known if by_id else Held(known.versions[-1:])
            found[name] = part_of(known, planned.axes_of(name), where) if where else known
        return found

    def _comes_first(self, port: Port, planned: Planned) -> bool:
        """True if every version is known before the frames: recorded data, whose source sends this stream before."""
        if planned.cut is not None:
            return True
        order = self.plan.scan.order
        origin = self._origin(port)
        known = origin in order and MAIN in order and order.index(origin) < order.index(MAIN)
        return known and self.plan.job.source.pausable

    def _origin(self, port: Port) -> str:
        while port[0] != "source":
            port = self.plan[port[0]].main
        return port[1]

    # ---- results -----------------------------------------------------------------------------------------------------

    def keep(self, planned: Planned, output: str, array: Array) -> None:
        """Keep the (so far) final result of a fold."""
        stream = planned.outputs[output].main
        name = f"{planned.name}.{output}"
        self.watch.result(planned, output, array)
        with self.lock:
            self.results[name] = Result(array, stream.axes, stream.unit, marks=stream.marks)
            self.values.update(small_values(name, array))

    def keep_numbers(self, planned: Planned, outputs: Mapping[str, Any]) -> None:
        """Note what single numbers a fold has found so far, for whoever looks; they may still change."""
        with self.lock:
            for output, value in outputs.items():
                if np.ndim(value) == 0:
                    self.values.update(small_values(f"{planned.name}.{output}", np.asarray(value)))

    def guarded(
        self, name: str, error: Exception, parameters: Mapping[str, Any], chunk: Item | None = None
    ) -> FirstlightError:
        """An error of a fold or an arrangement, with the step, its parameters and the frames named."""
        return step_failed(name, error, parameters, chunk)


def now() -> float:
    """Unix time in second."""
    return time.time()

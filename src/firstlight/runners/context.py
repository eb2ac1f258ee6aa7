"""What all threads of one run share."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Chunk, Gap
from firstlight.core.counts import Intake, Ledger
from firstlight.core.errors import StepFailed
from firstlight.core.held import Held, HeldStore, Place
from firstlight.core.plan import Plan, Planned, Port
from firstlight.core.run import Change, Event, Result, Results
from firstlight.core.step import Step

from .board import Board
from .describe import small_values
from .held_inputs import as_parameter, first_versions, with_parameters


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
    gaps: deque[Gap] = field(default_factory=lambda: deque[Gap](maxlen=100_000))
    changes: list[Change] = field(default_factory=list[Change])
    times: dict[str, StageTimes] = field(default_factory=dict[str, StageTimes])
    error: Exception | None = None
    stopping: bool = False
    """The user asked for the end."""

    def __post_init__(self) -> None:
        """Make what every step needs."""
        self.lock = threading.RLock()
        self.failed = threading.Event()
        self.failing: list[Any] = []
        """Callables that wake everybody who waits, called once at the first failure."""
        self._events: list[Event] = []
        self._news = threading.Condition()
        self._closed = False
        self.settings: dict[str, tuple[Setting, ...]] = {
            planned.name: (Setting((0, -(2**62)), planned.step),) for planned in self.plan.steps
        }
        self.overridden: set[tuple[str, str]] = set()
        """(step, parameter) that the user took over from a held input."""
        for planned in self.plan.steps:
            for output in planned.outputs:
                self.stores[planned.name, output] = HeldStore()

    # ---- events ------------------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Add an event for those who follow."""
        with self._news:
            self._events.append(event)
            self._news.notify_all()

    def close_events(self) -> None:
        """No more events will come."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def events(self, *, follow: bool) -> Iterator[Event]:
        """Every event from the start; with `follow`, until the run has ended."""
        place = 0
        while True:
            with self._news:
                if follow:
                    self._news.wait_for(lambda at=place: len(self._events) > at or self._closed)
                batch = self._events[place:]
                closed = self._closed
            yield from batch
            place += len(batch)
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
        for store in self.stores.values():
            store.stop()
        for wake in self.failing:
            wake()

    # ---- frames ------------------------------------------------------------------------------------------------------

    def miss(self, gap: Gap) -> None:
        """Remember a gap of the main stream, for the record."""
        if gap.stream == MAIN:
            self.gaps.append(gap)
            level = "info" if gap.kind == "excluded" else "warning"
            frames = f"frame {gap.first}" if len(gap) == 1 else f"frames {gap.first} to {gap.last}"
            self.tell(Event("loss", f"{gap.kind}: {frames} (epoch {gap.epoch}): {gap.reason}", level))

    def ledger(self, consumer: str) -> Ledger:
        """The ledger of a consumer, made at the first call."""
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
        settings = self.settings[planned.name]
        if len(settings) == 1:
            yield chunk, self._with_held(planned, settings[0].step)
            return
        marks = [setting.since for setting in settings]
        which = np.array([max(i for i, mark in enumerate(marks) if mark <= (chunk.epoch, int(f))) for f in chunk.ids])
        for number in np.unique(which):
            part = chunk if (which == number).all() else chunk.take(np.flatnonzero(which == number))
            yield part, self._with_held(planned, settings[int(number)].step)

    def _with_held(self, planned: Planned, step: Step) -> Step:
        """The step with its held parameters filled in; waits for them as its `before_first` says."""
        values: dict[str, Any] = {}
        for name, port in planned.held_parameters.items():
            if (planned.name, name) in self.overridden:
                continue
            known = first_versions(planned, name, self.stores[port], complete=planned.cut is not None)
            if known is not None:
                values[name] = as_parameter(known.newest)
        return with_parameters(step, values) if values else step

    def known_parameters(self, planned: Planned) -> dict[str, Any]:
        """The held parameters of a fold, as far as they are known now."""
        found = {
            name: self.stores[port].known()
            for name, port in planned.held_parameters.items()
            if (planned.name, name) not in self.overridden
        }
        return {name: as_parameter(held.newest) for name, held in found.items() if held is not None}

    def held(self, planned: Planned) -> dict[str, Held] | None:
        """The held data arguments of a step; None if one is missing and its frames pass without."""
        found: dict[str, Held] = {}
        for name, port in planned.held.items():
            known = first_versions(planned, name, self.stores[port], complete=self._comes_first(port, planned))
            if known is None:
                return None
            found[name] = known
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
        with self.lock:
            self.results[name] = Result(array, stream.axes, stream.unit)
            self.values.update(small_values(name, array))

    def guarded(self, name: str, error: Exception, parameters: Mapping[str, Any]) -> StepFailed:
        """An error of a fold or an arrangement, with the step named."""
        if isinstance(error, StepFailed):
            return error
        return StepFailed(f"Step '{name}' failed: {type(error).__name__}: {error}", field=name, value=dict(parameters))


def now() -> float:
    """Unix time in second."""
    return time.time()

"""The readable reference: one thread, one step after the other, every intermediate result in memory.

What `local` does with threads and buffers must equal what stands here. It reads the whole source first, so it suits
recorded data that fit into memory; it can not be steered while it works.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from firstlight.core.arrange import Arrange
from firstlight.core.check import check
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Item
from firstlight.core.counts import Intake, Ledger, worst
from firstlight.core.errors import ChangeRefused
from firstlight.core.fold import Fold
from firstlight.core.held import Held, HeldStore, Place
from firstlight.core.job import Job
from firstlight.core.operator import Operator
from firstlight.core.plan import Plan, Planned, Port, port_name, source_port
from firstlight.core.record import end_record, start_record
from firstlight.core.run import Change, Counts, Event, Result, Results, Status, ViewInfo
from firstlight.core.sink import Sink
from firstlight.core.solver import Solver
from firstlight.core.view import Shown

from .apply import apply
from .assemble import Assembled, shown_whole
from .calibrated import calibrated
from .describe import job_dict, small_values, step_infos, view_infos, view_name
from .failing import part_failed, step_failed
from .folding import SetFold, final_version, versions_of
from .held_inputs import as_parameter, first_versions, valid_parameters
from .inputs import inputs_of
from .naive_gather import regrouped
from .naive_sinks import closed, opened, write_items
from .on_device import refuse_devices
from .snapshot import Snapshot, picture_of


class NaiveRunner:
    """Works on a job in the calling thread; `start` returns when it has ended."""

    def start(self, job: Job) -> NaiveRun:
        """Run a job to its end.

        Raises:
            JobError: The job can not run on what the source gives, or asks for a device.
            StepFailed: A step raised.
        """
        refuse_devices(job)
        run = NaiveRun(job)
        run.work()
        return run


class NaiveRun:
    """A job that was worked on step by step."""

    def __init__(self, job: Job) -> None:
        """Nothing is opened before `work`."""
        self.job = job
        self.started = time.time()
        self.ended: float | None = None
        self._results = Results()
        self._values: dict[str, Any] = {}
        self._findings: dict[str, Any] = {}
        self._ledgers: dict[str, Ledger] = {}
        self._items: dict[Port, list[Item]] = {}
        self._wide: dict[Port, list[Item]] = {}
        """What map steps gave, with the margins that the steps behind them in the same stage need."""
        self._stores: dict[Port, HeldStore] = {}
        self._gaps: list[Gap] = []
        self._sinks: list[Sink] = []
        self._hand: Item | None = None
        """What the step that works now has in hand, for its error message."""

    def work(self) -> None:
        """Read everything, then take one step after the other."""
        source = self.job.played
        try:
            scan = source.open()
            self.plan = check(self.job, scan)
            self._intake = Intake(scan.main)
            try:
                self._read()
            except Exception as error:
                raise part_failed(f"source '{self.job.source.use}'", error) from error
        finally:
            source.close()
        for planned in self.plan.steps:
            self._take_step(planned)
        self._collect()
        self.ended = time.time()
        self._write()

    def _read(self) -> None:
        for name in self.plan.scan.streams:
            self._items[source_port(name)] = []
        for item in self.job.played.items():
            item = item.dense() if isinstance(item, Chunk) else item
            if isinstance(item, Chunk) and item.stream == MAIN:
                fresh = self._intake.take(item)
                if fresh is not None:
                    self._items[source_port(MAIN)].append(fresh)
                continue
            if isinstance(item, Gap) and item.stream == MAIN:
                self._items[source_port(MAIN)] += self._intake.miss(item)
                continue
            self._items[source_port(item.stream)].append(item)
        self._items[source_port(MAIN)] += self._intake.missing()
        self._gaps = [item for item in self._items[source_port(MAIN)] if isinstance(item, Gap)]

    def _take_step(self, planned: Planned) -> None:
        try:
            if planned.by_set:
                self._fold_sets(planned)
            elif planned.kind == "fold":
                self._fold(planned)
            elif planned.kind == "arrange":
                self._arrange(planned)
            else:
                self._map(planned)
        except Exception as error:
            raise step_failed(planned.name, error, planned.step.model_dump(), self._hand) from error

    def _main_items(self, planned: Planned) -> Sequence[Item]:
        """What reaches a step, regrouped if the plan says so."""
        given = self._items if planned.cut is not None or planned.kind != "map" else {**self._items, **self._wide}
        items = [item for item in given[planned.main] if not isinstance(item, End)]
        if planned.cut is None:
            return items
        return regrouped(planned.cut, items, self._ledgers.setdefault(planned.name, Ledger()))

    def _held(self, planned: Planned) -> dict[str, Held | None]:
        return {
            name: first_versions(planned, name, self._stores[port], complete=True)
            for name, port in planned.held.items()
        }

    def _parameters(self, planned: Planned) -> dict[str, Any]:
        found = {
            name: first_versions(planned, name, self._stores[port], complete=True)
            for name, port in planned.held_parameters.items()
        }
        return {name: as_parameter(held.newest) for name, held in found.items() if held is not None}

    def _map(self, planned: Planned) -> None:
        step = valid_parameters(planned.name, planned.step, self._parameters(planned))
        if not isinstance(step, Operator):
            raise TypeError(f"'{planned.name}' is no operator.")
        held = {name: known for name, known in self._held(planned).items() if known is not None}
        outputs: dict[str, list[Item]] = {name: [] for name in planned.outputs}
        step.prepare(planned.scan)
        for item in self._main_items(planned):
            if isinstance(item, Chunk) and len(held) == len(planned.held):
                for name, chunk in apply(step, item.within(planned.reach), held, along=planned.along).items():
                    outputs[name].append(chunk.within(planned.margin))
            else:
                for items in outputs.values():
                    items.append(item)
        step.close()
        for name, items in outputs.items():
            self._wide[planned.name, name] = items
            self._items[planned.name, name] = items = [
                item.within(0) if isinstance(item, Chunk) else item for item in items
            ]
            if (planned.name, name) in self.plan.held_of_maps:
                store = self._stores.setdefault((planned.name, name), HeldStore())
                for version in (v for item in items if isinstance(item, Chunk) for v in versions_of(item)):
                    store.add(version)
                store.complete()

    def _fold_sets(self, planned: Planned) -> None:
        fold = _as_fold(planned)
        sets = SetFold(planned, fold)
        for item in self._items[planned.main]:
            if isinstance(item, Chunk):
                sets.add(item)
        for name, versions in sets.close(None).items():
            store = self._stores.setdefault((planned.name, name), HeldStore())
            for version in versions:
                store.add(version)
            store.complete()
            self._items[planned.name, name] = [
                Chunk(v.value[np.newaxis], planned.outputs[name].main.axes, np.array([v.since[1]]), v.since[0])
                for v in versions
            ]

    def _fold(self, planned: Planned) -> None:
        fold = _as_fold(planned, valid_parameters(planned.name, planned.step, self._parameters(planned)))
        held = [known for known in self._held(planned).values() if known is not None]
        counted = Ledger() if planned.cut is not None else self._ledgers.setdefault(planned.name, Ledger())
        state = fold.empty(planned.scan)
        for item in self._main_items(planned):
            self._hand = item
            if isinstance(item, Chunk):
                fold.add(state, fold.digest(item), *(known.bind(item.epoch, item.ids) for known in held))
                counted.done(len(item))
            elif isinstance(item, Gap):
                fold.miss(state, item)
                counted.miss(item)
        self._hand = None
        if isinstance(fold, Solver):
            fold.complete(state)
            fold.advance(state, fold.rounds)
            fold.conclude(state)
        while fold.refine(state):
            pass
        ready = fold.ready(state)
        self._findings |= fold.findings(state) if ready else {}
        if ready and (chosen := fold.chosen(state)):
            self._findings.setdefault("chosen", {})[planned.name] = chosen
        for name, value in (fold.result(state) if ready else {}).items():
            self._keep_result(planned, name, value)
        remarks = fold.remarks(state)
        if remarks:
            self._findings.setdefault("remarks", {})[planned.name] = list(remarks)
        for name in planned.outputs:
            self._stores.setdefault((planned.name, name), HeldStore()).complete("" if ready else "; ".join(remarks))

    def _keep_result(self, planned: Planned, name: str, value: Any) -> None:
        stream = planned.outputs[name].main
        array = np.asarray(value)
        self._results[f"{planned.name}.{name}"] = Result(array, stream.axes, stream.unit, marks=stream.marks)
        self._values |= small_values(f"{planned.name}.{name}", array)
        self._items[planned.name, name] = [Chunk(array[np.newaxis], stream.axes, np.zeros(1, np.int64))]
        self._stores.setdefault((planned.name, name), HeldStore()).add(final_version(array))

    def _arrange(self, planned: Planned) -> None:
        step = planned.step
        if not isinstance(step, Arrange):
            raise TypeError(f"'{planned.name}' is no arrangement.")
        ledger = self._ledgers.setdefault(planned.name, Ledger())
        arrange: Arrange[Any] = step
        state = arrange.open(planned.scan)
        given: list[Item] = []
        ports = {planned.step.arguments[0]: planned.main, **planned.ports}
        for port, origin in ports.items():
            for item in self._items[origin]:
                if isinstance(item, End):
                    continue
                self._hand = item
                if port == planned.step.arguments[0]:
                    ledger.done(len(item)) if isinstance(item, Chunk) else ledger.miss(item)
                given += arrange.push(state, port, item)
            given += arrange.finish(state, port)
        given += arrange.flush(state)
        for name in planned.outputs:
            self._items[planned.name, name] = given

    def _collect(self) -> None:
        for outlet in self.plan.collected:
            assembled = Assembled(outlet.scan.main)
            ledger = self._ledgers.setdefault(f"result {port_name(outlet.port)}", Ledger())
            for item in self._items[outlet.port]:
                if isinstance(item, Chunk):
                    assembled.place(item)
                    ledger.done(len(item))
                elif isinstance(item, Gap):
                    ledger.miss(item)
            result = assembled.result()
            self._results[".".join(outlet.port)] = result
            self._values |= small_values(".".join(outlet.port), result.data)

    def _write(self) -> None:
        inputs = inputs_of(self.job.source)
        begun = start_record(job_dict(self.job), self.plan.scan, self.job.pipeline.cites, self.started, inputs)
        complete = False
        try:
            for outlet in self.plan.sinks:
                self._sinks += opened(outlet, self.plan.scan.name, begun)
            for sink, outlet in zip(self._sinks, self.plan.sinks, strict=True):
                write_items(
                    sink, outlet, self._items, self._ledgers.setdefault(self.plan.consumer_of(outlet), Ledger())
                )
            complete = True
        finally:
            record = self.record = self._final_record(begun, complete=complete)
            for sink in self._sinks:
                closed(sink, record, complete=complete)

    def _final_record(self, begun: Mapping[str, Any], *, complete: bool) -> dict[str, Any]:
        return end_record(
            begun,
            counts=self.counts,
            gaps=self._gaps,
            changes=(),
            values=self._values,
            chosen=self._findings.get("chosen", {}),
            ended=time.time(),
            complete=complete,
        )

    @property
    def counts(self) -> Counts:
        """The worst consumer's counts."""
        own = self._consumers()
        duplicates = self._intake.duplicates
        return worst(own) if own else Counts(self._intake.expected, self._intake.frames, duplicates=duplicates)

    def _consumers(self) -> dict[str, Counts]:
        expected, duplicates = self._intake.expected, self._intake.duplicates
        return {
            name: ledger.counts(expected, duplicates)
            for name, ledger in self._ledgers.items()
            if self.plan.counts_source_frames(name)
        }

    @property
    def views(self) -> tuple[ViewInfo, ...]:
        """What can be shown."""
        return view_infos(self.plan)

    @property
    def snapshots(self) -> list[Snapshot]:
        """The pictures of steps that the job asked for, as far as there are any."""
        pictures = (picture_of(outlet, self._items[outlet.port]) for outlet in self.plan.snapshots)
        return [picture for picture in pictures if picture is not None]

    def status(self) -> Status:
        """Everything a screen shows."""
        seconds = max((self.ended or time.time()) - self.started, 1e-9)
        return Status(
            state="done" if self.ended else "running",
            counts=self.counts,
            consumers=self._consumers(),
            frames_per_second=self._intake.frames / seconds,
            bytes_per_second=self._intake.bytes / seconds,
            latency_ms=None,
            queue_bytes=0,
            queue_capacity=0,
            queue_frames=0,
            skipped={},
            views=self.views,
            result=next((place for sink in self._sinks if (place := sink.location())), None),
            steps=step_infos(self.plan, {}),
            values=self._values,
            changes=(),
            progress=1.0 if self.ended else 0.0,
        )

    def view(self, name: str, *, after: int = -1, timeout: float | None = 0.0) -> Shown | None:
        """The final version of a view: the last result of a fold, or what a per-frame step gave, assembled."""
        outlet = next((each for each in self.plan.views if view_name(each.port, self.plan) == name), None)
        if outlet is None or after >= 0:
            return None
        chunks = [item for item in self._items[outlet.port] if isinstance(item, Chunk)]
        return shown_whole(chunks, outlet.scan, self._newest) if chunks else None

    @property
    def _newest(self) -> Place:
        """The newest frame of all; every result is made of it too."""
        epoch, frame = self._intake.next_place
        return (epoch, frame - 1)

    def events(self, *, follow: bool = True) -> Iterator[Event]:
        """That it has ended."""
        yield Event("state", "done")

    def set(self, changes: Mapping[str, Mapping[str, Any]]) -> Place:
        """Refused: this runner has always ended already.

        Raises:
            ChangeRefused: Always.
        """
        raise ChangeRefused("The naive runner can not be steered.", field="runner", value="naive", expected="local")

    def stop(self) -> None:
        """Nothing to stop."""

    def finished(self, timeout: float | None = None) -> Results:
        """The results."""
        return calibrated(self._results, self.plan)

    def report(self) -> dict[str, Any]:
        """The machine-readable report."""
        from .describe import report_of

        changes: tuple[Change, ...] = ()
        return report_of(self.status(), {}, changes) | self._findings


def _as_fold(planned: Planned, step: Any = None) -> Fold[Any]:
    fold: Any = step or planned.step
    if not isinstance(fold, Fold):
        raise TypeError(f"'{planned.name}' is no fold.")
    return fold


__all__ = ["NaiveRun", "NaiveRunner", "Plan"]

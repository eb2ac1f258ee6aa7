"""From a plan to threads: stages, stations and the buffers between them."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firstlight.core.buffer import Buffer, BufferSettings
from firstlight.core.chunk import MAIN
from firstlight.core.job import SinkSpec, ViewSpec
from firstlight.core.pipeline import SOURCE
from firstlight.core.plan import Cut, Outlet, Planned, Port, port_name
from firstlight.core.sink import Sink

from .assemble import Assembled
from .board import Showing
from .checkpoint import Checkpoint
from .context import Context
from .describe import view_name
from .failing import part_failed
from .fold_station import FoldStation
from .fresh import files_of, take_away
from .gather_station import GatherStation
from .placeholders import filled
from .snapshot import Snapped
from .spill import DiskRing
from .stage import Stage
from .stations import (
    ArrangeStation,
    AssembleStation,
    Consumer,
    SinkStation,
    Station,
    VersionStation,
)
from .view_clock import ViewClock, Watched

Key = tuple[Any, ...]
"""Names a stage: by the port that feeds it, or by the cut in front of it."""


@dataclass
class Wiring:
    """Everything that runs in one job, connected but not started."""

    context: Context
    threads: int
    record: dict[str, Any]
    checkpoint: Checkpoint | None = None
    stages: dict[Key, Stage] = field(default_factory=dict[Key, Stage])
    folds: dict[str, FoldStation] = field(default_factory=dict[str, FoldStation])
    stations: list[Station] = field(default_factory=list[Station])
    sinks: list[Sink] = field(default_factory=list[Sink])
    collected: dict[str, Assembled] = field(default_factory=dict[str, Assembled])
    showing: list[Showing] = field(default_factory=list[Showing])
    overflows: list[DiskRing] = field(default_factory=list[DiskRing])
    snapshots: list[Snapped] = field(default_factory=list[Snapped])

    def __post_init__(self) -> None:
        """Connect everything that the plan names."""
        self._plan = self.context.plan
        self._buffers: dict[Key, Buffer] = {}
        self._members: dict[Key, list[Planned]] = defaultdict(list)
        self._origins: dict[Key, Port] = {}
        self._consumers: dict[Key, dict[Port, list[Consumer]]] = defaultdict(lambda: defaultdict(list))
        self._homes: dict[Port, Key] = {}
        self._pending: dict[Key, list[Consumer]] = {}
        """What a fold feeds, filled when somebody attaches to its output."""
        self._watched: list[Watched] = []
        self._gathers: dict[Key, GatherStation] = {}
        self._before: list[frozenset[Path]] = []
        """Of each sink: its files that were there before."""
        try:
            self._connect_all()
        except BaseException:
            self.give_back()
            raise

    def give_back(self) -> None:
        """Close what was opened before something else could not be, and take away what that made."""
        for sink, before in zip(self.sinks, self._before, strict=True):
            with suppress(Exception):
                sink.close(self.record, complete=False)
            take_away(sink, before)
        for showing in self.showing:
            with suppress(Exception):
                showing.view.close()
        for overflow in self.overflows:
            overflow.close()

    def _connect_all(self) -> None:
        for planned in self._plan.steps:
            self._connect(planned)
        for port in self._plan.held_of_maps:
            self.attach(port, VersionStation(self.context.stores[port]))
        for outlet in self._plan.collected:
            self._collect(outlet.port)
        for outlet in self._plan.snapshots:
            self.snapshots.append(made := Snapped(outlet))
            self.attach(outlet.port, made)
        for outlet in self._plan.views:
            self._view(outlet)
        for outlet in self._plan.sinks:
            self._sink(outlet)
        self.clock = ViewClock(self._watched, self.context.board)
        self._make_stages()

    # ---- connecting --------------------------------------------------------------------------------------------------

    def _connect(self, planned: Planned) -> None:
        if planned.kind == "fold":
            self._connect_fold(planned)
        elif planned.kind == "arrange":
            self._connect_arrange(planned)
        else:
            key = self._stage_of(planned)
            self._members[key].append(planned)
            for output in planned.outputs:
                self._homes[planned.name, output] = key

    def _stage_of(self, planned: Planned) -> Key:
        """Where a map step works: behind its cut, or with the step before it.

        If it waits for a fold of the same frames, it works behind a buffer of its own, so that the fold goes on getting them.
        """
        if planned.cut is not None:
            return self._behind(planned.cut)
        if not self._plan.waits_for_a_fold(planned):
            return self._home(planned.main)
        key: Key = ("hold", planned.name)
        self._origins[key] = planned.main
        self.attach(planned.main, self._buffer(key))
        return key

    def _connect_fold(self, planned: Planned) -> None:
        every = {
            outlet.port[1]: outlet.spec.every
            for outlet in self._plan.views
            if outlet.port[0] == planned.name and isinstance(outlet.spec, ViewSpec)
        }
        feeds: dict[str, list[Consumer]] = {}
        station = FoldStation(planned, self.context, every=every, feeds=feeds)
        self.folds[planned.name] = station
        self.stations.append(station)
        if planned.cut is None:
            self.attach(planned.main, station)
        else:
            key = self._behind(planned.cut)
            self._consumers[key][self._origins[key]].append(station)
        for output in planned.outputs:
            feeds[output] = self._feeds_of((planned.name, output))

    def _connect_arrange(self, planned: Planned) -> None:
        output = next(iter(planned.outputs))
        port = (planned.name, output)
        self._feeds_of(port)
        station = ArrangeStation(planned, self.context, self._buffer(("out", port)))
        self.stations.append(station)
        for name, origin in {planned.step.arguments[0]: planned.main, **planned.ports}.items():
            self.attach(origin, station.port(name))

    def _feeds_of(self, port: Port) -> list[Consumer]:
        """What a fold or an arrangement feeds: a stage of its own behind the port, made when somebody attaches to it."""
        feeds: list[Consumer] = []
        self._homes[port] = ("out", port)
        self._origins["out", port] = port
        self._pending[("out", port)] = feeds
        return feeds

    def _home(self, port: Port) -> Key:
        """The stage in which a port appears."""
        if port[0] == SOURCE:
            key: Key = ("stream", port[1])
            self._origins[key] = port
            self._homes[port] = key
        key = self._homes[port]
        self._buffer(key)
        return key

    def attach(self, port: Port, consumer: Consumer) -> None:
        """Let a consumer take what appears at a port."""
        self._consumers[self._home(port)][port].append(consumer)

    def _behind(self, cut: Cut) -> Key:
        """The stage behind a cut; its gathering is made at the first call."""
        key: Key = ("cut", cut.key)
        if key not in self._buffers:
            names = [p.name for p in self._plan.steps if p.cut is not None and p.cut.key == cut.key]
            self._origins[key] = ("gather", port_name(cut.port))
            regrouping = self._plan.regrouping(cut)
            station = self._gathers[key] = GatherStation(cut, names, self.context, regrouping)
            self._buffer(key)
            self.attach(cut.port, station)
        return key

    def _buffer(self, key: Key) -> Buffer:
        if key in self._buffers:
            return self._buffers[key]
        settings = BufferSettings(policy="wait", memory=self.context.station_memory)
        overflow = None
        on_drop = None
        if key[0] in ("stream", "hold"):
            settings = self.context.buffer_settings(str(key[1]) if key[0] == "stream" else MAIN)
            on_drop = self.context.miss
            if settings.policy == "spill":
                overflow = DiskRing(int(settings.disk), self._plan.job.runner.scratch)
                self.overflows.append(overflow)
        buffer = self._buffers[key] = Buffer(settings, overflow, str(key[1]), on_drop)
        if key in self._pending:
            self._pending[key].append(buffer)
        return buffer

    def _make_stages(self) -> None:
        for key, buffer in self._buffers.items():
            wide = key[0] in ("cut", "hold") or key == ("stream", "data")
            threads = self.threads if wide else 1
            consumers = {port: tuple(found) for port, found in self._consumers[key].items()}
            stage = Stage(self._origins[key], self._members[key], consumers, buffer, self.context, threads)
            self.stages[key] = stage
            if key in self._gathers:
                self._gathers[key].behind = stage

    # ---- outlets -----------------------------------------------------------------------------------------------------

    def _collect(self, port: Port) -> None:
        assembled = Assembled(self._plan[port[0]].outputs[port[1]].main)
        self.collected[port_name(port)] = assembled
        self.attach(port, AssembleStation(assembled, f"result {port_name(port)}", self.context))

    def _view(self, outlet: Outlet) -> None:
        port, scan, spec = outlet.port, outlet.scan, outlet.spec
        if not isinstance(spec, ViewSpec):
            return
        name = view_name(port, self._plan)
        if port[0] == SOURCE or self._plan[port[0]].kind != "fold":
            assembled = Assembled(scan.main)
            self.attach(port, AssembleStation(assembled, f"view {port_name(port)}", self.context))
            self._watched.append(Watched(name, scan, assembled, spec.every))
        for view in spec.to:
            own = view.model_copy()  # one for each output: each is opened and closed once
            own.open(port_name(port), scan.main)
            self.showing.append(Showing(own, name, self.context.board, spec.every))

    def _sink(self, outlet: Outlet) -> None:
        port, scan, spec = outlet.port, outlet.scan, outlet.spec
        if not isinstance(spec, SinkSpec):
            return
        sink = filled(spec.sink, self._plan.scan.name)
        log = None if self.checkpoint is None else self.checkpoint.log(len(self.sinks))
        before = files_of(sink)
        try:
            if log is None or log.fresh:
                sink.open(scan, self.record)
            elif scan.main.arrival:
                sink.resume(scan, self.record, log.ids(0))
            else:
                sink = sink.model_copy(update={"overwrite": True})  # by parts of one array no more than by none
                sink.open(scan, self.record)
        except Exception as error:
            take_away(sink, before)
            raise part_failed(f"sink '{sink.use}' of {port_name(port)}", error) from error
        self.sinks.append(sink)
        self._before.append(before)
        beside = outlet.beside
        station = SinkStation(
            sink, scan.main, self._plan.consumer_of(outlet), self.context, streams=1 + len(beside), log=log
        )
        self.stations.append(station)
        for each in (port, *beside):
            self.attach(each, station)

    # ---- running -----------------------------------------------------------------------------------------------------

    def input(self, stream: str) -> Buffer | None:
        """The buffer behind a stream of the source; None if nobody takes it."""
        return self._buffers.get(("stream", stream))

    def start(self) -> None:
        """Start every thread, consumers first."""
        for station in self.stations:
            station.start()
        for stage in self.stages.values():
            stage.start()
        for showing in self.showing:
            showing.start()
        self.clock.start()

    def join(self) -> None:
        """Wait until every stage and station has ended."""
        for stage in self.stages.values():
            for thread in stage.threads:
                thread.join()
        for station in self.stations:
            station.join()

    def close(self) -> None:
        """Give everything back but the sinks."""
        self.clock.end()
        self.context.board.close()
        self.context.devices.close()
        for showing in self.showing:
            showing.join(timeout=5)
        for overflow in self.overflows:
            overflow.close()

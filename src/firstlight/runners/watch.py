"""Watching what goes through a run: frames that can not be right, and the statistics of each step where they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Chunk
from firstlight.core.plan import Plan, Planned
from firstlight.core.run import IN_WORDS, Event
from firstlight.kernels.statistics import Moments, faults, moments

TOLD = 3
"""Warnings for each kind of fault of a step; the rest is only counted."""


@dataclass(slots=True)
class Fault:
    """Frames with one kind of fault."""

    frames: int
    first: int
    along: str


class Watch:
    """Looks at what the threads of a run give; safe for any number of them."""

    def __init__(self, plan: Plan, tell: Callable[[Event], None]) -> None:
        """Look as the job's runner settings say: at recorded scans always, at a detector's only if it is asked for."""
        settings = plan.job.runner
        self.statistics = settings.statistics
        self.checks = plan.job.source.pausable if settings.checks is None else settings.checks
        self._plan = plan
        self._tell = tell
        self._lock = threading.Lock()
        self._moments: dict[str, Moments] = {}
        self._faults: dict[str, dict[str, Fault]] = {}

    @property
    def every_step(self) -> bool:
        """True if each step must show its output, so that none may be fused with the next."""
        return self.statistics

    def source(self, chunk: Chunk) -> None:
        """Look at frames as they come."""
        if not (self.statistics or (self.checks and not chunk.sparse)):
            return  # frames of events alone are often empty, and never saturated
        chunk = chunk.dense()
        self._look(f"source.{chunk.stream}", chunk, "frame", raw=True, check=chunk.stream == MAIN)

    def step(self, planned: Planned, output: str, chunk: Chunk, *, taken: bool) -> None:
        """Look at what a step gave; `taken`: something beyond the stage takes it, so that one more look costs little."""
        if not (self.statistics or (self.checks and taken)):
            return
        axes = planned.outputs[output].main.arrival_axes
        along = "frame" if self._plan.works_on_source_frames(planned.name) or not axes else axes[0]
        self._look(_name(planned, output), chunk, along, raw=False, check=taken)

    def result(self, planned: Planned, output: str, array: Array) -> None:
        """Take the result of a fold, in place of an earlier one."""
        if self.statistics and array.dtype.kind in "biufc" and array.size:
            found = moments(array)
            with self._lock:
                self._moments[_name(planned, output)] = found

    def _look(self, name: str, chunk: Chunk, along: str, *, raw: bool, check: bool) -> None:
        if self.statistics and chunk.data.size:
            found = moments(chunk.data)
            with self._lock:
                self._moments[name] = self._moments.get(name, Moments()) + found
        if not (self.checks and (check or self.statistics)):
            return
        for kind, places in faults(chunk.data, raw=raw).items():
            for place in places:
                self._note(name, kind, int(chunk.ids[place]), along)

    def _note(self, name: str, kind: str, place: int, along: str) -> None:
        with self._lock:
            known = self._faults.setdefault(name, {}).get(kind)
            count = 1 if known is None else known.frames + 1
            first = place if known is None else min(known.first, place)
            self._faults[name][kind] = Fault(count, first, along)
        if count <= TOLD:
            more = " (more of them are counted in the report)" if count == TOLD else ""
            data = {"step": name, "fault": kind, "place": place}
            self._tell(Event("log", f"{name}: {along} {place} {IN_WORDS[kind]}{more}", "warning", data=data))

    def statistics_of(self) -> dict[str, dict[str, Any]]:
        """By step (``step.output`` where it has several): min, max, mean, std, values, nan, infinite."""
        with self._lock:
            return {name: found.as_dict() for name, found in self._moments.items()}

    def faults_of(self) -> dict[str, dict[str, dict[str, Any]]]:
        """By step and kind of fault: how many frames have it, the first, and along which axis it counts."""
        with self._lock:
            return {
                name: {kind: {"frames": f.frames, "first": f.first, "along": f.along} for kind, f in kinds.items()}
                for name, kinds in self._faults.items()
            }


def _name(planned: Planned, output: str) -> str:
    return planned.name if len(planned.outputs) == 1 else f"{planned.name}.{output}"

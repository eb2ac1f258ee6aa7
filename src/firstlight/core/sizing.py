"""What a plan takes: the length of the blocks, what is held in memory and what on disk, the peak, and what will bound it.

The budget covers the whole process. From it are taken, in this order: the program itself; what cannot be made smaller
(states of folds, arrays that are kept for results and views); for each stage its threads' blocks and workspace, in the
largest blocks that leave half of the budget; queues. What is left holds data between stages: whole if they fit, else
band by band where the source can be read again, else in one scratch file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np

from .chunk import MAIN, Stream
from .device_sizing import IN_FLIGHT, TARGET, DeviceSize, device_size, held_on_device, room_on, share_of, taken_on_host
from .devices import PROCESSOR
from .errors import AxesError, JobError
from .pipeline import SOURCE
from .plan import Cut, Key, Plan, Planned, Port, block_length
from .separable import can_read_bands, is_pixelwise
from .sizes import MIB, Bound, Regrouping, Sizes, StageSize, Way, shown
from .source import stored_together

PROGRAM = 240 * MIB
"""The interpreter, its libraries and compiled kernels, measured with a scan of a few KiB."""
SMALLEST = 512 * MIB
"""A budget below this is less than the program needs: it means that nothing is to be held whole, and is not checked."""
LARGEST_QUEUE, LARGEST_STATION = 256 * MIB, 64 * MIB
CHUNK = 8 * MIB
"""What a source gives at once, where it does not say."""

PIECE = 32 * 1024
"""Reads shorter than this cost more than a scratch file (docs/explanations/decisions/0009)."""

READ_RATE, WRITE_RATE = 1.5e9, 0.8e9
"""Byte per second of a good local disk: what the expected bound goes by."""
PIXEL_RATE, WHOLE_RATE = 1.0e9, 1.2e8
"""Byte per second and thread of a step on single pixels, and of one that needs an axis whole (`benchmarks/fbp.py`)."""


def sized(plan: Plan, budget: float, threads: int) -> Plan:
    """The plan with the lengths of its blocks and its sizes.

    Args:
        plan: What will run.
        budget: Byte of memory that the process may take.
        threads: Workers of each stage.

    Raises:
        JobError: It can not fit; each problem has its number and a next move.
    """
    return _Sizing(plan, budget, threads).result()


class _Sizing:
    """One pass over a plan."""

    def __init__(self, plan: Plan, budget: float, threads: int) -> None:
        self.plan, self.budget, self.threads = plan, budget, threads
        self.checked = budget >= SMALLEST
        self.program = PROGRAM + taken_on_host(plan.devices)
        self.room = max(budget - self.program, 0.0)
        self.queue = min(LARGEST_QUEUE, max(budget / 32, 4 * MIB))
        self.station = min(LARGEST_STATION, max(budget / 64, 2 * MIB))
        self.problems: list[str] = []
        given = plan.job.buffers.get(MAIN) or plan.job.buffers.get("default")
        if given is not None or not plan.job.source.pausable:
            self.queue = plan.job.buffer(MAIN).memory

    def result(self) -> Plan:
        members = self._members()
        first = [self._stage(cut, steps) for cut, steps in members if cut is None]
        fixed = self._kept() + sum(stage.shared for stage in first)
        cuts = [(cut, steps) for cut, steps in members if cut is not None]
        share = max(self.room / 2 - fixed, 0.0) / max(len(cuts), 1)
        behind = [self._fitted(cut, steps, share) for cut, steps in cuts]
        left = max(self.room - self._work(first, behind, {}) - self._kept(), 0.0)
        regroupings: list[Regrouping] = []
        for stage in behind:
            if stage.cut is not None:
                regroupings.append(self._regrouping(stage.cut, left, stage.block[0]))
                left = max(left - regroupings[-1].memory, 0.0)
        ways: dict[Key, Way] = {each.cut.key: each.way for each in regroupings}
        peak = self.program + self._kept() + self._work(first, behind, ways) + sum(each.memory for each in regroupings)
        stages = (*first, *behind)
        on_device = device_size(self.plan, [stage.device for stage in stages])
        self._check_device(on_device, stages)
        self._check(peak, stages)
        sizes = Sizes(
            budget=self.budget,
            threads=self.threads,
            queue=self.queue,
            station=self.station,
            stages=stages,
            regroupings=tuple(regroupings),
            kept=self._kept(),
            peak=peak,
            devices=on_device,
        )
        return replace(self._with_blocks(behind), sizes=sizes)

    def _members(self) -> list[tuple[Cut | None, list[Planned]]]:
        """Stages with their steps: that of the source first, then those behind each cut."""
        home: dict[Port, int] = {}
        stages: list[tuple[Cut | None, list[Planned]]] = [(None, [])]
        keys: dict[Key, int] = {}
        for planned in self.plan.steps:
            place = home.get(planned.main, 0)
            if planned.cut is not None:
                place = keys.setdefault(planned.cut.key, len(stages))
                if place == len(stages):
                    stages.append((planned.cut, []))
            stages[place][1].append(planned)
            for output in planned.outputs:
                home[planned.name, output] = place
        return stages

    # ---- stages ------------------------------------------------------------------------------------------------------

    def _stage(self, cut: Cut | None, steps: list[Planned], length: int | None = None) -> StageSize:
        stream = self.plan.scan.main if cut is None else cut.after
        frame = max(stream.frame_bytes if stream.arrival else _bytes(stream), 1)
        if cut is None:
            chunk = float(getattr(self.plan.job.source, "chunk", CHUNK))
            length, halo = int(max(1, min(chunk // frame, stream.frames or 2**62))), 0
        else:
            length, halo = length or block_length(cut), cut.halo
        whole = tuple(stream.sizes.get(label) or 1 for label in stream.frame_axes)
        maps = [planned for planned in steps if planned.kind == "map"]
        count = -(-(stream.frames or 2**31) // length)
        grown = length + 2 * halo
        return StageSize(
            name="source" if cut is None else f"blocks along {cut.along or 'nothing'}",
            cut=cut,
            steps=tuple(steps),
            block=(length, *whole) if stream.arrival else whole,
            block_bytes=frame * grown,
            result_bytes=sum(self._result(planned, maps, stream, grown) for planned in maps),
            workspace=max((_workspace(planned, length) for planned in maps), default=0),
            shared=sum(_shared(planned) for planned in steps),
            threads=min(self.threads, count),
            seconds=self._seconds(cut, maps, stream),
            device=share_of(
                maps,
                lambda planned: _part(planned.scan.main, stream, grown),
                lambda planned: _made(planned, stream, grown),
                grown,
            ),
        )

    def _result(self, planned: Planned, maps: list[Planned], stream: Stream, length: int) -> float:
        """What one step makes of a block; nothing where the next step takes its place in one loop."""
        takers = [other for other in maps if other.main[0] == planned.name]
        if len(takers) == 1 and is_pixelwise(planned) and is_pixelwise(takers[0]):
            return 0.0
        return _made(planned, stream, length)

    def _seconds(self, cut: Cut | None, maps: list[Planned], stream: Stream) -> dict[Bound, float]:
        size = _bytes(stream)
        names = {planned.name for planned in maps}
        written = sum(_bytes(o.scan.main) for o in self.plan.sinks if o.port[0] in names)
        if cut is None:
            written += sum(_bytes(o.scan.main) for o in self.plan.sinks if o.port[0] == SOURCE)
        work = 0.0
        for planned in maps:
            given = _bytes(planned.scan.main) + sum(_bytes(scan.main) for scan in planned.outputs.values())
            work += given / (PIXEL_RATE if is_pixelwise(planned) else WHOLE_RATE) / self.threads
        read = size / READ_RATE if cut is None else 0.0
        return {"read": read, "compute": work, "write": written / WRITE_RATE}

    def _fitted(self, cut: Cut, steps: list[Planned], share: float) -> StageSize:
        """The largest blocks that fit into a share of the memory, or the smallest there are.

        Half as much again goes to blocks that are as long as a step works fastest on.
        """
        length = self._longest(cut, steps)
        room = room_on(self.plan.devices) - held_on_device(self.plan)
        while length > 1:
            allowed = share if length > cut.least else 1.5 * share
            stage = self._stage(cut, steps, length)
            on_device = 0.0 if stage.device is None else IN_FLIGHT * stage.device.bytes
            if self._at_work(stage, "disk") <= allowed and on_device <= room:
                break
            length = max(length // 2, 1)
        return self._stage(cut, steps, length)

    def _longest(self, cut: Cut, steps: list[Planned]) -> int:
        """The length that a block should have: longer ones for a device, but enough of them for all that are in flight."""
        usual = block_length(cut)
        if cut.along is None or all(planned.device == PROCESSOR for planned in steps):
            return usual
        apiece = cut.stream.size(cut.along) // (IN_FLIGHT * len(self.plan.devices))
        return max(min(block_length(cut, TARGET), apiece), 1)

    def _at_work(self, stage: StageSize, way: Way) -> float:
        """With the results that wait to be written.

        Blocks are parts of what is held, unless they come from disk: then two wait beside those in work, and one is
        turned while it is read.
        """
        cut = stage.cut
        count = 1 if cut is None or cut.along is None else -(-cut.stream.size(cut.along) // stage.block[0])
        written = min(1, max(count - stage.threads, 0)) * stage.result_bytes
        own = way == "disk" or cut is None or cut.along is None or cut.halo > 0
        blocks = min(stage.threads + 2, count) + (way == "disk") if own else 0
        return stage.bytes - stage.threads * stage.block_bytes + blocks * stage.block_bytes + written

    def _work(self, first: list[StageSize], behind: list[StageSize], ways: Mapping[Key, Way]) -> float:
        """Queues and the work of the stages: that of the source ends before the others begin, but for bands."""
        main = self.plan.scan.main
        queue = min(self.queue, _bytes(main)) if main.frames else self.queue
        reading = sum(stage.bytes + 2 * stage.block_bytes for stage in first) + queue
        if not behind:
            return reading
        computing = sum(
            self._at_work(each, ways.get(each.cut.key, "memory")) for each in behind if each.cut is not None
        )
        again = sum(each.block_bytes + each.result_bytes for each in first) if "bands" in ways.values() else 0.0
        return max(reading, computing + again + sum(stage.shared for stage in first))

    def _kept(self) -> float:
        """Arrays that are put together in memory: twice those that become results."""
        fold_names = {planned.name for planned in self.plan.steps if planned.kind == "fold"}
        views = {o.port: _bytes(o.scan.main) for o in self.plan.views if o.port[0] not in fold_names}
        return sum(views.values()) + 2 * sum(_bytes(o.scan.main) for o in self.plan.collected)

    # ---- regrouping --------------------------------------------------------------------------------------------------

    def _regrouping(self, cut: Cut, room: float, step: int) -> Regrouping:
        wanted = self.plan.job.runner.regroup
        along = cut.along
        if wanted == "memory" or (wanted == "auto" and (cut.bytes <= room or along is None)):
            return Regrouping(cut, "memory", cut.stream.sizes.get(str(along)) or 1, cut.bytes)
        if along is not None and wanted in ("auto", "bands") and can_read_bands(self.plan, cut):
            size = cut.stream.size(along)
            each = cut.bytes / size
            rows = int(min(max(room / 2 / each - 2 * cut.halo, 1), size))
            rows = max(rows // step, 1) * step
            if wanted == "bands" or self._reads_well(along, rows):
                memory = min(2 * (rows + 2 * cut.halo) * each, cut.bytes)
                return Regrouping(cut, "bands", min(rows, size), memory)
        return Regrouping(cut, "disk", cut.stream.sizes.get(str(along)) or 1, 0.0, cut.bytes)

    def _reads_well(self, along: str, rows: int) -> bool:
        """True if a band is no small part of what the source stores together, and is read in pieces of a good size."""
        main = self.plan.scan.main
        inner = main.frame_axes[main.frame_axes.index(along) :]
        piece = rows * prod(main.sizes.get(label) or 1 for label in inner[1:]) * np.dtype(main.dtype).itemsize
        return rows >= stored_together(self.plan.job.played, along) and piece >= PIECE

    def _with_blocks(self, behind: list[StageSize]) -> Plan:
        lengths = {stage.cut.key: stage.block[0] for stage in behind if stage.cut is not None}
        steps = tuple(
            planned
            if planned.cut is None or planned.cut.along is None
            else replace(planned, cut=replace(planned.cut, length=lengths[planned.cut.key]))
            for planned in self.plan.steps
        )
        return replace(self.plan, steps=steps)

    # ---- refusing ----------------------------------------------------------------------------------------------------

    def _check_device(self, found: DeviceSize | None, stages: tuple[StageSize, ...]) -> None:
        """A device that has no room for one block.

        Raises:
            DeviceTooSmall: The numbers, and what to do.
        """
        if found is None or found.in_flight:
            return
        worst = max((s.device for s in stages if s.device is not None), key=lambda share: share.bytes)
        least = min(found.devices, key=lambda device: device.free)
        raise DeviceTooSmall(
            [
                f"runner.device: the smallest block of {', '.join(worst.steps)} takes {shown(worst.bytes)} on a device"
                f" (and {shown(found.held)} for images that are kept there), and {least.name} has {shown(least.free)}"
                " free. End what else uses it, name a larger one, or set runner.device to 'cpu'."
            ]
        )

    def _check(self, peak: float, stages: tuple[StageSize, ...]) -> None:
        """What can not be made to fit.

        Raises:
            JobError: The numbers, and what to do.
        """
        if not self.checked or peak <= self.budget:
            return
        worst = max(stages, key=lambda stage: stage.bytes)
        more = f"Give it --memory {np.ceil(peak / 2**30 * 10) / 10:g}G or more"
        problems: list[str] = []
        for planned in (each for stage in stages for each in stage.steps if _shared(each) > self.room):
            problems.append(
                f"step '{planned.name}': it must hold {shown(_shared(planned))}, and the memory budget is"
                f" {shown(self.budget)}. {more}, or let it hold less (fewer projections, a smaller window)."
            )
        single = worst.bytes - (worst.threads - 1) * (worst.bytes - worst.shared) / worst.threads
        if not problems and self._kept() > self.room:
            problems.append(
                f"memory: results and views take {shown(self._kept())}, and the budget is {shown(self.budget)}."
                f" {more}, or write them to a sink and view less."
            )
        if not problems:
            fewer = ", or runner.threads=1" if worst.threads > 1 and single < self.room else ""
            problems.append(
                f"memory: {shown(peak)} are needed with the smallest blocks, and the budget is {shown(self.budget)}."
                f" Most is taken by {', '.join(p.name for p in worst.steps) or 'reading'}: {shown(worst.bytes)} on"
                f" {worst.threads} threads. {more}{fewer}."
            )
        raise JobError(problems)


class DeviceTooSmall(JobError):
    """A device has no room for the smallest block."""


def _part(given: Stream, stream: Stream, length: int) -> float:
    """What a block of `length` positions of the stage's stream has of another one."""
    known = all(given.sizes.get(label) for label in given.axes)
    share = length / (stream.frames or length) if stream.arrival else 1.0
    return _bytes(given) * (share if known else length)


def _made(planned: Planned, stream: Stream, length: int) -> float:
    """What a step makes of a block."""
    return sum(_part(scan.main, stream, length) for scan in planned.outputs.values())


def _shared(planned: Planned) -> float:
    """What a step holds once: the state of a fold, or the tables of a step for all of its threads."""
    try:
        return planned.step.shared(planned.scan) if planned.kind == "map" else _workspace(planned, 1)
    except AxesError:
        return 0.0


def _workspace(planned: Planned, length: int) -> float:
    """What one thread needs for a block; 0 as long as the size of the detector is not known."""
    try:
        return planned.step.workspace(planned.scan, length)
    except AxesError:
        return 0.0


def _bytes(stream: Stream) -> float:
    return float(prod(stream.sizes.get(label) or 1 for label in stream.axes)) * np.dtype(stream.dtype).itemsize

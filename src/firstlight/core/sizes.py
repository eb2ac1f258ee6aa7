"""The sizes of a plan, as the planner finds them (`core.sizing`) and `firstlight check` prints them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .plan import Cut, Planned, port_name

if TYPE_CHECKING:
    from .device_sizing import DeviceShare, DeviceSize

MIB = 2.0**20

Way = Literal["memory", "bands", "disk"]
"""How data are regrouped: held whole, read again band by band, or through a scratch file."""
Bound = Literal["read", "compute", "write"]


@dataclass(frozen=True, slots=True)
class StageSize:
    """One stage: what runs between two regroupings."""

    name: str
    cut: Cut | None
    steps: tuple[Planned, ...]
    block: tuple[int, ...]
    """Shape of what one thread takes at once: frames or positions in front."""
    block_bytes: float
    """Of one block with its neighbours."""
    result_bytes: float
    """Of everything that its steps make of one block."""
    workspace: float
    """Of one thread, beyond block and results."""
    shared: float
    """What all threads use together: tables, states of folds."""
    threads: int
    seconds: Mapping[Bound, float] = field(default_factory=dict[Bound, float])
    device: DeviceShare | None = None
    """What a block takes on a device; None where the processor does everything."""

    @property
    def bytes(self) -> float:
        """With every thread at work."""
        return self.threads * (self.block_bytes + self.result_bytes + self.workspace) + self.shared

    @property
    def bound(self) -> Bound:
        """What probably takes longest."""
        return max(self.seconds, key=lambda name: self.seconds[name])


@dataclass(frozen=True, slots=True)
class Regrouping:
    """How the data of one cut are held between its stages."""

    cut: Cut
    way: Way
    rows: int
    """Positions along the axis of the blocks that are held at once."""
    memory: float
    disk: float = 0.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a whole plan, in byte."""

    budget: float
    threads: int
    queue: float
    """Of the buffer behind the source's main stream."""
    station: float
    """Of the buffer of each sink and regrouping."""
    stages: tuple[StageSize, ...]
    regroupings: tuple[Regrouping, ...]
    kept: float
    """Of results and views that are assembled in memory."""
    peak: float
    """The most memory of the process that is expected."""
    devices: DeviceSize | None = None
    """What it takes of every device beside the processor."""

    @property
    def disk(self) -> float:
        """Scratch space."""
        return sum(each.disk for each in self.regroupings)

    def regrouping(self, cut: Cut) -> Regrouping:
        """Of one cut."""
        return next(each for each in self.regroupings if each.cut.key == cut.key)

    def describe(self) -> list[str]:
        """In lines, for ``firstlight check``."""
        memory = f"{shown(self.peak)} of {shown(self.budget)} expected at most"
        if self.peak > self.budget:
            memory = (
                f"{shown(self.peak)} expected at most, in the smallest blocks: more than the {shown(self.budget)} given"
            )
        lines = [f"memory: {memory}, scratch disk: {shown(self.disk)}, {self.threads} threads"]
        lines += [] if self.devices is None else describe_devices(self.devices)
        for number, stage in enumerate(self.stages, 1):
            steps = ", ".join(planned.name for planned in stage.steps) or "(nothing but reading)"
            lines.append(
                f"  stage {number} ({stage.name}): {steps}; blocks of {' × '.join(map(str, stage.block))}"
                f" ({shown(stage.block_bytes)}), {shown(stage.bytes)} with {stage.threads} at work,"
                f" expected bound: {stage.bound}"
            )
            lines += [f"    {describe_share(stage, self.devices)}"] if self.devices is not None else []
        return lines + [f"  {describe_regrouping(each)}" for each in self.regroupings]


def describe_devices(found: DeviceSize) -> list[str]:
    """A line for each device."""
    return [
        f"device {each.name} ({each.title}): {shown(found.bytes)} of {shown(each.free)} held at most,"
        f" {found.in_flight} blocks at once"
        for each in found.devices
    ]


def describe_share(stage: StageSize, devices: DeviceSize) -> str:
    """Where the steps of a stage run."""
    share = stage.device
    if share is None:
        return "on the processor"
    left = [each.name for each in stage.steps if each.name not in share.steps]
    others = f"; on the processor: {', '.join(left)}" if left else ""
    names = ", ".join(each.name for each in devices.devices)
    return f"on {names}: {', '.join(share.steps)}, {shown(share.bytes)} there for each block{others}"


def describe_regrouping(each: Regrouping) -> str:
    """One line."""
    size = each.cut.stream.sizes.get(str(each.cut.along)) or 1
    place = f"regroup {port_name(each.cut.port)} ({shown(each.cut.bytes)})"
    if each.way == "memory":
        return f"{place}: held whole in memory"
    if each.way == "disk":
        return f"{place}: through a scratch file of {shown(each.disk)}"
    passes = -(-size // each.rows)
    return f"{place}: {passes} bands of {each.rows} along {each.cut.along}, each read from the source again"


def shown(count: float) -> str:
    """A number of byte, for people."""
    if count == float("inf"):
        return "unlimited memory"
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / MIB:.1f} MiB"

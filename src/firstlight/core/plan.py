"""Plans: which step works on what, where the data are regrouped, and how many bytes that takes.

The planner walks the graph once. Where a step needs, unbracketed, the axis along which data arrive, it cuts a stage: the
data are gathered whole and come again in blocks along another axis. A held input that is known only at the end of the
same stream cuts too.

A step that needs the axis of the blocks only with a halo (``row~1``) does not cut: the cut in front of its stage hands out
blocks that overlap by all the halos along the way, and each step leaves the margin that those behind it need.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from .arrange import Arrange
from .chunk import MAIN, Scan, Stream
from .errors import AxesError
from .fold import Fold
from .job import Job, SinkSpec, SnapshotSpec, ViewSpec
from .operator import Operator
from .pipeline import SOURCE, BeforeFirst, Node
from .source import RandomAccess
from .step import Step

if TYPE_CHECKING:
    from .devices import Device
    from .sizes import Regrouping, Sizes

Port = tuple[str, str]
"""(step, output), or ("source", stream)."""
Key = tuple[Port, str | None]
"""Of a cut: the port, and the axis along which the blocks come."""

Kind = Literal["map", "fold", "arrange"]


def port_name(port: Port) -> str:
    """As the user writes it."""
    return ".".join(port)


@dataclass(frozen=True, slots=True)
class Cut:
    """A regrouping: everything of a port is gathered, then comes in blocks along another axis."""

    port: Port
    stream: Stream
    """What is gathered."""
    along: str | None
    """The axis of the blocks; None: one block with everything."""
    halo: int = 0
    """Neighbours that each block brings along on both sides: the most that any way through the stage needs."""
    least: int = 1
    """Positions that a block has at least, where a step of the stage works fastest on several."""
    length: int | None = None
    """Positions that a block has, once the plan is sized (`core.sizing`)."""

    @property
    def bytes(self) -> int:
        """Size of the gathered array in byte."""
        return self.stream.frame_bytes * (self.stream.frames or 0)

    @property
    def after(self) -> Stream:
        """What comes out: blocks along one axis, every other axis whole."""
        rest = tuple(label for label in self.stream.axes if label != self.along)
        axes = rest if self.along is None else (self.along, *rest)
        first = self.stream.first if self.same_frames else 0
        return replace(self.stream, axes=axes, arrival=0 if self.along is None else 1, first=first)

    @property
    def same_frames(self) -> bool:
        """True if the blocks are the same frames again, under their own ids."""
        return self.along is not None and self.stream.arrival_axes == (self.along,)

    @property
    def key(self) -> Key:
        """Cuts of one port along one axis are the same cut."""
        return (self.port, self.along)


@dataclass(frozen=True, slots=True)
class Planned:
    """One step, with where its data come from and what goes out."""

    node: Node
    step: Step
    kind: Kind
    main: Port
    scan: Scan
    """What the step sees; `scan.main` is its (regrouped) input."""
    outputs: Mapping[str, Scan]
    """By output: the scan whose main stream is that output."""
    ports: Mapping[str, Port] = field(default_factory=dict[str, Port])
    """Further data arguments that arrive in pieces too."""
    held: Mapping[str, Port] = field(default_factory=dict[str, Port])
    """Data arguments that are held inputs."""
    held_parameters: Mapping[str, Port] = field(default_factory=dict[str, Port])
    before_first: BeforeFirst = "hold"
    cut: Cut | None = None
    by_set: bool = False
    """Fold of dark or flat frames: one result per set."""
    along: str | None = None
    """The axis of the blocks, where the step needs it with a halo: a block is one array for it, not many frames."""
    halo: int = 0
    """Neighbours along that axis that it needs on each side."""
    margin: int = 0
    """Neighbours on each side that the steps behind it in the same stage need of its output."""
    device: str = "cpu"
    """Which of its bodies works (`core.devices.placed`)."""

    @property
    def reach(self) -> int:
        """Neighbours on each side that it needs to get, for itself and for the steps behind it."""
        return self.halo + self.margin

    @property
    def name(self) -> str:
        """The name of the step."""
        return self.node.name

    def axes_of(self, argument: str) -> tuple[str, ...]:
        """The axes that the step sees whole of one of its data arguments."""
        return self.step.signature.inputs[self.step.arguments.index(argument)].whole


@dataclass(frozen=True, slots=True)
class Outlet:
    """A sink or a view, and the port that feeds it."""

    port: Port
    scan: Scan
    spec: SinkSpec | ViewSpec | SnapshotSpec | None
    """None: collected in memory as a result."""

    @property
    def beside(self) -> tuple[Port, ...]:
        """The source's other streams, for a sink that captures the whole scan."""
        if self.port != (SOURCE, MAIN) or not isinstance(self.spec, SinkSpec) or not self.spec.sink.captures:
            return ()
        return tuple((SOURCE, stream) for stream in self.scan.streams if stream != MAIN)


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole job, ready for a runner."""

    job: Job
    scan: Scan
    steps: tuple[Planned, ...]
    sinks: tuple[Outlet, ...]
    views: tuple[Outlet, ...]
    collected: tuple[Outlet, ...]
    sizes: Sizes | None = None
    """What it takes, once the budget is known (`core.sizing.sized`)."""
    snapshots: tuple[Outlet, ...] = ()
    devices: tuple[Device, ...] = ()
    """Those that share the blocks of the steps that are placed there."""

    def __getitem__(self, name: str) -> Planned:
        """A step by name."""
        for planned in self.steps:
            if planned.name == name:
                return planned
        raise KeyError(name)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """Every regrouping, once."""
        return tuple({p.cut.key: p.cut for p in self.steps if p.cut is not None}.values())

    def regrouping(self, cut: Cut) -> Regrouping:
        """How the data of a cut are held: whole in memory, where no budget says otherwise."""
        if self.sizes is not None:
            return self.sizes.regrouping(cut)
        from .sizes import Regrouping

        return Regrouping(cut, "memory", cut.stream.sizes.get(str(cut.along)) or 1, cut.bytes)

    @property
    def reads_again(self) -> bool:
        """True if the source is read in bands after its frames were played, or by a fold."""
        bands = self.sizes is not None and any(each.way == "bands" for each in self.sizes.regroupings)
        return bands or any(self.may_read(planned) for planned in self.steps)

    def may_read(self, planned: Planned) -> bool:
        """True if a fold works on the source's own frames, makes use of reading them again, and can."""
        step, own = planned.step, planned.main == (SOURCE, MAIN) and planned.cut is None
        return isinstance(step, Fold) and step.rereads and own and isinstance(self.job.played, RandomAccess)

    def counts_source_frames(self, consumer: str) -> bool:
        """True if a consumer gets the source's own frames, not what was regrouped.

        Consumers are steps, by name, and ``sink step.output`` or ``result step.output``; views are no consumers.
        """
        role, _, port = consumer.rpartition(" ")
        if role:
            step, _, output = port.partition(".")
            return role != "view" and self._of_source((step, output))
        planned = self[consumer]
        return not planned.by_set and self._of_source(planned.main)

    def consumer_of(self, outlet: Outlet) -> str:
        """Under which name a sink counts: of several that write the same output, each has a name of its own."""
        alike = [each for each in self.sinks if each.port == outlet.port and isinstance(each.spec, SinkSpec)]
        at = next((at for at, each in enumerate(alike) if each is outlet), 0)
        return f"sink {at + 1} {port_name(outlet.port)}" if at else f"sink {port_name(outlet.port)}"

    def works_on_source_frames(self, step: str) -> bool:
        """True if a step gets the source's own frames, under their own ids; False behind a regrouping, its own included."""
        planned = self[step]
        return self.counts_source_frames(step) and (planned.cut is None or planned.cut.same_frames)

    def _of_source(self, port: Port) -> bool:
        if port[0] == SOURCE:
            return port[1] == MAIN
        planned = self[port[0]]
        keeps = planned.kind == "map" or (planned.kind == "arrange" and bool(getattr(planned.step, "keeps_ids", False)))
        return keeps and planned.cut is None and self._of_source(planned.main)

    @property
    def held_of_maps(self) -> tuple[Port, ...]:
        """Held inputs that a map step makes of what a fold gave."""
        held = [port for p in self.steps for port in (*p.held.values(), *p.held_parameters.values())]
        return tuple(dict.fromkeys(port for port in held if port[0] != SOURCE and self[port[0]].kind != "fold"))

    def waits_for_a_fold(self, planned: Planned) -> bool:
        """True if a step holds its frames until a fold of the same stream gives its first result."""
        return planned.kind == "map" and planned.cut is None and shares_origin(planned, self._origin)

    def _origin(self, port: Port) -> Port:
        """The stream of the source that feeds a port."""
        return port if port[0] == SOURCE else self._origin(self[port[0]].main)

    def describe(self) -> list[str]:
        """The plan in lines, for ``firstlight check``."""
        sized = all(self.scan.main.sizes.get(label) is not None for label in self.scan.main.frame_axes)
        lines = [
            f"source {self.job.source.use}: " + "; ".join(_describe_stream(n, s) for n, s in self.scan.streams.items())
        ]
        for planned in self.steps:
            if planned.cut is not None:
                size = f"{planned.cut.bytes / 2**20:.1f} MiB" if sized else "?"
                lines.append(
                    f"  -- stage: gather {port_name(planned.cut.port)} ({size}),"
                    f" blocks along {planned.cut.along or '(one block)'}"
                    + (f" with a halo of {planned.cut.halo}" if planned.cut.halo else "")
                )
            out = "; ".join(_describe_stream(name, scan.main) for name, scan in planned.outputs.items())
            length = 1 if planned.cut is None or not sized else block_length(planned.cut)
            room = planned.step.workspace(planned.scan, length) if sized else 0
            needs = f", workspace {room / 2**20:.1f} MiB" if room else ""
            lines.append(f"  {planned.name} ({planned.kind}) from {port_name(planned.main)} -> {out}{needs}")
        lines += [f"sink {o.spec.sink.use}: {port_name(o.port)}" for o in self.sinks if isinstance(o.spec, SinkSpec)]
        lines += [f"view: {port_name(o.port)}" for o in self.views]
        lines += [f"snapshot: {port_name(o.port)}" for o in self.snapshots]
        return lines if self.sizes is None else lines + self.sizes.describe()


def _describe_stream(name: str, stream: Stream) -> str:
    sizes = " × ".join(f"{label}={stream.sizes.get(label) or '?'}" for label in stream.axes) or "scalar"
    return f"{name} [{sizes}] {stream.dtype}"


def kind_of(step: Step) -> Kind:
    """Whether a step maps, folds or arranges."""
    if isinstance(step, Fold):
        return "fold"
    return "arrange" if isinstance(step, Arrange) else "map"


def shares_origin(planned: Planned, origin: Callable[[Port], Port]) -> bool:
    """True if a step holds its frames for something that is made of the same stream of the source."""
    held = (*planned.held.values(), *planned.held_parameters.values())
    return planned.before_first == "hold" and any(origin(port) == origin(planned.main) for port in held)


def halo_axis(step: Step, scan: Scan, found: Collection[str] = ()) -> str | None:
    """The arrival axis that a step needs with a halo alone, and that its outputs keep; None if there is none.

    Args:
        step: The step.
        scan: What it sees.
        found: Parameters that other steps find while the job runs. A halo that depends on them can not be planned.
    """
    first, stream = step.signature.first, scan.main
    label = next((label for label in stream.arrival_axes if label in first.halo), None)
    if label is None or not isinstance(step, Operator) or step.wants_held:
        return None
    if any(name in first.halo.values() for name in found) or (found and "halo" in step.hooks):
        return None
    kept = all(label in pattern.whole for pattern in step.signature.outputs.values())
    size = stream.sizes.get(label)
    return label if kept and step.sizes(stream.sizes, scan).get(label, size) == size else None


def stage_cut(step: Step, port: Port, stream: Stream, along: str | None = None) -> Cut | None:
    """The regrouping that a step needs, or None; `along` is the axis of `halo_axis`, for want of a free one.

    Raises:
        AxesError: The scan has no known end, so that it can never be complete.
    """
    needed = [label for label in stream.arrival_axes if label in step.signature.first.whole]
    if not needed:
        return None
    if stream.frames is None:
        raise AxesError(
            f"'{step.use}' needs the axis '{needed[0]}' whole, but the scan has no known end.",
            field="axes",
            value=" ".join(stream.axes),
            next_move=f"Put a 'window' step before it, or say how many {needed[0]}s will come (the source's 'frames').",
        )
    free = [label for label in stream.axes if label not in step.signature.first.whole]
    return Cut(port, stream, free[0] if free else along)


def fold_cut(step: Step, port: Port, stream: Stream) -> Cut | None:
    """The regrouping that a fold needs: the axis that it takes in pieces is none of those along which data arrive.

    Sinograms that come row by row are gathered for a fold over `[angle]`, and come again as projections.

    Raises:
        AxesError: The scan has no known end, so that it can never be complete.
    """
    pieces = step.signature.first.pieces
    if "*" in pieces or not stream.arrival_axes or all(label in stream.arrival_axes for label in pieces):
        return None
    along = next(label for label in pieces if label not in stream.arrival_axes)
    if along not in stream.axes:
        return None  # what is missing is told where the step's outputs are found
    if stream.frames is None:
        raise AxesError(
            f"'{step.use}' folds '{along}', but the data come along '{' '.join(stream.arrival_axes)}' without a known end.",
            field="axes",
            value=" ".join(stream.axes),
            next_move=f"Say how many {stream.arrival_axes[0]}s will come (the source's 'frames').",
        )
    return Cut(port, stream, along)


def with_margins(steps: Collection[Planned], origin: Callable[[Port], Port]) -> list[Planned]:
    """The steps with the margin that each leaves, and their cuts with the halo and the least block that their stages need."""
    reach: dict[Port, int] = {}
    least: dict[Port, int] = {}
    halos: dict[Key, int] = {}
    blocks: dict[Key, int] = {}
    found: list[Planned] = []
    for planned in reversed(list(steps)):
        outputs = [(planned.name, output) for output in planned.outputs]
        margin = max((reach.get(port, 0) for port in outputs), default=0)
        block = max(planned.step.block(), *(least.get(port, 1) for port in outputs)) if planned.kind == "map" else 1
        found.insert(0, wide := replace(planned, margin=margin if planned.kind == "map" else 0))
        if planned.cut is not None:
            halos[planned.cut.key] = max(halos.get(planned.cut.key, 0), wide.reach)
            blocks[planned.cut.key] = max(blocks.get(planned.cut.key, 1), block)
        elif planned.kind == "map" and not shares_origin(planned, origin):
            reach[planned.main] = max(reach.get(planned.main, 0), wide.reach)
            least[planned.main] = max(least.get(planned.main, 1), block)
    return [
        p if p.cut is None else replace(p, cut=replace(p.cut, halo=halos[p.cut.key], least=blocks[p.cut.key]))
        for p in found
    ]


LARGEST_BLOCK = 512 * 2**20
"""Bytes that a block may have at most, however many positions a step would like."""


def block_length(cut: Cut, target_bytes: float = 16 * 2**20) -> int:
    """How many positions along the block axis make a block of a good size."""
    if cut.along is None:
        return 1
    if cut.length is not None:
        return cut.length
    count = cut.stream.size(cut.along)
    each = max(cut.bytes // max(count, 1), 1)
    least = min(cut.least, max(int(LARGEST_BLOCK // each), 1))
    length = max(target_bytes // each // least, 1) * least
    worth = min(2 * cut.halo, LARGEST_BLOCK // each)  # a block shorter than its margins is mostly read for others
    return int(min(max(length, worth), count))


def source_port(stream: str) -> Port:
    """The port of a stream of the source."""
    return (SOURCE, stream)

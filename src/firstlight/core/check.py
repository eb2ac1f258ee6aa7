"""Checking a job against a scan: every mistake in one report, before the first frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from . import registry
from .chunk import MAIN, Scan
from .errors import FirstlightError, JobError
from .fold import Fold
from .job import Job, SnapshotSpec, ViewSpec
from .known import Known
from .pipeline import SOURCE, BeforeFirst, Emit, Node, Reference
from .plan import (
    Cut,
    Outlet,
    Plan,
    Planned,
    Port,
    fold_cut,
    halo_axis,
    kind_of,
    port_name,
    source_port,
    stage_cut,
    with_margins,
)
from .step import Step
from .waiting import Waiting, check_waiting, unplannable

EMIT_TO_FOLDS = Emit(seconds=1.0)
"""How often a fold hands on a parameter to another fold that does not wait for it."""


def check(job: Job, scan: Scan) -> Plan:
    """Plan a job.

    Raises:
        JobError: It can not run; every mistake is named, with the step that has it.
    """
    scan = replace(scan, calibration={**scan.calibration, **job.calibration})
    planner = _Planner(job, scan)
    planner.check_buffers()
    for node in job.pipeline.nodes:
        planner.place(node)
    sinks = planner.outlets([(spec.of, spec) for spec in job.sinks])
    views = planner.outlets([(spec.of, spec) for spec in job.views])
    snapshots = planner.outlets([(spec.of, spec) for spec in job.snapshots])
    if not planner.broken:
        planner.find_unused(sinks, views)
    if planner.problems:
        raise JobError(planner.problems)
    return Plan(
        job,
        scan,
        planner.steps_in_force(),
        tuple(sinks),
        tuple(views),
        tuple(planner.collected),
        snapshots=tuple(snapshots),
    )


@dataclass(slots=True)
class _Planner(Known):
    """Places one step after the other."""

    collected: list[Outlet] = field(default_factory=list[Outlet])

    def check_buffers(self) -> None:
        """A detector that can not be paused must not be made to wait, unless it has a buffer of its own."""
        waiting = [name for name in self.scan.streams if self.job.buffer(name).policy == "wait"]
        if not self.job.source.pausable and not self.job.source.holds() and waiting:
            self.problems.append(
                f"buffers: the source '{self.job.source.use}' can not be paused, but the buffer of"
                f" {', '.join(map(repr, waiting))} has the policy 'wait'. Expected spill, drop_oldest or fail."
            )

    def place(self, node: Node) -> None:
        """Find the inputs of one step, its cut, and what it gives."""
        before = len(self.problems)
        planned = self._plan(node)
        if planned is None or len(self.problems) > before:
            self.broken.add(node.name)
            return
        self.add(planned)

    def _plan(self, node: Node) -> Planned | None:
        where = f"step '{node.name}'"
        main = self._main(node, where)
        if main is None:
            return None
        ports, held = self._arguments(node, where)
        if kind_of(node.step) == "fold" and ports:
            main, ports = self._joined(node, main, ports), {}
        parameters = {
            name: port for name, reference in node.held.items() if (port := self.resolve(reference, where)) is not None
        }
        try:
            planned = self._planned(node, main, ports, held, parameters)
        except FirstlightError as error:
            self.problems.append(f"{where}: {error}")
            return None
        except TypeError as error:
            if not isinstance(node.step, Waiting):
                raise
            self.problems.append(f"{where}: {unplannable(node.step, error)}")
            return None
        self._check_waits(planned)
        self._check_held(planned)
        return planned

    def _planned(
        self,
        node: Node,
        main: Port,
        ports: Mapping[str, Port],
        held: Mapping[str, Port],
        parameters: Mapping[str, Port],
    ) -> Planned:
        """One step whose inputs are known.

        Raises:
            FirstlightError: It can not work on them.
            TypeError: It waits for a value without which its sizes can not be known.
        """
        kind, seen = kind_of(node.step), self.known[main]
        before_first: BeforeFirst = node.before_first or ("pass" if kind == "fold" and not held else "hold")
        check_waiting(node.step, kind, before_first)
        cut, along = self._cut(node, main, parameters, held, before_first)
        scan = seen if cut is None else seen.with_main(cut.after)
        step = node.step.calibrated(scan)
        return Planned(
            node=node,
            step=step,
            kind=kind,
            main=main,
            scan=scan,
            outputs=self._outputs(step, scan, kind, along),
            ports=ports,
            held=held,
            held_parameters=parameters,
            before_first=before_first,
            cut=cut,
            by_set=main[0] == SOURCE and main[1] != MAIN,
            along=along,
            halo=0 if along is None else step.halo().get(along, 0),
        )

    def _cut(
        self,
        node: Node,
        main: Port,
        parameters: Mapping[str, Port],
        held: Mapping[str, Port],
        before_first: BeforeFirst,
    ) -> tuple[Cut | None, str | None]:
        """The regrouping in front of a step, and the axis of the blocks if the step needs that with a halo."""
        seen, kind = self.known[main], kind_of(node.step)
        waited = (*parameters.values(), *held.values())
        along = halo_axis(node.step, seen, parameters) if kind == "map" else None
        waits = before_first == "hold" and any(self.origin(port) == self.origin(main) for port in waited)
        inside = along is not None and not waits and self.in_blocks(main)
        cut = None
        if kind == "fold":
            cut = fold_cut(node.step, main, seen.main)
        elif kind == "map" and not inside:
            cut = stage_cut(node.step, main, seen.main, along)
        cut = cut or self._held_cut(node, main, seen, waited, before_first)
        return cut, along if cut is None or cut.along == along else None

    def _check_held(self, planned: Planned) -> None:
        """Values that can be held, by a step that can take them."""
        where = f"step '{planned.name}'"
        for name, port in planned.held_parameters.items():
            if self.known[port].main.arrival:
                self.problems.append(
                    f"{where}: '{name}' comes from '{port_name(port)}', which gives something for every frame"
                    f" ({' '.join(self.known[port].main.axes)}). Put a step that folds, such as mean, in between."
                )
            self.problems += [
                f"{where}: '{name}' comes from '{port_name(port)}' with {there} values along {label}, and the data have"
                f" {here} here. Put both steps behind what changes the {label}s."
                for label, there in self.known[port].main.sizes.items()
                if there and (here := planned.scan.main.sizes.get(label)) and here != there
            ]
        adapt: object = getattr(type(planned.step), "adapt", None)
        if planned.kind == "fold" and planned.held_parameters and adapt is Fold[object].adapt:
            self.problems.append(
                f"{where}: {', '.join(planned.held_parameters)} comes from another step while it folds, and"
                f" '{planned.step.use}' can not change its parameters then. Give it a number."
            )
        same = all(
            scan.main.axes == planned.scan.main.axes and scan.main.sizes == planned.scan.main.sizes
            for scan in planned.outputs.values()
        )
        if planned.held and planned.before_first == "pass" and planned.kind == "map" and not same:
            self.problems.append(
                f"{where}: frames can not pass without {', '.join(planned.held)}, because the step changes their shape."
                " Give it 'before_first: hold'."
            )

    def _outputs(self, step: Step, scan: Scan, kind: str, along: str | None = None) -> Mapping[str, Scan]:
        if kind == "fold":
            self._check_fold(step, scan)
        calibration = step.calibration(scan)
        streams = step.after(scan) if along is None else step.after_blocks(scan, along)
        return {name: replace(scan.with_main(stream), calibration=calibration) for name, stream in streams.items()}

    def _check_fold(self, step: Step, scan: Scan) -> None:
        first = step.signature.first
        if "*" in first.pieces:
            return
        free = step.free_axes(scan.main)
        if free:
            swept = sorted({label.rpartition(".")[0] for label in free if "." in label})
            raise FirstlightError(
                f"'{step.use}' folds {' '.join(first.pieces)}, and the axes {' '.join(free)} would be left over.",
                field="axes",
                value=" ".join(scan.main.axes),
                next_move=f"{', '.join(swept)} takes several values: let '{step.use}' work on a step before it (inputs), or give"
                " yourself what it would find, such as --set fbp.center=296."
                if swept
                else "Fold those axes before, or pick one position of them.",
            )

    def _main(self, node: Node, where: str) -> Port | None:
        argument = node.step.arguments[0]
        if argument in node.inputs:
            return self.resolve(node.inputs[argument], where)
        place = [n.name for n in self.job.pipeline.nodes].index(node.name)
        if place == 0:
            return source_port(MAIN)
        before = self.job.pipeline.nodes[place - 1]
        return self.resolve(Reference(before.name), where)

    def _arguments(self, node: Node, where: str) -> tuple[dict[str, Port], dict[str, Port]]:
        """Data arguments after the first: those that arrive in pieces too, and those that are held."""
        ports: dict[str, Port] = {}
        held: dict[str, Port] = {}
        for argument, pattern in zip(node.step.arguments[1:], node.step.signature.inputs[1:], strict=False):
            reference = node.inputs.get(argument, Reference(SOURCE, argument))
            if argument not in node.inputs and argument not in self.scan.streams:
                self.problems.append(
                    f"{where}: it needs '{argument}', and the source has no stream of that name (it has: {', '.join(self.scan.streams)})."
                    f" Say where it comes from: inputs: {{{argument}: …}}."
                    + (" Or give the source its dark_level." if hasattr(self.job.source, f"{argument}_level") else "")
                )
                continue
            port = self.resolve(reference, where)
            if port is None:
                continue
            if pattern.pieces or kind_of(node.step) == "arrange":
                ports[argument] = port
            else:
                held[argument] = self._one_image(port, pattern.whole, where)
        return ports, held

    def _one_image(self, port: Port, axes: tuple[str, ...], where: str) -> Port:
        """The port itself, or a fold put in front where more comes than one image is asked for.

        That is the mean of frames, and all slices together where their axis is asked for too.
        """
        stream = self.known[port].main
        slices = stream.arrival == 1 and stream.axes == axes == ("z", "y", "x")
        if not slices and (stream.arrival == 0 or stream.frame_axes != axes):
            if stream.arrival:
                self.problems.append(
                    f"{where}: '{port_name(port)}' has the axes {' '.join(stream.axes)}. Expected frames of {' '.join(axes)}."
                )
            return port
        name = f"{'all' if slices else 'mean'}_of_{port[1] if port[0] == SOURCE else port[0]}"
        if (name, "data") not in self.known:
            fold: Fold[object] = registry.get("operators", "assemble" if slices else "mean")()
            seen = self.known[port]
            node = Node(fold, name, emit=Emit())
            by_set = port[0] == SOURCE and port[1] != MAIN
            self.add(Planned(node, fold, "fold", port, seen, self._outputs(fold, seen, "fold"), by_set=by_set))
        return next(p for p in self.known if p[0] == name)

    def _joined(self, node: Node, main: Port, ports: Mapping[str, Port]) -> Port:
        """The frames of a fold, joined by id with its other arguments, which travel as coordinates of their names."""
        for argument, port in ports.items():
            kind = registry.get("operators", "join")
            join: Step = kind(coordinate=argument)
            name = f"join_{argument}_to_{node.name}"
            seen = self.known[main]
            joint = Node(join, name)
            self.add(
                Planned(
                    joint, join, "arrange", main, seen, self._outputs(join, seen, "arrange"), {join.arguments[1]: port}
                )
            )
            main = (name, join.first_output)
        return main

    def _held_cut(
        self, node: Node, main: Port, seen: Scan, held: tuple[Port, ...], before_first: BeforeFirst
    ) -> Cut | None:
        """A held input that comes only at the end of the same stream: gather until then (offline), or refuse (live)."""
        late = [port for port in held if self.ends_with(port, main)]
        if not late or before_first != "hold":
            return None
        if kind_of(node.step) == "fold":
            raise FirstlightError(
                f"it folds while it waits for '{port_name(late[0])}', which the same frames give.",
                field="before_first",
                value=before_first,
                next_move="Give it 'before_first: pass'.",
            )
        if seen.main.frames is None:
            raise FirstlightError(
                f"it waits for '{port_name(late[0])}', which is known only at the end of the same stream, and the scan has no known end.",
                field="before_first",
                value=before_first,
                next_move="Give that step 'emit: 1 s', or this one 'before_first: pass'.",
            )
        axes = seen.main.arrival_axes
        return Cut(main, seen.main, axes[0] if len(axes) == 1 else None)

    def _check_waits(self, planned: Planned) -> None:
        """A step that holds its frames for a stream that comes after them would wait for ever behind a bounded buffer."""
        if planned.before_first != "hold":
            return
        mine = self.origin(planned.main)
        for argument, port in planned.held.items():
            theirs = self.origin(port)
            order = list(self.scan.order)
            if (
                mine[1] not in order
                or theirs[1] not in order
                or order.index(theirs[1]) < order.index(mine[1])
                or mine == theirs
            ):
                continue
            settings = self.job.buffer(mine[1])
            room = settings.memory + (settings.disk if settings.policy == "spill" else 0)
            stream = self.known[mine].main
            needed = None if stream.frames is None else stream.frames * stream.frame_bytes
            if needed is None or needed > room:
                size = "an unknown number of bytes" if needed is None else f"{needed / 2**20:.0f} MiB"
                self.problems.append(
                    f"step '{planned.name}': it holds its frames until '{argument}' comes, but the source sends '{theirs[1]}' after"
                    f" '{mine[1]}' ({size}), and the buffer of '{mine[1]}' holds {room / 2**20:.0f} MiB: it would wait for ever."
                    f" Give it 'before_first: pass', or the buffer more room (buffers: {{{mine[1]}: {{policy: spill, disk: …}}}})."
                )

    def outlets(self, wanted: list[tuple[Reference, object]]) -> list[Outlet]:
        """The ports that sinks or views take; a bare step name gives views all of its outputs."""
        found: list[Outlet] = []
        for reference, spec in wanted:
            kind = "view" if isinstance(spec, ViewSpec) else "snapshot" if isinstance(spec, SnapshotSpec) else "sink"
            where = f"{kind} of '{reference}'"
            port = self.resolve(reference, where)
            if port is None:
                continue
            every = reference.output is None and isinstance(spec, ViewSpec) and reference.step != SOURCE
            ports = [p for p in self.known if p[0] == reference.step] if every else [port]
            found += [Outlet(p, self.known[p], spec) for p in ports]  # pyright: ignore[reportArgumentType]
        return found

    def steps_in_force(self) -> tuple[Planned, ...]:
        """The steps; a fold that finds a parameter of another fold tells it now and then, unless the job says when."""
        told = {
            port[0] for planned in self.steps if planned.kind == "fold" for port in planned.held_parameters.values()
        }
        return tuple(
            replace(planned, node=replace(planned.node, emit=EMIT_TO_FOLDS))
            if planned.name in told and planned.kind == "fold" and planned.node.emit == Emit()
            else planned
            for planned in with_margins(self.steps, self.origin)
        )

    def find_unused(self, sinks: list[Outlet], views: list[Outlet]) -> None:
        """Outputs that nobody takes: kept as results where the job asks for that, a mistake otherwise."""
        used = {outlet.port for outlet in (*sinks, *views)}
        for planned in self.steps:
            used |= {planned.main, *planned.ports.values(), *planned.held.values(), *planned.held_parameters.values()}
        for planned in self.steps:
            ports = [(planned.name, output) for output in planned.outputs]
            if planned.kind == "fold" or any(port in used for port in ports):
                continue
            if self.job.collect:
                self.collected += [Outlet(port, self.known[port], None) for port in ports]
            else:
                self.problems.append(
                    f"step '{planned.name}': nothing uses what it gives. Give it a sink or a view, or remove it."
                )

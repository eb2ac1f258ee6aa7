"""What is known of a plan while its steps are placed one after the other: ports, where they come from, and mistakes."""

from __future__ import annotations

from dataclasses import dataclass, field

from .chunk import MAIN, Scan
from .job import Job
from .pipeline import SOURCE, Emit, Reference
from .plan import Planned, Port, shares_origin, source_port


@dataclass(slots=True)
class Known:
    """The steps that are placed, and everything that can be asked for."""

    job: Job
    scan: Scan
    steps: list[Planned] = field(default_factory=list[Planned])
    problems: list[str] = field(default_factory=list[str])
    known: dict[Port, Scan] = field(default_factory=dict[Port, Scan])
    broken: set[str] = field(default_factory=set[str])
    """Steps with a mistake: what follows from it is not reported again."""

    def __post_init__(self) -> None:
        """Every stream of the source can be asked for."""
        for name, stream in self.scan.streams.items():
            self.known[source_port(name)] = self.scan.with_main(stream)

    def add(self, planned: Planned) -> None:
        """Take one more step."""
        self.steps.append(planned)
        for output, scan in planned.outputs.items():
            self.known[planned.name, output] = scan

    def step(self, name: str) -> Planned | None:
        """A step by name, if it is placed."""
        return next((planned for planned in self.steps if planned.name == name), None)

    def origin(self, port: Port) -> Port:
        """The stream of the source that feeds a port."""
        producer = self.step(port[0])
        if producer is None:
            return port
        return self.origin(producer.main)

    def resolve(self, reference: Reference, where: str) -> Port | None:
        """The port that a reference means; None if it was not found (which is reported, unless it follows from a mistake)."""
        if reference.step == SOURCE:
            port = source_port(reference.output or MAIN)
            if port not in self.known:
                self.problems.append(
                    f"{where}: the source has no stream '{port[1]}'. It has: {', '.join(self.scan.streams)}."
                )
                return None
            return port
        if reference.step in self.broken:
            return None
        found = [port for port in self.known if port[0] == reference.step]
        if not found:
            later = any(n.name == reference.step for n in self.job.pipeline.nodes)
            hint = (
                "it comes later; move it up"
                if later
                else f"there are: {', '.join(p.name for p in self.steps) or 'none before it'}"
            )
            self.problems.append(f"{where}: '{reference}' is no step before it ({hint}).")
            return None
        if reference.output is None:
            return found[0]
        if (reference.step, reference.output) not in self.known:
            self.problems.append(
                f"{where}: step '{reference.step}' has no output '{reference.output}'. It has: {', '.join(p[1] for p in found)}."
            )
            return None
        return (reference.step, reference.output)

    def in_blocks(self, port: Port) -> bool:
        """True if what appears at a port comes, through map steps alone, from a cut: in blocks that may overlap."""
        producer = self.step(port[0])
        if producer is None or producer.kind != "map":
            return False
        if producer.cut is not None:
            return True
        return not shares_origin(producer, self.origin) and self.in_blocks(producer.main)

    def ends_with(self, port: Port, main: Port) -> bool:
        """True if a port's first value comes at the end of the stream that feeds `main`."""
        producer = self.step(port[0])
        if producer is not None and producer.kind == "map":
            return self.ends_with(producer.main, main)
        if producer is None or producer.kind != "fold":
            return False
        recorded = self.job.source.pausable and self.known[main].main.frames is not None
        if producer.node.emit != Emit() and not recorded:
            return False
        return self.origin(producer.main) == self.origin(main)

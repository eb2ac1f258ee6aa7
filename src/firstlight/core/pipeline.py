"""Pipelines: immutable graphs of named steps."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal, cast

from pydantic import ValidationError

from . import registry
from .errors import FirstlightError, JobError
from .operator import OperatorFunction
from .step import Step
from .sweep import Sweeping, sweep_values, swept
from .waiting import waiting

SOURCE = "source"
RESERVED = ("use", "name", "inputs", "emit", "before_first")

BeforeFirst = Literal["hold", "pass", "fail"]
"""What a step does with frames that come before the first version of a held input."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An output of a step, or a stream of the source (``source.dark``)."""

    step: str
    output: str | None = None
    """None: the first output."""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read ``step`` or ``step.output``."""
        step, _, output = text.partition(".")
        return cls(step, output or None)

    def __str__(self) -> str:
        """As the user writes it."""
        return self.step if self.output is None else f"{self.step}.{self.output}"


@dataclass(frozen=True, slots=True)
class Emit:
    """When a fold hands on a result: at the end, every so many frames, or every so many seconds."""

    frames: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, value: Any) -> Emit:
        """Read ``end``, ``"10 frames"``, ``"0.1 s"``.

        Raises:
            FirstlightError: Neither of these.
        """
        from .units import parse_quantity

        if value is None or value == "end":
            return cls()
        words = str(value).split()
        if len(words) == 2 and words[1] in ("frame", "frames") and words[0].isdigit() and int(words[0]) > 0:
            return cls(frames=int(words[0]))
        seconds = parse_quantity(str(value), "s")
        if seconds <= 0:
            raise FirstlightError(
                "A result can not be due that often.", field="emit", value=value, expected="a positive time"
            )
        return cls(seconds=seconds)

    def __str__(self) -> str:
        """As the user writes it."""
        if self.frames is not None:
            return f"{self.frames} frames"
        return "end" if self.seconds is None else f"{self.seconds} s"


@dataclass(frozen=True, slots=True)
class Node:
    """One step in its place."""

    step: Step
    name: str
    inputs: Mapping[str, Reference] = field(default_factory=dict[str, Reference])
    """By data argument; arguments that are not named get their default."""
    held: Mapping[str, Reference] = field(default_factory=dict[str, Reference])
    """Parameters that come from another step."""
    emit: Emit = field(default_factory=Emit)
    before_first: BeforeFirst | None = None

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a job file."""
        given: dict[str, Any] = {"use": self.step.use}
        if self.name != self.step.use:
            given["name"] = self.name
        if self.inputs:
            given["inputs"] = {argument: str(reference) for argument, reference in self.inputs.items()}
        if self.emit != Emit():
            given["emit"] = str(self.emit)
        if self.before_first is not None:
            given["before_first"] = self.before_first
        values = self.step.model_dump(mode="json", exclude_defaults=True)
        if isinstance(self.step, Sweeping):
            values |= {name: {"sweep": list(each)} for name, each in self.step.sweeps.items()}
        return given | values | {name: {"from": str(reference)} for name, reference in self.held.items()}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Steps, each fed by steps before it."""

    nodes: tuple[Node, ...]

    def __getitem__(self, name: str) -> Node:
        """A step by name."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    @property
    def cites(self) -> list[str]:
        """DOIs of everything that is used."""
        return sorted({doi for node in self.nodes for doi in node.step.cites})

    def to_dict(self) -> list[dict[str, Any]]:
        """As it stands in a job file."""
        return [node.to_dict() for node in self.nodes]


def pipeline(steps: Iterable[Step | Node | OperatorFunction | Mapping[str, Any]]) -> Pipeline:
    """Make a pipeline of steps.

    Raises:
        JobError: Some steps are not valid; every mistake is named.
    """
    problems: list[str] = []
    nodes: list[Node] = []
    for number, item in enumerate(steps, 1):
        node = _node(item, number, problems)
        if node is None:
            continue
        if any(node.name == other.name for other in nodes):
            problems.append(f"step {number}: the name '{node.name}' is taken. Give one of the two another 'name'.")
            continue
        nodes.append(node)
    if problems:
        raise JobError(problems)
    return Pipeline(tuple(nodes))


def _node(item: Step | Node | OperatorFunction | Mapping[str, Any], number: int, problems: list[str]) -> Node | None:
    if isinstance(item, Node):
        return item
    if isinstance(item, OperatorFunction):
        item = item()
    if isinstance(item, Step):
        return Node(item, item.use)
    if callable(item):
        name = getattr(item, "__name__", "my_step")
        problems.append(
            f"step {number}: '{name}' is a function of frames (frame, row, col) and no step yet. Say what it gives: write "
            f"@fl.operator('row col -> ') above it for one value a frame, or 'row col -> row col' for a frame; then use {name}()."
        )
        return None
    return parse_node(cast("Mapping[str, Any]", item), number, problems)


def parse_node(given: Mapping[str, Any], number: int, problems: list[str]) -> Node | None:
    """Read a step of a job file; mistakes are added to `problems`, and None means that there was one."""
    use = given.get("use")
    where = f"step {number} '{given.get('name', use)}'"
    if not isinstance(use, str):
        problems.append(f"step {number}: 'use' is missing. Name the operator, for example {{use: flat_field}}.")
        return None
    kind = _load(use, where, problems)
    if kind is None:
        return None
    before = len(problems)
    parameters = {str(name): value for name, value in given.items() if name not in RESERVED}
    held = {name: Reference.parse(str(value["from"])) for name, value in parameters.items() if _is_reference(value)}
    own = {name: value for name, value in parameters.items() if name not in held}
    sweeps = _sweeps(own, where, problems)
    own = {name: value for name, value in own.items() if not _is_sweep(value)}
    own |= {name: values[0] for name, values in sweeps.items()}
    problems += [f"{where}: there is no parameter '{name}'." for name in held if name not in kind.model_fields]
    step = build(waiting(kind, held), own, where, problems)
    if step is not None and sweeps:
        step = _swept(step, str(given.get("name", use)), sweeps, where, problems)
    emit = _emit(given.get("emit"), where, problems)
    before_first = given.get("before_first")
    if before_first is not None and str(before_first) not in ("hold", "pass", "fail"):
        problems.append(f"{where}: before_first = {before_first!r}. Expected hold, pass or fail.")
    if step is None or len(problems) > before:
        return None
    inputs = _inputs(given.get("inputs"), kind, where, problems)
    return Node(step, str(given.get("name", use)), inputs, held, emit, before_first)


def _is_reference(value: Any) -> bool:
    return isinstance(value, Mapping) and list(value) == ["from"]  # pyright: ignore[reportUnknownArgumentType]


def _is_sweep(value: Any) -> bool:
    return isinstance(value, Mapping) and list(value) == ["sweep"]  # pyright: ignore[reportUnknownArgumentType]


def _sweeps(parameters: Mapping[str, Any], where: str, problems: list[str]) -> dict[str, tuple[Any, ...]]:
    """The values of the parameters that are swept."""
    found: dict[str, tuple[Any, ...]] = {}
    for name, value in parameters.items():
        if _is_sweep(value):
            try:
                found[name] = sweep_values(value["sweep"])
            except FirstlightError as error:
                problems.append(f"{where}: {name}: {error}")
    return found


def _swept(
    step: Step, name: str, sweeps: Mapping[str, tuple[Any, ...]], where: str, problems: list[str]
) -> Step | None:
    try:
        return swept(step, name, sweeps)
    except ValidationError as error:
        mistake = error.errors()[0]
        problems.append(f"{where}: {mistake['loc'][0]} = {mistake['input']!r}. {_said(mistake)}")
    except FirstlightError as error:
        problems.append(f"{where}: {error}")
    return None


def _load(use: str, where: str, problems: list[str]) -> type[Step] | None:
    try:
        found = registry.get("operators", use)
    except FirstlightError as error:
        problems.append(f"{where}: {error}")
        return None
    return found.step if isinstance(found, OperatorFunction) else found


def build(kind: type[Any], parameters: Mapping[str, Any], where: str, problems: list[str]) -> Any | None:
    """Make a model of parameters; each mistake is added to `problems` by name, value and what was expected."""
    try:
        return kind(**parameters)
    except (ValidationError, FirstlightError) as error:
        if isinstance(error, FirstlightError):
            problems.append(f"{where}: {error}")
            return None
        for name, mistakes in groupby(error.errors(), lambda mistake: str(mistake["loc"][0] if mistake["loc"] else "")):
            problems.append(f"{where}: {_mistake(kind, name, list(mistakes))}")
        return None


def _mistake(kind: type[Any], name: str, mistakes: Sequence[Any]) -> str:
    """What is wrong with one parameter; one of several types has a mistake for each."""
    first = mistakes[0]
    place = name if len(mistakes) > 1 else ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        close = difflib.get_close_matches(place, list[str](kind.model_fields), n=1)
        hint = f" Did you mean '{close[0]}'?" if close else f" It has: {', '.join(kind.model_fields) or 'none'}."
        return f"there is no parameter '{place}'.{hint}"
    if first["type"] == "missing":
        return f"the parameter '{place}' is missing."
    said = " Or: ".join(dict.fromkeys(_said(each) for each in mistakes))
    return f"{place} = {first['input']!r}. {said}"


def _said(mistake: Any) -> str:
    """What pydantic expected, as a sentence."""
    if mistake["type"] in ("tuple_type", "list_type"):
        return "Expected a list, such as [1, 2]."
    said = str(mistake["msg"]).removeprefix("Value error, ").rstrip(".") + "."
    limit = "a number " if mistake["type"].startswith(("less_than", "greater_than")) else ""
    return said.replace("Input should be ", f"Expected {limit}", 1)


def _emit(value: Any, where: str, problems: list[str]) -> Emit:
    try:
        return Emit.parse(value)
    except FirstlightError as error:
        problems.append(f"{where}: emit: {error}")
        return Emit()


def _inputs(value: Any, kind: type[Step], where: str, problems: list[str]) -> dict[str, Reference]:
    if value is None:
        return {}
    if isinstance(value, str):
        value = [value]
    if isinstance(value, Mapping):
        named: dict[str, Any] = {str(name): text for name, text in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    elif not isinstance(value, list | tuple):
        problems.append(f"{where}: inputs = {value!r}. Expected a list of steps, or a mapping by data argument.")
        return {}
    else:
        texts = cast("Sequence[Any]", value)
        if len(texts) > len(kind.arguments):
            problems.append(
                f"{where}: inputs names {len(texts)} inputs. Expected at most {len(kind.arguments)}: {', '.join(kind.arguments)}."
            )
        named = dict(zip(kind.arguments, texts, strict=False))
    for name in [name for name in named if name not in kind.arguments]:
        problems.append(f"{where}: there is no data argument '{name}'. It takes: {', '.join(kind.arguments)}.")
        del named[name]
    return {name: Reference.parse(str(text)) for name, text in named.items()}

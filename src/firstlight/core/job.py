"""Jobs: a pipeline with its source, sinks, views, buffers and runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticSerializationError

from . import registry
from .buffer import BufferSettings
from .calibration import parse_calibration
from .devices import DeviceChoice
from .errors import FirstlightError, JobError
from .pipeline import Emit, Pipeline, Reference, build, parse_node
from .selected import Selected
from .selection import Picked
from .sink import Sink
from .source import Source
from .units import Bytes, Quantity, Second
from .view import View

WEB = "web"
PICTURES = (".tif", ".tiff", ".png")
"""Endings of snapshots."""
PARTS = ("name", "source", "calibration", "only", "steps", "sinks", "views", "snapshots", "buffers", "runner")


class RunnerSettings(BaseModel):
    """Which runner works on the job, and with what."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    use: str = "local"
    """Name of the runner: local or naive."""
    threads: int = Field(default=0, ge=0, le=1024)
    """Worker threads; 0 takes one per core."""
    device: str = "auto"
    """Where steps run that can: auto (a GPU where there is one, by bodies that were tried on one), cpu, cuda, or cuda:0,1 for some GPUs."""
    memory: Bytes = Field(default=0, ge=0)
    """Memory of the whole process; 0 takes 70 % of what is free. What does not fit is read again in bands, or goes through disk."""
    scratch: str | None = None
    """Folder for what does not fit into memory; by default that of the output, or else the system's for temporary files."""
    regroup: Literal["auto", "memory", "bands", "disk"] = "auto"
    """How data are regrouped between stages: whole in memory, read again in bands, or through a scratch file; auto: what fits."""
    resume: bool = False
    """Go on with an interrupted run: what it had finished is not done again."""
    save_all: bool = False
    """Write what each step gives beside the output."""
    statistics: bool = False
    """Least and greatest value, mean, standard deviation and NaNs of what each step gives."""
    linger: Annotated[Second, Field(ge=0)] = 0
    """After the last frame, stay open for changes of steps that are watched so long, or until the run is told to stop."""
    further_scans: bool = False
    """A scan that begins on the same connections before this one is done with becomes a run of its own, from its first frame on:
    the same job, whose outputs carry its number."""
    checks: bool | None = None
    """Look for frames that are NaN, infinite, zero or saturated; default: in recorded scans, where it costs nearly nothing."""

    @field_validator("device")
    @classmethod
    def _understood(cls, value: str) -> str:
        DeviceChoice.parse(value)
        return value

    @field_validator("memory", mode="before")
    @classmethod
    def _short_size(cls, value: Any) -> Any:
        """``8G`` as other programs take it: a bare K, M, G or T stands for KiB, MiB, GiB or TiB."""
        short = isinstance(value, str) and value.strip()[-1:].upper() in ("K", "M", "G", "T")
        return f"{value.strip()[:-1]} {value.strip()[-1].upper()}iB" if short else value


@dataclass(frozen=True, slots=True)
class SinkSpec:
    """A sink and the output that it writes."""

    sink: Sink
    of: Reference


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """Views and the outputs that they show."""

    of: Reference
    every: float = 0.1
    """Shortest time between two versions, in second."""
    to: tuple[View, ...] = ()
    """Views beside the run's own (web, notebook), which always offers it."""


@dataclass(frozen=True, slots=True)
class SnapshotSpec:
    """A picture of one step, kept to see what it did: the middle frame or slice."""

    of: Reference
    path: Path
    """``.tif`` keeps the values, ``.png`` shows them."""


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a runner needs."""

    source: Source
    pipeline: Pipeline
    sinks: tuple[SinkSpec, ...] = ()
    views: tuple[ViewSpec, ...] = ()
    buffers: Mapping[str, BufferSettings] = field(default_factory=dict[str, BufferSettings])
    """By stream, or ``default``."""
    runner: RunnerSettings = field(default_factory=RunnerSettings)
    name: str = "run"
    collect: bool = False
    """Keep the outputs that nothing else uses, as results in memory."""
    only: Mapping[str, Picked] = field(default_factory=dict[str, Picked])
    """By axis: the positions of the scan that are wanted, cut out at the source."""
    snapshots: tuple[SnapshotSpec, ...] = ()
    calibration: Mapping[str, Quantity] = field(default_factory=dict[str, Quantity])
    """What the user knows of the scan; it goes before what the source tells."""
    played: Source = field(init=False)
    """The source, or the part of it that is wanted: what a runner opens."""

    def __post_init__(self) -> None:
        """Put the selection around the source."""
        object.__setattr__(self, "played", Selected.of(self.source, self.only))

    def buffer(self, stream: str) -> BufferSettings:
        """Settings of the buffer behind a stream: the user's, or one that suits the source."""
        found = self.buffers.get(stream) or self.buffers.get("default")
        return found or BufferSettings(policy="wait" if self.source.pausable else "spill")

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a job file; `parse_job` reads it back."""
        job: dict[str, Any] = {"name": self.name, "source": _plugin(self.source)}
        if self.calibration:
            job["calibration"] = {name: f"{found.value!r} {found.unit}" for name, found in self.calibration.items()}
        if self.only:
            job["only"] = {label: picked.text for label, picked in self.only.items()}
        job["steps"] = self.pipeline.to_dict()
        if self.sinks:
            job["sinks"] = [{**_plugin(s.sink), "of": str(s.of)} for s in self.sinks]
        if self.views:
            job["views"] = [
                {"of": str(v.of), "every": f"{v.every} s", "to": [WEB, *map(_plugin, v.to)]} for v in self.views
            ]
        if self.snapshots:
            job["snapshots"] = [{"of": str(s.of), "path": str(s.path)} for s in self.snapshots]
        if self.buffers:
            job["buffers"] = {name: b.model_dump(exclude_defaults=True) for name, b in self.buffers.items()}
        job["runner"] = {"use": self.runner.use, **self.runner.model_dump(exclude_defaults=True)}
        return job


def _plugin(plugin: Source | Sink | View) -> dict[str, Any]:
    """The values of a plugin.

    Raises:
        FirstlightError: It lives in memory alone.
    """
    try:
        return _values(plugin)
    except PydanticSerializationError as error:
        raise FirstlightError(
            f"'{plugin.use}' can not become part of a job file.", field="use", value=plugin.use, expected=str(error)
        ) from error


def _values(plugin: Source | Sink | View) -> dict[str, Any]:
    return {"use": plugin.use, **plugin.model_dump(mode="json", exclude_defaults=True)}


def parse_job(given: Mapping[str, Any]) -> Job:
    """Read a job from plain values.

    Raises:
        JobError: Something in it is wrong; every mistake is named.
    """
    problems = [
        f"There is no part '{part}' in a job. Expected: {', '.join(PARTS)}." for part in given if part not in PARTS
    ]
    source = _source(given.get("source"), problems)
    calibration = parse_calibration(given.get("calibration"), problems)
    only = _only(given.get("only"), problems)
    captures = given.get("steps") in (None, []) and bool(given.get("sinks"))
    pipe = Pipeline(()) if captures else _steps(given.get("steps"), problems)
    sinks = _sinks(_list(given.get("sinks"), "sinks", problems), problems)
    views = _views(_list(given.get("views"), "views", problems), problems)
    snapshots = _snapshots(_list(given.get("snapshots"), "snapshots", problems), problems)
    buffers = _buffers(given.get("buffers"), problems)
    runner = _runner(given.get("runner"), problems)
    if not _failed(given, pipe):
        problems += _absent([spec.of for spec in (*sinks, *views, *snapshots)], pipe)
    if problems or source is None or runner is None:
        raise JobError(problems)
    return Job(
        source=source,
        pipeline=pipe,
        sinks=tuple(sinks),
        views=tuple(views),
        buffers=buffers,
        runner=runner,
        name=str(given.get("name", "run")),
        only=only,
        snapshots=tuple(snapshots),
        calibration=calibration,
    )


def _failed(given: Mapping[str, Any], pipe: Pipeline) -> bool:
    """True if a step did not parse: its outputs are then not missed a second time."""
    steps = given.get("steps")
    return not isinstance(steps, Sequence) or len(cast("Sequence[Any]", steps)) != len(pipe.nodes)


def _absent(wanted: Sequence[Reference], pipe: Pipeline) -> list[str]:
    """What is to be written or shown of steps that there are not."""
    names = [node.name for node in pipe.nodes]
    return [
        f"There is no step '{of.step}' to take an output of. Expected one of: {', '.join(names)}."
        for of in wanted
        if of.step not in ("source", *names)
    ]


def _buffers(given: Any, problems: list[str]) -> dict[str, BufferSettings]:
    """Settings by stream, or ``default``."""
    found: dict[str, BufferSettings] = {}
    for name, values in _part(given, "buffers", "default", problems).items():
        where = f"buffers '{name}'"
        settings: BufferSettings | None = build(
            BufferSettings, _part(values, where, "policy", problems), where, problems
        )
        if settings is not None:
            found[name] = settings
    return found


def _mapping(value: Any) -> dict[str, Any]:
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {}


def _part(value: Any, part: str, short: str, problems: list[str]) -> dict[str, Any]:
    """A mapping; a bare word stands for its most common field."""
    if value is None or isinstance(value, Mapping):
        return {str(name): item for name, item in _mapping(value).items()}
    if isinstance(value, str):
        return {short: value}
    problems.append(f"{part} = {value!r}. Expected a mapping.")
    return {}


def _runner(given: Any, problems: list[str]) -> RunnerSettings | None:
    settings: RunnerSettings | None = build(RunnerSettings, _part(given, "runner", "use", problems), "runner", problems)
    if settings is not None and settings.use not in registry.names("runners"):
        known = ", ".join(registry.names("runners"))
        problems.append(f"runner: there is no runner '{settings.use}'. Expected one of: {known}.")
    return settings


def _list(value: Any, part: str, problems: list[str]) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in cast("list[Any]", value)):
        problems.append(f"'{part}' is not a list of mappings. Write each entry as '- {{use: …, of: …}}'.")
        return []
    return [dict(item) for item in cast("list[dict[str, Any]]", value)]


def _load(kind: str, values: Mapping[Any, Any], where: str, problems: list[str]) -> Any | None:
    given = {str(name): value for name, value in values.items()}
    use = given.pop("use", None)
    if not isinstance(use, str):
        problems.append(f"{where}: 'use' is missing. 'firstlight list {kind}' shows the names.")
        return None
    try:
        plugin = registry.get(kind, use)
    except FirstlightError as error:
        problems.append(f"{where}: {error}")
        return None
    return build(plugin, given, f"{where} '{use}'", problems)


def _source(given: Any, problems: list[str]) -> Source | None:
    if isinstance(given, str):
        given = {"use": given}
    if not isinstance(given, Mapping):
        problems.append("The job has no source. Give one, for example 'source: {use: phantom}'.")
        return None
    return _load("sources", cast("Mapping[str, Any]", given), "source", problems)


def _only(given: Any, problems: list[str]) -> dict[str, Picked]:
    """The selection, axis by axis."""
    if given is not None and not isinstance(given, Mapping):
        problems.append(f"only = {given!r}. Expected a mapping, such as 'only: {{row: 100:200}}'.")
    found: dict[str, Picked] = {}
    for label, text in _mapping(given).items():
        try:
            found[str(label)] = Picked.parse(text)
        except FirstlightError as error:
            problems.append(f"only: {label}: {error}")
    return found


def _steps(given: Any, problems: list[str]) -> Pipeline:
    if not isinstance(given, list) or not given:
        problems.append(
            "The job has no steps. Give a list, for example 'steps: [{use: flat_field}, {use: minus_log}]'."
        )
        return Pipeline(())
    nodes = [parse_node(_mapping(item), number, problems) for number, item in enumerate(cast("list[Any]", given), 1)]
    found = [node for node in nodes if node is not None]
    names = [node.name for node in found]
    problems += [
        f"Two steps are called '{name}'. Give one of them another 'name'."
        for name in sorted({n for n in names if names.count(n) > 1})
    ]
    return Pipeline(tuple(found))


def _sinks(given: list[dict[str, Any]], problems: list[str]) -> list[SinkSpec]:
    found: list[SinkSpec] = []
    for number, item in enumerate(given, 1):
        of = item.pop("of", None)
        if of is None:
            problems.append(f"sink {number}: 'of' is missing. Name the step whose output it writes.")
        sink = _load("sinks", item, f"sink {number}", problems)
        if sink is not None and of is not None:
            found.append(SinkSpec(sink, Reference.parse(str(of))))
    return found


def _snapshots(given: list[dict[str, Any]], problems: list[str]) -> list[SnapshotSpec]:
    found: list[SnapshotSpec] = []
    for number, item in enumerate(given, 1):
        path = Path(str(item.get("path", "")))
        if set(item) != {"of", "path"} or path.suffix.lower() not in PICTURES:
            problems.append(
                f"snapshot {number} = {item!r}. Expected {{of: STEP, path: FILE}}, with one of the endings {' '.join(PICTURES)}."
            )
            continue
        found.append(SnapshotSpec(Reference.parse(str(item["of"])), path))
    return found


def _views(given: list[dict[str, Any]], problems: list[str]) -> list[ViewSpec]:
    found: list[ViewSpec] = []
    for number, item in enumerate(given, 1):
        unknown = set(item) - {"of", "every", "to"}
        problems += [f"view {number}: there is no field '{name}'. Expected of, every, to." for name in sorted(unknown)]
        if "of" not in item:
            problems.append(f"view {number}: 'of' is missing. Name the step whose output it shows.")
            continue
        try:
            every = Emit.parse(item.get("every", "0.1 s")).seconds or 0.1
        except FirstlightError as error:
            problems.append(f"view {number}: every: {error}")
            continue
        given_to = item.get("to", [WEB])
        to = [t for t in (cast("list[Any]", given_to) if isinstance(given_to, list) else [given_to]) if t != WEB]
        views = [_load("views", _mapping(t) or {"use": t}, f"view {number}", problems) for t in to]
        found.append(ViewSpec(Reference.parse(str(item["of"])), every, tuple(v for v in views if v is not None)))
    return found

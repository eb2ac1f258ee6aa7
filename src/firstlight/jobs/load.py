"""Job files: YAML, a profile below it, and ``--set`` above it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import yaml

from firstlight.core.errors import JobError
from firstlight.core.job import Job, SinkSpec, parse_job
from firstlight.core.pipeline import Reference

from .steps_used import referred, without_unasked


class PlainLoader(yaml.SafeLoader):
    """YAML without numbers to the base 60: ``10:20`` is a range, not the number 620 that YAML 1.1 makes of it."""


_BASE_60 = ("tag:yaml.org,2002:str", re.compile(r"^[-+]?[0-9][0-9_.]*(?::[-+0-9_.]*)+$"))
PlainLoader.yaml_implicit_resolvers = {
    first: [_BASE_60, *resolvers] if first in [*"-+0123456789"] else resolvers
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(text: str) -> Any:
    """Plain values of a text, read with a safe loader.

    Raises:
        YAMLError: It is no YAML.
    """
    return yaml.load(text, PlainLoader)  # noqa: S506


def load_job(job: str | Path | Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Job:
    """Read a job file, or a job in plain values.

    Args:
        job: Path of a YAML file, or the values themselves.
        overrides: ``{"step.parameter": value}``; text values are read as YAML. ``source.path``, ``runner.threads``,
            ``name``, and ``sink.path`` of a job with one sink, work too.

    Raises:
        JobError: The file is missing or is no YAML, or something in the job is wrong; every mistake is named.
    """
    values = job_values(job)
    problems = override(values, overrides or {})
    if problems:
        raise JobError(problems)
    return with_intermediates(parse_job(values))


def with_intermediates(job: Job) -> Job:
    """With a sink for every output that has none, where the runner is told to save all: files beside the first output.

    Raises:
        JobError: There is no output file beside which they could lie.
    """
    if not job.runner.save_all:
        return job
    path = getattr(job.sinks[0].sink, "path", None) if job.sinks else None
    if path is None:
        raise JobError(
            ["--save-all: the job writes no file beside which the results of its steps could lie. Add a sink."]
        )
    taken = {(spec.of.step, spec.of.output) for spec in job.sinks}
    more: list[SinkSpec] = []
    for node in job.pipeline.nodes:
        outputs = list(node.step.signature.outputs)
        for output in outputs:
            name = node.name if len(outputs) == 1 else f"{node.name}_{output}"
            if (node.name, output) in taken or (output == outputs[0] and (node.name, None) in taken):
                continue
            own = Path(path).with_name(f"{Path(path).stem}_{name}{Path(path).suffix}")
            more.append(SinkSpec(job.sinks[0].sink.model_copy(update={"path": own}), Reference(node.name, output)))
    return replace(job, sinks=(*job.sinks, *more))


def job_values(job: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a job, with its profile and its variables filled in.

    Raises:
        JobError: The file, or its profile, can not be read.
    """
    values = dict(job) if isinstance(job, Mapping) else _read(Path(job))
    profile = values.pop("profile", None)
    if profile is not None:
        values = merge(_read(profile_path(str(profile))), values)
    variables = values.pop("variables", None) or {}
    if not isinstance(variables, Mapping):
        raise JobError([f"variables = {variables!r}. Expected a mapping, such as 'variables: {{visit: /data/2026}}'."])
    return cast("dict[str, Any]", _filled(values, {str(name): str(value) for name, value in variables.items()}))


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise JobError(
            [f"The job file '{path}' can not be read: {error.strerror}. Give the path of a YAML file."]
        ) from None
    except UnicodeDecodeError:
        raise JobError([f"The job file '{path}' is no text. Give the path of a YAML file."]) from None
    try:
        values = read_yaml(text)
    except yaml.YAMLError as error:
        raise JobError([f"The job file '{path}' is no YAML: {error}"]) from None
    if not isinstance(values, dict):
        raise JobError([f"The job file '{path}' holds no mapping. Expected the parts source, steps, sinks, views."])
    return cast("dict[str, Any]", values)


def profile_path(name: str) -> Path:
    """Where a profile lies: a path of the user, or one that comes with firstlight.

    Raises:
        JobError: There is none of that name.
    """
    own = Path(name)
    if own.suffix in (".yaml", ".yml") and own.is_file():
        return own
    shipped = Path(str(files("firstlight") / "profiles" / f"{name}.yaml"))
    if own.name == name and shipped.is_file():
        return shipped
    known = sorted(path.stem for path in shipped.parent.glob("*.yaml"))
    raise JobError(
        [f"There is no profile '{name}'. Give the path of a YAML file, or one of: {', '.join(known) or 'none'}."]
    )


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two sets of values; where both are mappings they are merged, otherwise the one above wins."""
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[name] = merge(cast("Mapping[str, Any]", old), cast("Mapping[str, Any]", value)) if both else value
    return merged


_VARIABLE = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    """Replace ``{name}`` by the variable of that name; names that are not variables stay (``{scan}`` is filled later)."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), value)
    if isinstance(value, Mapping):
        return {name: _filled(item, variables) for name, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [_filled(item, variables) for item in cast("list[Any]", value)]
    return value


def override(values: dict[str, Any], overrides: Mapping[str, Any]) -> list[str]:
    """Put ``step.parameter`` values into a job in place; the mistakes found.

    A step that only found such a value (``fbp.center``) is left out of the job.
    """
    problems: list[str] = []
    asked: set[str] = set()
    for target, given in overrides.items():
        try:
            text = isinstance(given, str) and not target.startswith("only.")  # 010 is ten there, not octal
            value = read_yaml(given) if text else given
        except yaml.YAMLError:
            value = given  # text with a colon or a bracket, such as a PV name, is text
        part, _, parameter = target.partition(".")
        if part == "snapshots" and parameter:
            kept = _entries(values, "snapshots")
            values["snapshots"] = [*kept, {"of": parameter, "path": given}]
            continue
        if part == "name" and not parameter:
            values["name"] = value
            continue
        if not parameter:
            problems.append(f"--set {target}: expected step.parameter=value, for example fbp.center=512.")
            continue
        place = _place(values, part)
        if place is None:
            problems.append(
                f"--set {target}: there is no step '{part}'. There are: {', '.join(_names(values)) or 'none'}."
            )
            continue
        asked |= {found} if (found := referred(place.get(parameter))) is not None else set[str]()
        place[parameter] = value
    without_unasked(values, asked, {target.partition(".")[0] for target in overrides})
    return problems


def _place(values: dict[str, Any], part: str) -> dict[str, Any] | None:
    if part == "only":
        return values.setdefault("only", {}) if isinstance(values.get("only", {}), dict) else None
    if part in ("source", "runner"):
        found = values.get(part)
        if not isinstance(found, dict):
            values[part] = {} if found is None else {"use": found}
        return values[part]
    for step in _steps(values):
        if isinstance(step, dict) and cast("dict[str, Any]", step).get("name", step.get("use")) == part:  # pyright: ignore[reportUnknownMemberType]
            return cast("dict[str, Any]", step)
    sinks = [sink for sink in _entries(values, "sinks") if isinstance(sink, dict)]
    if part == "sink" and len(sinks) == 1:
        return cast("dict[str, Any]", sinks[0])
    return None


def _names(values: Mapping[str, Any]) -> list[str]:
    return [str(step.get("name", step.get("use"))) for step in _steps(values) if isinstance(step, dict)]  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def _steps(values: Mapping[str, Any]) -> list[Any]:
    return _entries(values, "steps")


def _entries(values: Mapping[str, Any], part: str) -> list[Any]:
    """The entries of a list in a job, if it is one (what else stands there is reported when the job is parsed)."""
    found = values.get(part)
    return cast("list[Any]", found) if isinstance(found, list) else []

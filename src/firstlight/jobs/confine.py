"""Keeping jobs that came over the network within folders that the service's owner named, and from running code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from firstlight.core import registry
from firstlight.core.errors import FirstlightError, JobError
from firstlight.core.job import Job
from firstlight.core.source import Source

from .links import lies_in, ways_out

_PATH_NAME = re.compile(r"(?:^|_)(?:path|file|filename|folder|directory|dir|scratch)$")
_BRACES = re.compile(r"\{[^{}]*\}")


def confine(job: Job, roots: Sequence[Path]) -> None:
    """Refuse a job that would read or write outside some folders, or run code of its sender's choice.

    Raises:
        JobError: It would; every such path, or every such step, is named.
    """
    _refuse_code([node.name for node in job.pipeline.nodes if node.step.runs_code])
    allowed = [root.expanduser().resolve() for root in roots]
    outside = [(where, path) for where, path in paths(job) if not lies_in(_resolved(path), allowed)]
    if outside:
        folders = ", ".join(str(root) for root in allowed) or "none"
        raise JobError(
            [
                f"{where}: the path {path} is outside the folders that jobs from the network may use ({folders})."
                " Choose one inside, or start the service with '--root FOLDER'."
                for where, path in outside
            ]
        )
    _refuse_ways_out(job, allowed)


def _refuse_ways_out(job: Job, roots: Sequence[Path]) -> None:
    """Refuse a scan whose file leads to other files outside of the roots."""
    leading = [
        (path, names) for _, path in _paths_of_source("source", job.source) if (names := ways_out(Path(path), roots))
    ]
    if leading:
        raise JobError(
            [
                f"source: '{names[0]}' in {path} leads to a file outside the folders that jobs from the network may use."
                " Start the service with '--root' for the folder of that file as well."
                for path, names in leading
            ]
        )


def refuse_foreign_profile(given: Any) -> None:
    """Refuse a job in plain values that names a profile by path: it may name those that come with firstlight.

    Raises:
        JobError: It names one by path, or is itself the path of a file.
    """
    if not isinstance(given, Mapping):
        raise JobError(["A job from the network must hold the job itself, not the path of a file."])
    profile = given.get("profile")
    if profile is not None and not re.fullmatch(r"[A-Za-z0-9_-]+", str(profile)):
        raise JobError(
            [
                f"profile: '{profile}' is a path. Jobs from the network may use the profiles of firstlight alone, by name."
            ]
        )


def refuse_foreign_code(given: Any) -> None:
    """Refuse a job in plain values that has a step which runs code of the job's choice, before anything is made of it.

    Raises:
        JobError: It has one.
    """
    steps: Any = given.get("steps") if isinstance(given, Mapping) else None
    named = [step for step in steps or () if isinstance(step, Mapping)] if isinstance(steps, list) else []
    foreign: list[str] = []
    for step in named:
        try:
            found = registry.get("operators", str(step.get("use")))
        except (FirstlightError, ImportError):
            continue  # told when the job is read
        if getattr(getattr(found, "step", found), "runs_code", False):
            foreign.append(str(step.get("name", step.get("use"))))
    _refuse_code(foreign)


def _refuse_code(steps: Sequence[str]) -> None:
    if steps:
        raise JobError(
            [
                f"step '{name}' runs code that the job names, which jobs from the network may not do."
                " Run the job with 'firstlight run' on this machine instead."
                for name in steps
            ]
        )


def paths(job: Job) -> Iterator[tuple[str, str]]:
    """Every path in a job, with the place where it stands."""
    yield from _paths_of_source("source", job.source)
    for node in job.pipeline.nodes:
        yield from _paths_of(f"step '{node.name}'", node.step)
    for number, sink in enumerate(job.sinks, 1):
        yield from _paths_of(f"sink {number}", sink.sink)
    for number, spec in enumerate(job.views, 1):
        for view in spec.to:
            yield from _paths_of(f"view {number}", view)
    yield from (("snapshot", str(spec.path)) for spec in job.snapshots)
    yield from _paths_of("runner", job.runner)
    for name, settings in job.buffers.items():
        yield from _paths_of(f"buffers '{name}'", settings)


def _paths_of_source(where: str, source: Source) -> Iterator[tuple[str, str]]:
    """What a source and the sources that it is made of may read, whatever the names of their parameters."""
    yield from _paths_of(where, source)
    parent = Path(str(getattr(source, "path", "."))).parent
    for name in type(source).model_fields:
        value: Any = getattr(source, name)
        if isinstance(value, str) and not _PATH_NAME.search(name):
            yield from ((f"{where}: {name}", found) for found in _files_named(value, parent))
    for name, part in source.parts().items():
        yield from _paths_of_source(f"{where}: {name}", part)


def _files_named(text: str, parent: Path) -> Iterator[str]:
    """Files that a text may mean, such as one with angles, or ``FILE:PATH``; beside the scan, or from where we are."""
    if "://" in text:
        return
    for name in {text, text.rpartition(":")[0]} - {""}:
        for place in (Path(name).expanduser(), parent / name):
            try:
                found = place.is_file()
            except (OSError, ValueError):  # longer than a name may be, or a NUL in it: no file
                found = False
            if found:
                yield str(place)


def _paths_of(where: str, model: BaseModel) -> Iterator[tuple[str, str]]:
    for name in type(model).model_fields:
        yield from _paths_in(f"{where}: {name}", name, getattr(model, name))


def _paths_in(where: str, name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Path) or (isinstance(value, str) and value and _PATH_NAME.search(name)):
        yield where, str(value)
    elif isinstance(value, BaseModel):
        yield from _paths_of(where, value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _paths_in(f"{where}.{key}", str(key), item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _paths_in(where, name, item)


def _resolved(path: str) -> Path:
    # what is put into braces later is a name without separators; links are followed as far as they exist
    return Path(_BRACES.sub("x", path)).expanduser().resolve()

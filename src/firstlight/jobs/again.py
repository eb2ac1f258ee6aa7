"""A run once more: the job from the record of a result, on the same input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from firstlight.core import registry
from firstlight.core.errors import JobError
from firstlight.core.record import versions
from firstlight.runners.inputs import difference

from .load import override
from .outputs import moved
from .results import read_record


@dataclass(frozen=True, slots=True)
class Again:
    """A job, and what is not quite as it was."""

    job: dict[str, Any]
    remarks: tuple[str, ...]


def again(result: Path, out: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Again:
    """The job that made a result.

    Args:
        result: A file or folder that a run wrote.
        out: Where the new result goes; by default where the old one is, which the sink then refuses unless it may overwrite.
        overrides: ``step.parameter`` values that are to be different.

    Raises:
        SourceError: The result holds no record.
        JobError: The input is gone or changed, came from a detector or from memory, or an override fits nothing.
    """
    record = read_record(result)
    job = dict(cast("Mapping[str, Any]", record["job"]))
    changed = dict(overrides or {})
    remarks = [*_steered(job, record.get("changes") or [])]
    problems = override(job, changed)
    problems += _gone(job)
    for noted in record.get("inputs") or []:
        problems += _differs(cast("Mapping[str, Any]", noted), job, changed, remarks)
    if out is not None and not problems:
        _redirect(job, result, out)
    if problems:
        raise JobError(problems)
    made, now = (record.get("versions") or {}).get("firstlight"), versions().get("firstlight")
    if made != now:
        remarks.append(f"the result was made by firstlight {made}; this is {now}")
    return Again(job, tuple(remarks))


def _gone(job: Mapping[str, Any]) -> list[str]:
    """Why the frames of a run can not be had again."""
    described = job.get("source")
    source = cast("Mapping[str, Any]", described) if isinstance(described, Mapping) else {}
    if source.get("in_memory"):
        return [
            "The frames of this run were arrays in memory, which are gone. Save them, and name them: --set source.use=hdf5 …"
        ]
    use = str(source.get("use"))
    if use in registry.names("sources") and not registry.get("sources", use).pausable:
        return [
            f"The frames of this run came from a detector ('{use}') and are gone. If they were recorded, name the file:"
            " --set 'source={use: nxtomo, path: FILE}'."
        ]
    return []


def _differs(
    noted: Mapping[str, Any], job: dict[str, Any], changed: Mapping[str, Any], remarks: list[str]
) -> list[str]:
    """Whether an input is what it was; one that the user named anew may differ, and that is said."""
    field = str(noted.get("field"))
    named = f"source.{field}" in changed or "source" in changed
    source = job.get("source")
    given = cast("Mapping[str, Any]", source).get(field) if isinstance(source, Mapping) else None
    path = Path(str(given if named and given else noted.get("path"))).expanduser()
    text = difference(noted, path)
    if text is None:
        if not named and isinstance(source, Mapping) and given and not Path(str(given)).is_absolute():
            job["source"] = {**cast("Mapping[str, Any]", source), field: str(path)}
        return []
    if named:
        remarks.append(f"another input than that of the result: {text}")
        return []
    return [f"The input is not what it was: {text} To run the job on it all the same: --set source.{field}={path}"]


def _steered(job: dict[str, Any], changes: list[Any]) -> list[str]:
    """Put parameters that were changed while the run went on into the job; what that means, in words."""
    told: list[str] = []
    for change in changes:
        step, parameter = str(change["step"]), str(change["parameter"])
        if not override(job, {f"{step}.{parameter}": change["new"]}):
            told.append(
                f"{step}.{parameter} was changed to {change['new']} at frame {change['id']}; now it holds from the first frame"
            )
    return told


def _redirect(job: dict[str, Any], result: Path, out: Path) -> None:
    """Let the sink that wrote the result write to another place, alone; snapshots follow it."""
    found = job.get("sinks")
    sinks = [dict(each) for each in cast("list[Any]", found)] if isinstance(found, list) else []
    if not sinks:
        raise JobError(["The job of this result has no sink whose output could go elsewhere."])
    own = next((each for each in sinks if Path(str(each.get("path", ""))).name == result.name), sinks[0])
    job["sinks"] = [moved(own, out)]
    shots = job.get("snapshots")
    if isinstance(shots, list):
        job["snapshots"] = [
            {**each, "path": str(_beside(out, Path(str(each["path"])).name, result.stem))}
            for each in cast("list[dict[str, Any]]", shots)
        ]


def _beside(out: Path, picture: str, before: str) -> Path:
    """Where a snapshot of another result goes: named after that one, so that it replaces no picture of the first."""
    return out.parent / (picture.replace(before, out.stem, 1) if before in picture else f"{out.stem}_{picture}")

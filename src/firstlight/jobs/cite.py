"""The methods paragraph of a job or a result: what was done, with which values, and whose work it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Any

from firstlight.core.chunk import Scan, Stream
from firstlight.core.job import Job, parse_job
from firstlight.core.pipeline import Node
from firstlight.core.record import versions
from firstlight.core.step import Configured
from firstlight.core.sweep import Sweeping
from firstlight.core.units import Quantity

from .load import load_job
from .references import Paper, paper
from .results import read_record

LIBRARIES = {
    "numpy": "10.1038/s41586-020-2649-2",
    "scipy": "10.1038/s41592-019-0686-2",
    "numba": "10.1145/2833157.2833162",
}
"""Libraries whose arithmetic ends up in the numbers, and their papers."""

_MOST_NAMED = 4
"""Numbers of a sweep that are all named."""


@dataclass(frozen=True, slots=True)
class Citation:
    """Sentences for a methods section, and the papers to which their marks point."""

    sentences: tuple[str, ...]
    papers: tuple[Paper, ...]
    """In the order of their numbers, which start at 1."""

    @property
    def paragraph(self) -> str:
        """The sentences with their marks."""
        return " ".join(self.sentences)


class _Marks:
    """Numbers of papers, in the order in which they are cited first."""

    def __init__(self) -> None:
        self.papers: list[Paper] = []

    def __call__(self, dois: Sequence[str]) -> str:
        numbers: list[int] = []
        for doi in dois:
            work = paper(doi)
            if work not in self.papers:
                self.papers.append(work)
            numbers.append(self.papers.index(work) + 1)
        return f" [{', '.join(map(str, sorted(numbers)))}]" if numbers else ""


def cite(path: Path) -> Citation:
    """The citation of a job file, or of a result by its record.

    Raises:
        JobError: The job has mistakes.
        SourceError: The file is neither.
    """
    if path.suffix.lower() in (".yaml", ".yml"):
        return citation(load_job(path), {})
    record = read_record(path)
    return citation(parse_job(record["job"]), record)


def citation(job: Job, record: Mapping[str, Any]) -> Citation:
    """The citation of a job.

    Args:
        job: What was done.
        record: The record of its run, or nothing: then the values that steps find are not known.
    """
    marks = _Marks()
    sentences = [*_sentences(job, record, marks)]
    return Citation(tuple(sentences), tuple(marks.papers))


def _sentences(job: Job, record: Mapping[str, Any], marks: _Marks) -> Iterator[str]:
    used = record.get("versions") or versions()
    libraries = [(name, doi) for name, doi in LIBRARIES.items() if name in used]
    on = ", ".join(f"{name} {used[name]}{marks([doi])}" for name, doi in libraries)
    yield f"Data were processed with firstlight {used.get('firstlight', '')} on {on}."
    if job.source.sentence or job.source.cites:
        yield _of_plugin(job.source, job.source.use, {}, {}, "source", marks)
    scan = _scan(record)
    for node in job.pipeline.nodes:
        step = node.step if scan is None else node.step.calibrated(scan)
        found, by = _found(node, record)
        yield _of_plugin(step, node.name, found, by, "step", marks)
    yield from _losses(record)


def _scan(record: Mapping[str, Any]) -> Scan | None:
    """The scan as the record describes it: steps took pixel size, energy and distance from there."""
    told = record.get("scan") or {}
    try:
        streams = {
            name: Stream(tuple(s["axes"]), s["sizes"], s["dtype"], s["arrival"], unit=s.get("unit"))
            for name, s in told["streams"].items()
        }
        calibration = {name: Quantity(float(q["value"]), q["unit"]) for name, q in told["calibration"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):  # another version wrote it, or nobody did
        return None
    return Scan(streams, calibration=calibration)


def _found(node: Node, record: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Held and changed parameters: in words what they were; and of those that the record does not tell, the step that found them."""
    values = record.get("values") or {}
    changed = {
        change["parameter"]: change.get("new")
        for change in record.get("changes") or ()
        if change.get("step") == node.name and "parameter" in change
    }
    known = {**_chosen(node, record), **changed}
    told: dict[str, str] = {name: _text(value, unit_of(type(node.step), name)) for name, value in known.items()}
    if isinstance(node.step, Sweeping):
        told |= {name: _swept(values, unit_of(node.step.swept_kind, name)) for name, values in node.step.sweeps.items()}
    by: dict[str, str] = {}
    for name, reference in node.held.items():
        output = str(reference)
        value = next((v for key, v in values.items() if key == output or key.partition(".")[0] == output), None)
        if isinstance(value, int | float) and value == value:
            told[name] = _text(value, unit_of(type(node.step), name))
        else:
            told.pop(name, None)
            by[name] = reference.step
    return told, by


def _chosen(node: Node, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a step took for parameters that leave the choice to it."""
    found: Any = record.get("chosen")
    own: Any = found.get(node.name) if isinstance(found, Mapping) else None
    return own if isinstance(own, Mapping) else {}


def _of_plugin(
    plugin: Configured, name: str, told: Mapping[str, str], by: Mapping[str, str], kind: str, marks: _Marks
) -> str:
    cited = marks(plugin.cites)
    if plugin.sentence:
        return _with_mark(_filled(plugin, told, by), cited)
    summary = plugin.summary().rstrip(".").partition(": ")[0]
    given = [
        f"{field} = {f'the value found by {by[field]}' if field in by else told.get(field) or value_of(plugin, field)}"
        for field in type(plugin).model_fields
        if field in told or field in by or field in plugin.model_fields_set
    ]
    settings = f" with {', '.join(given)}" if given and kind == "step" else ""
    shown = summary[:1].lower() + summary[1:]
    return _with_mark(f"The {kind} '{name}' ({shown}) was used{settings}.", cited)


def _with_mark(sentence: str, mark: str) -> str:
    return f"{sentence.rstrip('. ')}{mark}."


def _filled(plugin: Configured, told: Mapping[str, str], by: Mapping[str, str]) -> str:
    text = ""
    for literal, name, noun, _ in Formatter().parse(plugin.sentence):
        text += literal
        if name is None:
            continue
        if name in by:
            text += f"the {noun or name.replace('_', ' ')} found by {by[name]}"
        elif noun and name not in told and getattr(plugin, name) is None:
            text += f"the default {noun}"
        else:
            text += f"{noun} ".lstrip() + (told.get(name) or value_of(plugin, name))
    return text


def value_of(plugin: Configured, name: str) -> str:
    """A parameter in words, with its unit."""
    return _text(getattr(plugin, name), unit_of(type(plugin), name))


@lru_cache(maxsize=1024)
def unit_of(kind: type[Configured], name: str) -> str:
    """The unit of a parameter, or nothing."""
    described = kind.model_json_schema().get("properties", {}).get(name, {})
    options = [described, *described.get("anyOf", ())]
    return next((str(option["unit"]) for option in options if "unit" in option), "")


def _text(value: Any, unit: str) -> str:
    if value is None:
        return "(default)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        # a degree stands right behind its number, every other unit after a space
        return f"{value:.6g}" + {"": "", "deg": "°", "um": " µm"}.get(unit, f" {unit}")
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_text(item, unit)}" for key, item in value.items()) or "nothing"
    if isinstance(value, list | tuple):
        return ", ".join(_text(item, unit) for item in value) or "nothing"
    return str(value)


def _swept(values: Sequence[Any], unit: str) -> str:
    """What a sweep tried."""
    if len(values) <= _MOST_NAMED or not all(isinstance(value, int | float) for value in values):
        return ", ".join(_text(value, unit) for value in values)
    return f"{_text(values[0], unit)} to {_text(values[-1], unit)} ({len(values)} values)"


def _losses(record: Mapping[str, Any]) -> Iterator[str]:
    counts = record.get("counts") or {}
    expected, done = counts.get("expected"), counts.get("done")
    if not expected or done is None:
        return
    missing = {name: counts.get(name, 0) for name in ("lost", "dropped", "rejected", "excluded")}
    named = ", ".join(f"{number} {name}" for name, number in missing.items() if number)
    if done == expected and not named:
        yield f"All {expected} frames were used."
    else:
        yield f"Of {expected} frames {done} were used{f' ({named})' if named else ''}."

"""What a recorded scan is, the job that suits it, and one slice of a job to look at."""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan, Stream
from firstlight.core.errors import FirstlightError, JobError, SourceError
from firstlight.core.job import Job
from firstlight.core.operator import Operator
from firstlight.core.pipeline import Node, Pipeline
from firstlight.core.run import Result, ViewInfo
from firstlight.core.selection import Picked
from firstlight.core.view import Shown
from firstlight.jobs.confine import confine, refuse_foreign_code, refuse_foreign_profile
from firstlight.jobs.defaults import source_of, suggest
from firstlight.jobs.load import load_job
from firstlight.jobs.picture import Wanted, picture
from firstlight.jobs.start import start

from .compared import best_of
from .places import free_name, inside

MARGIN = 24
"""Rows on each side of the one that is looked at, for steps that see neighbours."""
MOST_TIME = 110.0
"""Seconds that one slice may take."""
KEPT_BYTES = 256 << 20
"""Results of earlier trials that are kept, so that going back to one costs nothing."""


def describe(question: Mapping[str, Any], roots: Sequence[Path]) -> tuple[dict[str, Any], bytes]:
    """Which source recognises a file, what it holds, and the job that suits it.

    Raises:
        UnknownName: There is no such file below the roots.
        SourceError: No source recognises it.
    """
    path = inside(question["path"], roots)
    given = dict(question.get("source") or {})
    use = str(given.get("use") or source_of(path))
    told: dict[str, Any] = {"path": str(path), "source": use, "assumptions": [], "job": {}, "problem": None}
    out = question.get("out") or str(free_name(path.with_name(f"{path.stem}_rec.nxs")))
    try:
        found = suggest(path, out, source=given, values=question.get("values"))
        told |= {"job": found.job, "assumptions": list(found.assumptions)}
    except FirstlightError as error:
        told["problem"] = _said(error)
    job = {"source": {"use": use, "path": str(path), **given}, "steps": [{"use": "mean"}], **told["job"]}
    parsed = _parsed(job, roots)
    try:
        told |= _scan(parsed.source.open())
    except SourceError as error:
        told |= {"name": path.stem, "streams": [], "coords": [], "calibration": [], "problem": _said(error)}
    finally:
        parsed.source.close()
    told["steps"] = [str(step.get("name", step["use"])) for step in told["job"].get("steps", [])]
    return told, b""


def _said(error: FirstlightError) -> str:
    """What is wrong with a file that stands beside these words; its path is not said again."""
    if error.field != "path" or isinstance(error, JobError):
        return str(error)
    expected = f"Expected {error.expected}." if error.expected else ""
    return " ".join(part for part in (error.message, expected, error.next_move) if part)


def _scan(scan: Scan) -> dict[str, Any]:
    streams = [
        {
            "name": name,
            "axes": list(stream.axes),
            "sizes": [stream.sizes.get(label) for label in stream.axes],
            "dtype": str(np.dtype(stream.dtype)),
            "unit": stream.unit,
        }
        for name, stream in scan.streams.items()
    ]
    coords = [_axis(name, np.asarray(values)) for name, values in scan.coords.items()]
    calibration = [{"name": name, "value": found.value, "unit": found.unit} for name, found in scan.calibration.items()]
    return {
        "name": scan.name,
        "streams": streams,
        "coords": [axis for axis in coords if axis is not None],
        "calibration": calibration,
    }


def _axis(name: str, values: Array) -> dict[str, Any] | None:
    if values.ndim != 1 or not values.size or values.dtype.kind not in "iuf":
        return None
    unit = "deg" if name == "angle" else None
    return {"name": name, "count": values.size, "first": float(values[0]), "last": float(values[-1]), "unit": unit}


def _parsed(given: Mapping[str, Any], roots: Sequence[Path]) -> Job:
    """A job from the network, held within the roots.

    Raises:
        JobError: It has mistakes, leads outside, or runs code.
    """
    refuse_foreign_profile(given)
    refuse_foreign_code(given)
    job = load_job(given)
    confine(job, roots)
    return job


@dataclass(frozen=True, slots=True)
class Tried:
    """The outcome of one trial: everything that one step gives for one row."""

    step: str
    results: Mapping[str, Result]
    """By ``step.output``, the first first."""
    values: Mapping[str, Any]
    row: int
    rows: int
    margin: int
    """Rows that were read on each side."""
    seconds: float
    best: dict[str, Mapping[str, Any] | None] = field(default_factory=dict[str, "Mapping[str, Any] | None"])
    """By output that was looked at: which value of a swept parameter makes the best picture, and by what."""

    def of(self, output: str) -> Result:
        """One output; the first where a step alone is named.

        Raises:
            FirstlightError: The step does not give it.
        """
        found = self.results.get(output)
        if found is None and "." not in output:
            found = next(iter(self.results.values()), None)
        if found is None:
            raise FirstlightError(f"The step '{self.step}' gave nothing to show.", field="of", value=output)
        return found

    @property
    def nbytes(self) -> int:
        """What it takes to keep it."""
        return sum(result.data.nbytes for result in self.results.values())


class Trials:
    """Runs single slices of jobs, and keeps the newest outcomes."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._kept: OrderedDict[str, Tried] = OrderedDict()

    def slice(self, question: Mapping[str, Any], roots: Sequence[Path]) -> tuple[dict[str, Any], bytes]:
        """One slice of a job as a picture. Another output of a step that was just tried costs nothing.

        Raises:
            JobError: The job has mistakes, or leads outside.
            FirstlightError: It failed, took too long, or gives nothing that can be shown.
        """
        asked = {name: question.get(name) for name in ("job", "row", "of")}
        output = str(asked["of"] or _shown_by(question["job"]) or "")
        asked["of"] = output.partition(".")[0]
        key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        tried = self._kept.pop(key, None) or attempt(asked, roots)
        self._kept[key] = tried
        while len(self._kept) > 1 and sum(each.nbytes for each in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return _pictured(tried, output or tried.step, question)


def attempt(asked: Mapping[str, Any], roots: Sequence[Path]) -> Tried:
    """Run a job on one row of its scan, as far as the step that is asked for."""
    begun = time.monotonic()
    given = {name: part for name, part in asked["job"].items() if name not in ("sinks", "views", "snapshots", "runner")}
    job = _parsed(given, roots)
    wanted = str(asked.get("of") or job.pipeline.nodes[-1].name)
    nodes = needed(job.pipeline, wanted)
    row, rows, margin, only = _cut(job, nodes, asked.get("row"))
    part = Job(job.source, Pipeline(nodes), name=job.name, collect=True, only=only)
    run = start(part)
    try:
        results = run.finished(MOST_TIME)
    except TimeoutError as error:
        run.stop()
        raise FirstlightError(
            f"One slice took longer than {MOST_TIME:.0f} s.",
            field="job",
            next_move="Take fewer iterations or angles, bin the frames, or look at an earlier step.",
        ) from error
    given_by = {name: result for name, result in results.items() if name.partition(".")[0] == wanted}
    seconds = time.monotonic() - begun
    return Tried(wanted, given_by, dict(run.status().values), row, rows, margin, seconds)


def _shown_by(given: Mapping[str, Any]) -> str | None:
    """The step whose output the job writes first."""
    sinks = given.get("sinks")
    first = sinks[0] if isinstance(sinks, list) and sinks and isinstance(sinks[0], Mapping) else {}
    return None if first.get("of") is None else str(first["of"]).partition(".")[0]


def needed(pipeline: Pipeline, wanted: str) -> tuple[Node, ...]:
    """The steps that one step depends on, and itself, in order.

    Raises:
        JobError: There is no such step.
    """
    nodes = pipeline.nodes
    places = {node.name: number for number, node in enumerate(nodes)}
    if wanted not in places:
        raise JobError([f"There is no step '{wanted}'. There are: {', '.join(places)}."])
    open_, kept = [wanted], set[str]()
    while open_:
        name = open_.pop()
        if name in kept or name not in places:  # streams of the source are no steps
            continue
        kept.add(name)
        node, number = nodes[places[name]], places[name]
        open_ += [reference.step for reference in (*node.inputs.values(), *node.held.values())]
        if number and next(iter(node.step.arguments), None) not in node.inputs:
            open_.append(nodes[number - 1].name)
    return tuple(node for node in nodes if node.name in kept)


def _cut(job: Job, nodes: Sequence[Node], row: int | None) -> tuple[int, int, int, dict[str, Picked]]:
    """Which row is looked at, of how many, with how many on each side, and the selection that says so.

    Only rows of projections become slices of their own: diffraction patterns are read whole.
    """
    try:
        main = job.source.open().main
    finally:
        job.source.close()
    if not {"angle", "row"} <= {*main.axes} or main.sizes.get("row") is None:
        return 0, 1, 0, dict(job.only)
    rows = main.size("row")
    at = min(rows // 2 if row is None else row, rows - 1)
    margin = MARGIN if any(_sees_neighbours(node) for node in nodes) else 0
    if any(_leaves(node, margin, main.sizes.get("col") or rows) for node in nodes):
        margin = rows
    low, high = max(0, at - margin), min(rows, at + margin + 1)
    return at, rows, margin, {**job.only, "row": Picked.parse(f"{low}:{high}")}


_ACROSS_ROWS = frozenset({"align_frames", "bin", "find_center_rows", "rotate", "undistort"})
"""Steps that bring values from one row to another, or say something of each."""


def _sees_neighbours(node: Node) -> bool:
    """True for steps whose slices depend on other rows: halos, filters over whole frames, and what moves pixels."""
    across = node.step.use in _ACROSS_ROWS or ".operators.phase." in type(node.step).__module__
    return across or node.step.halo().get("row", 0) > 0


def _leaves(node: Node, margin: int, columns: int) -> bool:
    """True for a step that turns frames so far that a row comes from others than its neighbours."""
    if node.step.use != "rotate" or not isinstance(node.step, Operator):
        return False
    return abs(np.sin(np.deg2rad(node.step.parameters()["angle"]))) * columns / 2 > margin


def _pictured(tried: Tried, output: str, question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    result = tried.of(output)
    data, axes = _slice_of(tried, result)
    if output not in tried.best:
        tried.best[output] = best_of(result.marks, data, axes)
    stacked = [
        {"axis": axis, "size": size, "values": [_plain(v) for v in result.marks.get(axis, ())] or None}
        for axis, size in zip(axes[:-2], data.shape[:-2], strict=True)
    ]
    stream = Stream(tuple(axes), dict(zip(axes, data.shape, strict=True)), data.dtype.name, unit=result.unit)
    wanted = Wanted(question["width"], question["height"], index=tuple(question.get("index") or ()), phase=True)
    header, pixels = picture(output, Shown(data, stream, 1), wanted, _scale(result, output, axes))
    told = {
        "values": {name: _plain(value) for name, value in tried.values.items() if np.ndim(value) == 0},
        "row": tried.row,
        "rows": tried.rows,
        "margin": tried.margin,
        "seconds": tried.seconds,
        "stack": stacked,
        "outputs": list(tried.results),
        "best": tried.best[output],
    }
    return {**header, **told}, np.ascontiguousarray(pixels).tobytes()


def _scale(result: Result, output: str, axes: Sequence[str]) -> ViewInfo:
    """Unit of the values, and the size of a pixel where the scan tells it of rows and columns alike."""
    lines = [result.coordinates.get(axis) for axis in axes[-2:]]
    known = [line for line in lines if line is not None and line.unit is not None and len(line.values) > 1]
    same = len(axes) > 1 and len(known) == 2 and known[0].unit == known[1].unit
    sizes = tuple(abs(float(line.values[1] - line.values[0])) for line in known) if same else None
    step, _, name = output.partition(".")
    shape = (None,) * len(axes)
    return ViewInfo(output, step, name, tuple(axes), shape, result.unit, sizes, known[0].unit if same else None)


def _slice_of(tried: Tried, result: Result) -> tuple[Array, list[str]]:
    """Without the axis of the rows, and without axes of length 1 in front."""
    data, axes = result.data, list(result.axes)
    whole = 1 if "iteration" in axes else 2
    for label in ("row", "z"):
        if label in axes and data.ndim > whole:
            number = axes.index(label)
            low, high = max(0, tried.row - tried.margin), min(tried.rows, tried.row + tried.margin + 1)
            # binned rows are fewer than those that were read
            at = (tried.row - low) * data.shape[number] // (high - low)
            data = data.take(at, axis=number)
            axes.pop(number)
    while data.ndim > whole and data.shape[0] == 1:
        data, axes = data[0], axes[1:]
    return data, axes


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value

"""A recorded scan over less than half a turn: whether its axis can be found is tried before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firstlight.core.chunk import Scan
from firstlight.core.errors import JobError, SourceError
from firstlight.core.job import parse_job
from firstlight.core.run import Run
from firstlight.operators.tomography.kept_rows import HALF_TURN, degrees_of

from .load import override
from .look_around import Asked, takers
from .start import start
from .steps_used import leading_to, mappings, name_of

SEARCH = "find_center"
_PROJECTIONS = 90
"""Projections that are enough to try it."""
_ROWS = 16
_MOST_TIME = 600.0
"""Seconds."""


def demand_axis(job: Mapping[str, Any], asked: Asked) -> None:
    """See that the axis of a short scan can be found, from some projections and rows.

    Args:
        job: What would be carried out, in plain values; of interest if something takes what a step `find_center` finds.
        asked: What the user asked for.

    Raises:
        SourceError: It can not, and the user gave none.
    """
    steps = mappings(job.get("steps"))
    search = next((name_of(step) for step in steps if step.get("use") == SEARCH), "")
    target = next(iter(takers(job, search)), None) if search else None
    if target is None or target in asked.overrides or not isinstance(job.get("source"), Mapping):
        return
    try:
        found = _tried(job, leading_to([search], steps), asked)
    except (JobError, SourceError):
        return  # what is wrong is told when the job is carried out
    if found is None or f"{search}.center" in found[0].status().values:
        return
    run, scan = found
    why = "; ".join(run.report().get("remarks", {}).get(search, ()))
    columns = scan.main.size("col")
    raise SourceError(
        f"The axis of rotation can not be found: {why}.",
        field=f"--set {target}",
        value=None,
        expected="the column of the axis, from 0",
        next_move=f"Look at slices about several columns, and give the best. {asked.sweep(target, columns // 4, columns - columns // 4)}",
    )


def _tried(job: Mapping[str, Any], steps: list[dict[str, Any]], asked: Asked) -> tuple[Run, Scan] | None:
    """A run of the search, and the whole scan; None where that is no recorded one over less than half a turn.

    Raises:
        JobError: The job has mistakes.
        SourceError: The source can not be opened.
    """
    trial: dict[str, Any] = {"source": dict(job["source"]), "steps": steps}
    parts = {"source", "only", *map(name_of, steps)}
    mine = {name: value for name, value in asked.overrides.items() if name.partition(".")[0] in parts}
    if problems := override(trial, mine):
        raise JobError(problems)
    scan = _scan(trial)
    degrees = None if scan is None else degrees_of(scan)
    if scan is None or degrees is None or degrees >= HALF_TURN:
        return None
    run = start(parse_job({**trial, "only": {**_some(scan), **trial.get("only", {})}}))
    run.finished(_MOST_TIME)
    return run, scan


def _scan(job: Mapping[str, Any]) -> Scan | None:
    """The scan that was recorded; None where it comes from a detector, or is still to come."""
    parsed = parse_job(job)
    if not parsed.source.pausable or parsed.source.awaited() is not None:
        return None
    source = parsed.played
    try:
        return source.open()
    finally:
        source.close()


def _some(scan: Scan) -> dict[str, str]:
    """Projections and rows to try it with."""
    half = _ROWS // 2
    rows = {"row": f"mid-{half}:mid+{half}"} if scan.main.size("row") > _ROWS else {}
    return {"angle": f"::{max(1, scan.main.size('angle') // _PROJECTIONS)}", **rows}

"""A recorded scan over less than half a turn: whether its axis can be found is tried before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firstlight.core.chunk import Scan
from firstlight.core.errors import JobError, SourceError
from firstlight.core.job import parse_job
from firstlight.operators.tomography.kept_rows import HALF_TURN, degrees_of

from .load import override
from .look_around import Asked
from .start import start
from .steps_used import leading_to

SEARCH = "find_center"
TARGET = "fbp.center"
_PROJECTIONS = 90
"""Projections that are enough to try it."""
_ROWS = 16
_MOST_TIME = 600.0
"""Seconds."""


def demand_axis(job: Mapping[str, Any], asked: Asked) -> None:
    """See that the axis of a short scan can be found, from some projections and rows.

    Args:
        job: What would be carried out, in plain values, with a step `find_center`.
        asked: What the user asked for.

    Raises:
        SourceError: It can not, and the user gave none.
    """
    if TARGET in asked.overrides:
        return
    steps = leading_to([SEARCH], [dict(step) for step in job["steps"]])
    trial: dict[str, Any] = {"source": dict(job["source"]), "steps": steps}
    parts = {"source", "only", *(str(step.get("name", step["use"])) for step in steps)}
    mine = {target: value for target, value in asked.overrides.items() if target.partition(".")[0] in parts}
    if not steps or override(trial, mine):
        return  # what is wrong is told when the job is checked
    try:
        scan = _scan(trial)
        degrees = degrees_of(scan)
        if degrees is None or degrees >= HALF_TURN:
            return
        run = start(parse_job({**trial, "only": {**_some(scan), **trial.get("only", {})}}))
    except JobError:
        return  # likewise
    run.finished(_MOST_TIME)
    if f"{SEARCH}.center" in run.status().values:
        return
    why = "; ".join(run.report().get("remarks", {}).get(SEARCH, ()))
    columns = scan.main.size("col")
    raise SourceError(
        f"The axis of rotation can not be found: {why}.",
        field=f"--set {TARGET}",
        value=None,
        expected="the column of the axis, from 0",
        next_move=f"Look at slices about several columns, and give the best. {asked.sweep(TARGET, columns // 4, columns - columns // 4)}",
    )


def _scan(job: Mapping[str, Any]) -> Scan:
    source = parse_job(job).played
    try:
        return source.open()
    finally:
        source.close()


def _some(scan: Scan) -> dict[str, str]:
    """Projections and rows to try it with."""
    half = _ROWS // 2
    rows = {"row": f"mid-{half}:mid+{half}"} if scan.main.size("row") > _ROWS else {}
    return {"angle": f"::{max(1, scan.main.size('angle') // _PROJECTIONS)}", **rows}

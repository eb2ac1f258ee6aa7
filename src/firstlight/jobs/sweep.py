"""The job of a sweep: another job with some parameters taking several values, and a sheet that compares them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from firstlight.core import registry
from firstlight.core.errors import JobError
from firstlight.core.operator import OperatorFunction

from .defaults import sink_of
from .load import job_values, override
from .steps_used import leading_to, name_of

SHEET = "contact_sheet"
"""The name of the step that compares."""
RESIDUAL = "residual"
"""The metric, and the output of iterative steps, that tells how much of the data a reconstruction leaves over."""


def sweep_job(
    job: Path | Mapping[str, Any],
    sweeps: Mapping[str, str],
    out: Path | None,
    *,
    overrides: Mapping[str, Any] | None = None,
    sheet: Path | None = None,
    metric: str = "entropy",
) -> dict[str, Any]:
    """The job that works with every value of some parameters.

    Only what leads to the pictures is kept of the other job's steps; its sinks are replaced by one of the pictures.

    Args:
        job: The job that is swept, as a path or as plain values.
        sweeps: ``step.parameter`` to ``start:stop:step`` (both ends included) or ``a,b,c``.
        out: Where the pictures go, with one axis for each swept parameter; None: nowhere but into the sheet.
        overrides: Further ``step.parameter`` values, as for `load_job`.
        sheet: Where the contact sheet goes; default: beside `out`, or `contact_sheet.png` without one.
        metric: What tells the best: one of `contact_sheet`, or `residual` where what is shown is made by an iterative step.

    Raises:
        JobError: The job can not be read, or there is no such step.
        FirstlightError: No sink writes such an ending.
    """
    values = job_values(job)
    problems = override(values, {**(overrides or {})})
    problems += override(values, {target: {"sweep": text} for target, text in sweeps.items()})
    steps = [dict(step) for step in cast("list[Any]", values.get("steps") or []) if isinstance(step, Mapping)]  # pyright: ignore[reportUnknownArgumentType]
    if problems or not steps:
        raise JobError(problems or ["The job has no steps whose parameters could be swept."])
    swept = [target.partition(".")[0] for target in sweeps]
    of = _shown(values, steps, swept)
    kept = leading_to([of, *swept], steps)
    beside = Path(f"{SHEET}.png") if out is None else sheet_beside(out)
    drawn = "none" if metric == RESIDUAL else metric
    values["steps"] = [*kept, {"use": "contact_sheet", "name": SHEET, "inputs": [of], "metric": drawn}]
    if metric == RESIDUAL:
        values["steps"].append({"use": "least_residual", "inputs": [_residual(of.partition(".")[0], kept)]})
    values["sinks"] = [] if out is None else [_sink(values, of, out)]
    values["views"] = [{"of": f"{SHEET}.sheet"}]
    values["snapshots"] = [{"of": f"{SHEET}.sheet", "path": str(sheet or beside)}]
    values["name"] = f"sweep of {', '.join(sweeps)}"
    return values


def _residual(name: str, steps: list[dict[str, Any]]) -> str:
    """The output of a step that tells what it leaves of the data.

    Raises:
        JobError: It is known to have none.
    """
    use = next((str(step.get("use")) for step in steps if name_of(step) == name), name)
    kind = registry.get("operators", use) if use in registry.names("operators") else None
    model = kind.step if isinstance(kind, OperatorFunction) else kind
    outputs = getattr(getattr(model, "signature", None), "outputs", (RESIDUAL,))
    if RESIDUAL not in outputs:
        text = f"--metric residual: '{name}' does not tell what it leaves of the data."
        raise JobError([f"{text} Sweep an iterative step (cgls, sirt, cgls_volume …), or take another metric."])
    return f"{name}.{RESIDUAL}"


def sheet_beside(out: Path) -> Path:
    """Where the contact sheet of a result goes."""
    return out.with_name(f"{out.stem}_sheet.png")


def _sink(values: Mapping[str, Any], of: str, out: Path) -> dict[str, Any]:
    """The sink of the pictures; set like the job's own where that is of the same kind."""
    use, found = sink_of(out), values.get("sinks")
    own = cast("list[Any]", found)[0] if isinstance(found, list) and found else None
    kept = dict(cast("Mapping[str, Any]", own)) if isinstance(own, Mapping) else {}
    return {**(kept if kept.get("use") == use else {}), "use": use, "of": of, "path": str(out)}


def _shown(values: Mapping[str, Any], steps: list[dict[str, Any]], swept: list[str]) -> str:
    """The output that the pictures are of: what the job writes, or what its last step gives."""
    sinks = cast("list[Any]", values.get("sinks")) if isinstance(values.get("sinks"), list) else []
    for sink in sinks:
        of = str(cast("Mapping[str, Any]", sink).get("of", "")) if isinstance(sink, Mapping) else ""
        names = {name_of(step) for step in leading_to([of], steps)}
        if of and set(swept) <= names:
            return of
    return name_of(steps[-1])

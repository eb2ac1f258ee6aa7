"""From runs as we know them to what the service says about them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from firstlight.core.errors import FirstlightError, JobError
from firstlight.core.run import Status, StepInfo, ViewInfo
from firstlight.jobs.protocol import plain
from firstlight.jobs.remote import RemoteRun
from firstlight.jobs.store import RunEntry

from .models import (
    FrameCounts,
    Latency,
    LogLine,
    ParameterChange,
    Problem,
    Queue,
    Rates,
    Refusal,
    RunDetail,
    RunStep,
    RunSummary,
    RunView,
    Stage,
)


def summary_of(entry: RunEntry) -> RunSummary:
    """One line of the list of runs."""
    return RunSummary(**_summary(entry))


def _summary(entry: RunEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in ("id", "name", "state", "started", "ended", "error")}


def detail_of(run: RemoteRun) -> RunDetail:
    """Everything about one run. Asks its process, and reads its folder: not for the event loop."""
    status, entry = run.status(), run.entry()
    schemas = run.steps()
    known = {
        **_summary(entry),
        "state": entry.state if entry.over else status.state,
        "error": entry.error or status.error,
    }
    return RunDetail(
        **known,
        counts=FrameCounts(**status.counts.as_dict()),
        stages=[_stage(status, name) for name in status.consumers],
        bound=status.bound,
        statistics=plain(dict(status.statistics), nan=False),
        faults=plain(dict(status.faults), nan=False),
        rates=Rates(
            frames_per_second=_finite(status.frames_per_second), bytes_per_second=_finite(status.bytes_per_second)
        ),
        latency_ms=_latency(status),
        queue=Queue(used_bytes=status.queue_bytes, capacity_bytes=status.queue_capacity, frames=status.queue_frames),
        views=[_view(view) for view in status.views],
        steps=[_step(step, schemas.get(step.name) or {}) for step in status.steps],
        values=plain(dict(status.values), nan=False),
        changes=[ParameterChange(**plain(asdict(change), nan=False)) for change in status.changes],
        result=status.result,
        job=plain(run.folder.job(), nan=False),
    )


def _finite(number: float) -> float:
    return plain(number, nan=False) or 0.0


def _stage(status: Status, name: str) -> Stage:
    counts, told = status.consumers[name], status.stages.get(name, {})
    gone = counts.lost + counts.dropped + counts.rejected + counts.excluded
    rate, left = (plain(told.get(key), nan=False) for key in ("rate", "left"))
    return Stage(name=told.get("title", name), done=counts.done + gone, expected=counts.expected, rate=rate, left=left)


def _latency(status: Status) -> Latency | None:
    found = status.latency_ms
    return None if not found else Latency(**{name: plain(found.get(name), nan=False) for name in ("p50", "p95", "p99")})


def _view(view: ViewInfo) -> RunView:
    return RunView(
        name=view.name,
        step=view.step,
        output=view.output,
        axes=list(view.axes),
        shape=None if any(size is None for size in view.shape) else [size for size in view.shape if size is not None],
        unit=view.unit,
        pixel_size=None if view.pixel_size is None else list(view.pixel_size),
        pixel_unit=view.pixel_unit,
        follows=dict(view.follows),
    )


def _step(step: StepInfo, described: dict[str, Any]) -> RunStep:
    values = {
        "name": step.name,
        "use": step.use,
        "title": described.get("title") or step.use.replace("_", " ").capitalize(),
        "schema": described.get("schema") or {},
        "values": plain(dict(step.values), nan=False),
        "held": dict(step.held),
        "live": step.live,
        "per_frame": step.per_frame,
    }
    return RunStep.model_validate(values)


def line_of(line: dict[str, Any]) -> LogLine:
    """One line of a log."""
    return LogLine(n=line["n"], at=line["at"], level=line["level"], text=line["text"])


def refusal_of(error: Exception) -> Refusal:
    """What to answer when something was refused."""
    if isinstance(error, JobError):
        first = Problem(message=error.message.partition("\n")[0], field="job", next="Correct what 'problems' lists.")
        return Refusal(error=first, problems=error.problems)
    if isinstance(error, FirstlightError):
        return Refusal(
            error=Problem(
                field=error.field,
                value=plain(error.value, nan=False),
                expected=error.expected or "",
                message=error.message,
                next=error.next_move or "",
            )
        )
    return Refusal(error=Problem(message=str(error) or type(error).__name__))

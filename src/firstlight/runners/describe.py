"""A run in words and numbers: its steps, views, small values and report."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.coordinates import COUNTED, SPACE, spacing
from firstlight.core.devices import PROCESSOR
from firstlight.core.errors import FirstlightError
from firstlight.core.fold import Fold
from firstlight.core.job import Job
from firstlight.core.pipeline import SOURCE
from firstlight.core.plan import Outlet, Plan, Port, port_name
from firstlight.core.record import versions
from firstlight.core.run import Change, Status, StepInfo, ViewInfo
from firstlight.core.step import Step
from firstlight.core.units import factor

SMALL = 4096
"""Arrays with at most so many numbers are reported as values."""


def job_dict(job: Job) -> dict[str, Any]:
    """The job in plain values; parts that live in memory alone are named, not written."""
    try:
        return job.to_dict()
    except (FirstlightError, ValueError):  # pydantic wraps the refusal of arrays in a ValueError
        return {"name": job.name, "source": {"use": job.source.use, "in_memory": True}, "steps": job.pipeline.to_dict()}


def small_values(name: str, array: Array) -> dict[str, Any]:
    """A scalar or a small array as plain values, under its name; nothing for an image."""
    if array.ndim > 1 or array.size > SMALL or array.dtype.kind not in "biuf":
        return {}
    return {name: array.tolist()}


def view_name(port: Port, plan: Plan) -> str:
    """``step``, or ``step.output`` where the step has several; ``source.data`` for a stream of the source."""
    if port[0] == SOURCE:
        return port_name(port)
    return port[0] if len(plan[port[0]].outputs) == 1 else ".".join(port)


def view_infos(plan: Plan) -> tuple[ViewInfo, ...]:
    """What a plan's views show."""
    return tuple(_view_info(outlet, plan) for outlet in plan.views)


def _view_info(outlet: Outlet, plan: Plan) -> ViewInfo:
    stream = outlet.scan.main
    step, output = outlet.port
    made_by = None if step == SOURCE else plan[step].step
    follows: dict[str, str] = {}
    if isinstance(made_by, Fold):
        follows = {axis: f"{step}.{parameter}" for axis, parameter in made_by.follows.get(output, {}).items()}
    pixels, pixel_unit = _pixels(outlet.scan)
    return ViewInfo(
        name=view_name(outlet.port, plan),
        step=step,
        output=output,
        axes=stream.axes,
        shape=tuple(stream.sizes.get(label) for label in stream.axes),
        unit=stream.unit,
        pixel_size=pixels,
        pixel_unit=pixel_unit,
        follows=follows,
    )


def _pixels(scan: Scan) -> tuple[tuple[float, ...] | None, str | None]:
    """Size of a pixel along each axis (1 along one that only counts) and its unit; None if one is not known."""
    axes = scan.main.axes
    found = {axis: spacing(scan, axis, frozenset(axes)) for axis in axes if axis not in COUNTED}
    known = [size for size in found.values() if size is not None]
    if not known or len(known) < len(found):
        return None, None
    dimension = factor(known[0].unit)[0]
    if any(factor(size.unit)[0] != dimension for size in known):
        return None, None
    unit = "um" if axes[-1] in SPACE and dimension == "length" else known[0].unit
    sizes = {axis: size.to(unit) for axis, size in found.items() if size is not None}
    return tuple(sizes.get(axis, 1.0) for axis in axes), unit


def step_infos(plan: Plan, current: Mapping[str, Step]) -> tuple[StepInfo, ...]:
    """The steps of a plan, with the parameters that hold now."""
    found: list[StepInfo] = []
    for planned in plan.steps:
        step = current.get(planned.name, planned.step)
        held = {name: ".".join(port) for name, port in planned.held_parameters.items()}
        found.append(
            StepInfo(
                planned.name, step.use, step.model_dump(mode="json"), held, changeable(step), not isinstance(step, Fold)
            )
        )
    return tuple(found)


def changeable(step: Step) -> bool:
    """True if the parameters of a step may be changed while it runs."""
    if not type(step).model_fields:
        return False
    return not isinstance(step, Fold) or type(step).adapt is not Fold.adapt


def percentiles(samples: Sequence[float]) -> dict[str, float] | None:
    """Median, 95th and 99th percentile, or None without samples."""
    if not samples:
        return None
    p50, p95, p99 = np.percentile(np.asarray(samples), (50, 95, 99))
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}


def peak_memory() -> int:
    """The most memory that this process has used, in byte."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def sizes_of(plan: Plan) -> dict[str, Any]:
    """What was planned, in byte, for the report."""
    sizes = plan.sizes
    if sizes is None:
        return {}
    ways = {port_name(each.cut.port): each.way for each in sizes.regroupings}
    return {
        "planned_memory_bytes": round(sizes.peak),
        "memory_budget_bytes": round(sizes.budget),
        "scratch_bytes": round(sizes.disk),
        "regroupings": ways,
        "devices": devices_of(plan),
        "planned_device_bytes": 0 if sizes.devices is None else round(sizes.devices.bytes),
        "blocks_on_device": 0 if sizes.devices is None else sizes.devices.in_flight,
    }


def devices_of(plan: Plan) -> dict[str, str]:
    """By step: the processor, or the devices that share its blocks."""
    used = ", ".join(f"{device.name} {device.title}" for device in plan.devices)
    return {planned.name: PROCESSOR if planned.device == PROCESSOR else used for planned in plan.steps}


def report_of(status: Status, stages: Mapping[str, Any], changes: Sequence[Change]) -> dict[str, Any]:
    """The machine-readable report of a run."""
    return {
        "state": status.state,
        "error": status.error,
        **status.counts.as_dict(),
        "consumers": {name: counts.as_dict() for name, counts in status.consumers.items()},
        "skipped": dict(status.skipped),
        "frames_per_second": status.frames_per_second,
        "bytes_per_second": status.bytes_per_second,
        "stages": dict(stages),
        "latency_ms": status.latency_ms,
        "peak_memory_bytes": peak_memory(),
        "changes": [asdict(change) for change in changes],
        "values": dict(status.values),
        "statistics": dict(status.statistics),
        "faults": dict(status.faults),
        "result": status.result,
        "versions": versions(),
    }

"""Starting jobs in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from firstlight.core import registry
from firstlight.core.arrays import Array
from firstlight.core.calibration import parse_calibration
from firstlight.core.check import check as check_job
from firstlight.core.chunk import MAIN
from firstlight.core.errors import AxesError, JobError
from firstlight.core.job import Job, SinkSpec, ViewSpec
from firstlight.core.operator import OperatorFunction
from firstlight.core.pipeline import SOURCE, Node, Pipeline, Reference, pipeline
from firstlight.core.plan import Plan
from firstlight.core.run import Run
from firstlight.core.selection import Picked
from firstlight.core.source import Source
from firstlight.core.step import Step
from firstlight.runners.room import budget_of, with_sizes

from .points import at_points

_NO_LENGTH = "The length of axis"
"""What a step says that needs one that is not known yet."""


def start(job: Job) -> Run:
    """Start a job with the runner that it names, on threads of this process.

    Raises:
        JobError: The job can not run on what its source gives.
        SourceError: The source can not be opened.
    """
    return registry.get("runners", job.runner.use)().start(job)


def plan(job: Job) -> Plan:
    """Open the source, check the job against it, and close the source.

    Raises:
        JobError: The job can not run; every mistake is named.
        SourceError: The source can not be opened.
    """
    try:
        return with_sizes(check_job(job, job.played.open()), *budget_of(job))
    finally:
        job.played.close()


def plan_ahead(job: Job) -> tuple[str, Plan | None] | None:
    """Of a job whose source is still to come: what it waits for, and the plan as far as it can be told without any lengths.

    Raises:
        JobError: It has mistakes that no length could mend.
    """
    waits = job.source.awaited()
    if waits is None:
        return None
    why, scan = waits
    try:
        return why, check_job(job, scan)
    except JobError as error:
        problems = [text for text in error.problems if _NO_LENGTH not in text]
        if problems:
            raise JobError(problems) from None
    except (AxesError, TypeError):  # a step computes with a length
        pass
    return why, None


def run(
    source: Source,
    steps: Iterable[Step | Node | OperatorFunction | Mapping[str, Any]] | Mapping[str, Step | OperatorFunction],
    *,
    sinks: Iterable[SinkSpec] = (),
    views: Iterable[ViewSpec] = (),
    calibration: Mapping[str, Any] | None = None,
    only: Mapping[str, str] | Array | None = None,
    runner: str = "local",
    **settings: Any,
) -> Run:
    """Run steps on a source from Python; outputs that nothing takes are kept as results.

    A step that needs axes that the step before it takes away, such as a second virtual detector, or a mean over frames
    behind their sum, works on the same as that one, beside it.

    Args:
        source: Where the frames come from.
        steps: The pipeline, in order; or by name steps that all work on the source's own frames, beside each other, such as
            ``{"bright": fl.virtual_detector(outer=20), "dark": fl.virtual_detector(shape="annulus", inner=25), "total": fl.sum()}``.
        sinks: What is written.
        views: What is shown.
        calibration: What the source does not know of the scan, such as ``{"step_y": "0.5 nm", "detector_angle": "0.3 mrad"}``.
        only: The region that is worked on: by axis the positions, such as ``{"scan_y": "10:20", "row": "mid-64:mid+64"}``;
            of a recorded file also an array of bool in the shape of the scan: the other points are left out.
        runner: Name of the runner.
        settings: Further settings of the runner, such as ``threads``.

    Raises:
        JobError: The steps do not fit each other or the source.
        FirstlightError: The region makes no sense.
    """
    problems: list[str] = []
    known = parse_calibration(calibration, problems)
    if problems:
        raise JobError(problems)
    if isinstance(only, np.ndarray):
        source, only = at_points(source, only), None
    region = {axis: Picked.parse(str(text)) for axis, text in (only or {}).items()}
    if isinstance(steps, Mapping):
        given = side_by_side(cast("Mapping[str, Step | OperatorFunction]", steps))
    else:
        given = beside(pipeline(steps))
    job = Job(source, given, tuple(sinks), tuple(views), collect=True, calibration=known, only=region)
    return start(replace(job, runner=type(job.runner)(use=runner, **settings)))


def side_by_side(steps: Mapping[str, Step | OperatorFunction]) -> Pipeline:
    """Named steps that all work on the source's own frames.

    Raises:
        JobError: Some of them are no steps.
    """
    found: list[Node] = []
    for name, step in steps.items():
        [node] = pipeline([step]).nodes
        found.append(replace(node, name=name, inputs={node.step.arguments[0]: Reference(SOURCE, MAIN), **node.inputs}))
    return Pipeline(tuple(found))


def beside(given: Pipeline) -> Pipeline:
    """The pipeline in which steps that need what the step before takes away get what that one gets."""
    nodes: list[Node] = []
    for node in given.nodes:
        first = node.step.arguments[0]
        if nodes and first not in node.inputs and _takes_away(nodes[-1].step) & _needed(node.step):
            before = nodes[-1]
            taken = before.inputs.get(before.step.arguments[0])
            if taken is None:
                taken = Reference(SOURCE, MAIN) if len(nodes) == 1 else Reference(nodes[-2].name)
            node = replace(node, inputs={first: taken, **node.inputs})
        nodes.append(node)
    return Pipeline(tuple(nodes))


def _needed(step: Step) -> set[str]:
    """The axes that a step works along; ``*`` stands for all that it does not name."""
    return {*step.signature.first.whole, *step.signature.first.pieces}


def _takes_away(step: Step) -> set[str]:
    """The axes that a step works along, and that its first output lacks."""
    return _needed(step) - set(step.signature.outputs[step.first_output].whole)

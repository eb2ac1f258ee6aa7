"""Starting jobs in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from firstlight.core import registry
from firstlight.core.check import check as check_job
from firstlight.core.job import Job, SinkSpec, ViewSpec
from firstlight.core.operator import OperatorFunction
from firstlight.core.pipeline import Node, pipeline
from firstlight.core.plan import Plan
from firstlight.core.run import Run
from firstlight.core.source import Source
from firstlight.core.step import Step
from firstlight.runners.room import budget_of, with_sizes


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


def run(
    source: Source,
    steps: Iterable[Step | Node | OperatorFunction | Mapping[str, Any]],
    *,
    sinks: Iterable[SinkSpec] = (),
    views: Iterable[ViewSpec] = (),
    runner: str = "local",
    **settings: Any,
) -> Run:
    """Run steps on a source from Python; outputs that nothing takes are kept as results.

    Args:
        source: Where the frames come from.
        steps: The pipeline, in order.
        sinks: What is written.
        views: What is shown.
        runner: Name of the runner.
        settings: Further settings of the runner, such as ``threads``.

    Raises:
        JobError: The steps do not fit each other or the source.
    """
    job = Job(source, pipeline(steps), tuple(sinks), tuple(views), collect=True)
    return start(replace(job, runner=type(job.runner)(use=runner, **settings)))

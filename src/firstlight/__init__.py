"""See the sample while the beam is still on.

>>> import firstlight as fl
>>> run = fl.run(fl.source("phantom"), [fl.step("flat_field"), fl.step("minus_log"), fl.step("fbp")])  # doctest: +SKIP
>>> volume = run.finished()["fbp"]  # doctest: +SKIP

Steps, sources, sinks and views that are installed can also be had by name as attributes: ``fl.flat_field``,
``fl.live_slices``. ``firstlight list operators`` shows them all.
"""

from __future__ import annotations

from importlib.metadata import version as _version
from typing import Any

from firstlight.core import registry as _registry
from firstlight.core.chunk import Chunk, Gap, Scan, Stream
from firstlight.core.errors import FirstlightError
from firstlight.core.fold import Fold
from firstlight.core.job import Job, SinkSpec, ViewSpec
from firstlight.core.operator import operator
from firstlight.core.pipeline import Pipeline, Reference, pipeline
from firstlight.core.run import Result, Results, Run
from firstlight.core.sink import Sink
from firstlight.core.solver import Solver
from firstlight.core.source import Source
from firstlight.core.step import Step
from firstlight.core.view import View
from firstlight.jobs.load import load_job
from firstlight.jobs.start import run, start

__version__ = _version("firstlight")

__all__ = [
    "Chunk",
    "FirstlightError",
    "Fold",
    "Gap",
    "Job",
    "Pipeline",
    "Reference",
    "Result",
    "Results",
    "Run",
    "Scan",
    "Sink",
    "SinkSpec",
    "Solver",
    "Source",
    "Step",
    "Stream",
    "View",
    "ViewSpec",
    "load_job",
    "operator",
    "pipeline",
    "run",
    "source",
    "start",
    "step",
]


def source(use: str, **parameters: Any) -> Source:
    """Make a source by name.

    Raises:
        UnknownName: There is no source of that name.
    """
    return _registry.get("sources", use)(**parameters)


def step(use: str, **parameters: Any) -> Step:
    """Make a step by name.

    Raises:
        UnknownName: There is no operator of that name.
    """
    return _registry.get("operators", use)(**parameters)


def __getattr__(name: str) -> Any:
    """Find an operator by name, such as ``firstlight.flat_field``.

    Raises:
        AttributeError: There is none.
    """
    if not name.startswith("_") and name in _registry.names("operators"):
        return _registry.get("operators", name)
    raise AttributeError(f"module 'firstlight' has no attribute '{name}'")

"""See the sample while the beam is still on.

>>> import firstlight as fl
>>> run = fl.run(fl.source("phantom"), [fl.step("flat_field"), fl.step("minus_log"), fl.step("fbp")])  # doctest: +SKIP
>>> volume = run.finished()["fbp"]  # doctest: +SKIP

Steps, sources, sinks and views that are installed can also be had by name as attributes: ``fl.flat_field``,
``fl.live_slices``. ``firstlight list operators`` shows them all.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firstlight.compat.libertem.fold import from_libertem
    from firstlight.compat.savu.plugin import from_savu
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
    from firstlight.jobs.detectors import connect
    from firstlight.jobs.hooks import Hooks
    from firstlight.jobs.load import load_job
    from firstlight.jobs.start import run, start

    __version__: str

_HOMES = {
    "compat.libertem.fold": ("from_libertem",),
    "compat.savu.plugin": ("from_savu",),
    "core.chunk": ("Chunk", "Gap", "Scan", "Stream"),
    "core.errors": ("FirstlightError",),
    "core.fold": ("Fold",),
    "core.job": ("Job", "SinkSpec", "ViewSpec"),
    "core.operator": ("operator",),
    "core.pipeline": ("Pipeline", "Reference", "pipeline"),
    "core.run": ("Result", "Results", "Run"),
    "core.sink": ("Sink",),
    "core.solver": ("Solver",),
    "core.source": ("Source",),
    "core.step": ("Step",),
    "core.view": ("View",),
    "jobs.detectors": ("connect",),
    "jobs.hooks": ("Hooks",),
    "jobs.load": ("load_job",),
    "jobs.start": ("run", "start"),
}
"""Where the public names are; each is imported when it is first asked for, so that the command starts at once."""

__all__ = [
    "Chunk",
    "FirstlightError",
    "Fold",
    "Gap",
    "Hooks",
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
    "connect",
    "from_libertem",
    "from_savu",
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
    from firstlight.core import registry

    return registry.get("sources", use)(**parameters)


def step(use: str, **parameters: Any) -> Step:
    """Make a step by name.

    Raises:
        UnknownName: There is no operator of that name.
    """
    from firstlight.core import registry

    return registry.get("operators", use)(**parameters)


def __getattr__(name: str) -> Any:
    """Find a public name, or an operator by name, such as ``firstlight.flat_field``.

    Raises:
        AttributeError: There is none.
    """
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is not None:
        found: Any = getattr(_import_module(f"firstlight.{home}"), name)
        globals()[name] = found
        return found
    if name == "__version__":
        from importlib.metadata import version

        return version("firstlight")
    if not name.startswith("_"):
        from firstlight.core import registry

        if name in registry.names("operators"):
            return registry.get("operators", name)
    raise AttributeError(f"module 'firstlight' has no attribute '{name}'")

"""The file of links to what every step of a run saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from firstlight.core import registry
from firstlight.core.axes import DEFAULT_OUTPUT
from firstlight.core.errors import FirstlightError

ENDING = "_master.nxs"


def write_master_of(job: Mapping[str, Any], record: Mapping[str, Any]) -> Path | None:
    """Write the file of links for a job whose steps were all saved, beside its first output.

    Args:
        job: The job as it ran, in plain values: with a sink for each output.
        record: The record of the run.

    Returns:
        Where it is, or None if fewer than two outputs were written as HDF5.

    Raises:
        SinkError: It can not be written.
    """
    from firstlight.connectors.hdf5.master import Saved, write_master

    sinks = [sink for sink in job.get("sinks", ()) if sink.get("use") == "hdf5"]
    if len(sinks) < 2:
        return None
    order = [str(step.get("name", step["use"])) for step in job["steps"]]
    kinds = {name: str(step["use"]) for name, step in zip(order, job["steps"], strict=True)}
    saved = [
        Saved(_name(sink), Path(str(sink["path"])), title=_summary(kinds.get(_step(sink), "")))
        for sink in sorted(sinks, key=lambda sink: order.index(_step(sink)) if _step(sink) in order else -1)
    ]
    first = Path(str(sinks[0]["path"]))
    path = first.with_name(first.stem + ENDING)
    write_master(path, saved, record, default=_name(sinks[0]))
    return path


def _step(sink: Mapping[str, Any]) -> str:
    return str(sink["of"]).partition(".")[0]


def _name(sink: Mapping[str, Any]) -> str:
    """The step, and which of its outputs where it has named ones."""
    return str(sink["of"]).removesuffix(f".{DEFAULT_OUTPUT}").replace(".", "_")


def _summary(use: str) -> str:
    try:
        found = registry.get("operators", use)
    except FirstlightError:
        return use
    return getattr(found, "step", found).summary()

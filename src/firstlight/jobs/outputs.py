"""Where the outputs of a job go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from firstlight.core.errors import JobError

from .defaults import sink_of


def written_to(job: Mapping[str, Any], out: Path | str) -> dict[str, Any]:
    """A job whose only output goes to a place; a job without a sink gets one for its last step.

    Args:
        job: The job in plain values.
        out: A file, a folder for TIFF, or an address such as ``s3://bucket/rec.zarr``. Where its ending differs from that of the job's own sink, another sink writes it.

    Raises:
        JobError: The job has several sinks, or nothing to write.
        FirstlightError: No sink writes this ending.
    """
    sinks = _mappings(job.get("sinks"))
    if len(sinks) > 1:
        names = ", ".join(str(each.get("of")) for each in sinks)
        raise JobError(
            [f"'-o' is for a job with one output; this one has sinks for {names}. Write their paths into the job file."]
        )
    if sinks:
        return {**job, "sinks": [moved(sinks[0], out)]}
    steps = _mappings(job.get("steps"))
    if not steps:
        raise JobError(["'-o' needs a job with a step whose result can be written."])
    return {
        **job,
        "sinks": [{"use": sink_of(out), "of": steps[-1].get("name", steps[-1].get("use")), "path": str(out)}],
    }


def moved(sink: Mapping[str, Any], out: Path | str) -> dict[str, Any]:
    """A sink that writes to another place: the same one, with its options, where the ending is the same.

    Raises:
        FirstlightError: No sink writes this ending.
    """
    same = Path(str(sink.get("path", ""))).suffix.lower() == Path(out).suffix.lower()
    return {**(sink if same else {"use": sink_of(out), "of": sink.get("of")}), "path": str(out)}


def _mappings(found: Any) -> list[dict[str, Any]]:
    return (
        [dict(each) for each in cast("list[Any]", found) if isinstance(each, Mapping)]
        if isinstance(found, list)
        else []
    )

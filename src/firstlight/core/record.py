"""The record of a run: what every sink stores, what ``--again`` repeats and ``cite`` reads."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .chunk import Gap, Scan
from .run import Change, Counts

LIBRARIES = ("firstlight", "numpy", "scipy", "numba", "h5py", "pydantic", "p4p")


def versions() -> dict[str, str]:
    """Versions of Python, of firstlight and of the libraries whose results end up in the data."""
    found = {library: told for library in LIBRARIES if (told := _version(library)) is not None}
    return {"python": platform.python_version(), "platform": sys.platform, **found}


@cache
def _version(library: str) -> str | None:
    """Read once: a package's metadata are a text that takes 2 ms to parse, and every run asks for seven."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def describe_scan(scan: Scan) -> dict[str, Any]:
    """The scan in plain values."""
    return {
        "name": scan.name,
        "streams": {
            name: {"axes": list(s.axes), "sizes": dict(s.sizes), "dtype": s.dtype, "arrival": s.arrival, "unit": s.unit}
            for name, s in scan.streams.items()
        },
        "calibration": {name: {"value": q.value, "unit": q.unit} for name, q in scan.calibration.items()},
        "metadata": dict(scan.metadata),
        "selected": {label: [part.start, part.stop, part.step] for label, part in scan.selected.items()},
    }


def start_record(
    job: Mapping[str, Any],
    scan: Scan,
    cites: Sequence[str],
    started: float,
    inputs: Sequence[Mapping[str, Any]] = (),
    devices: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The record as it is known before the first frame.

    Args:
        job: In plain values.
        scan: What the source gives.
        cites: DOIs of what the steps implement.
        started: Unix time in second.
        inputs: The files that will be read, with size and hash.
        devices: By step: where it runs, as the device calls itself.
    """
    return {
        "job": dict(job),
        "inputs": [dict(each) for each in inputs],
        "scan": describe_scan(scan),
        "versions": versions(),
        "devices": dict(devices or {}),
        "cites": sorted(set(cites)),
        "started": started,
        "complete": False,
    }


def end_record(
    begun: Mapping[str, Any],
    *,
    counts: Counts,
    gaps: Sequence[Gap],
    changes: Sequence[Change],
    values: Mapping[str, Any],
    chosen: Mapping[str, Any],
    ended: float,
    complete: bool,
) -> dict[str, Any]:
    """The record at the end of a run; `chosen`: by step, what it took for parameters that leave the choice to it."""
    return {
        **begun,
        "counts": counts.as_dict(),
        "gaps": [asdict(gap) for gap in gaps],
        "changes": [asdict(change) for change in changes],
        "values": dict(values),
        "chosen": dict(chosen),
        "ended": ended,
        "complete": complete,
    }

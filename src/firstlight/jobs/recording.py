"""The job that records a scan and does nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firstlight.core import registry
from firstlight.core.errors import JobError

SINKS = {
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".nxs": "hdf5",
    ".hspy": "hspy",
    ".npy": "npy",
    ".raw": "raw",
    ".zarr": "zarr",
}
"""How decoded frames are written, by the ending of the file."""
AS_RECEIVED = {
    "dectris": (".h5", ".hdf5", ".nxs", ".cbors"),
    "merlin": (".mib",),
    "tpx3": (".csr",),
    "tpx3_raw": (".tpx3",),
}
"""Detectors whose frames can be recorded as they come, and the endings of such files."""


def recording_job(kind: str, file: Path) -> dict[str, Any]:
    """A job in plain values: frames as they come where the detector and the ending allow it, decoded ones otherwise.

    Args:
        kind: Name of the source.
        file: Where the recording goes; its ending says what it becomes.

    Raises:
        UnknownName: There is no such source.
        JobError: Nothing is known that has such an ending.
    """
    registry.get("sources", kind)
    path = str(file.expanduser().absolute())
    ending = file.suffix.lower()
    if ending in AS_RECEIVED.get(kind, ()):
        # the sum of what has come is a picture to look at meanwhile, and asks for no more than decoding
        return {"name": "record", "source": {"use": kind, "record": path}, "steps": [{"use": "sum"}], "views": _VIEWS}
    if ending not in SINKS:
        known = ", ".join(sorted({*SINKS, *AS_RECEIVED.get(kind, ())}))
        raise JobError([f"FILE = {file}. Expected one of the endings {known}."])
    sink = {"use": SINKS[ending], "of": "source.data", "path": path}
    return {"name": "record", "source": {"use": kind}, "steps": [{"use": "sum"}], "views": _VIEWS, "sinks": [sink]}


_VIEWS = [{"of": "sum"}]

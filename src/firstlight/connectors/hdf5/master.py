"""A NeXus file that holds what every step saved, as links into their files: one file to open for a whole run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..recorded.disk import disk_errors
from .handles import File
from .nexus import DATA, ENTRY, nx_group


@dataclass(frozen=True, slots=True)
class Saved:
    """What one step saved."""

    step: str
    path: Path
    dataset: str = f"/{ENTRY}/{DATA}"
    """The NXdata group in that file."""
    title: str = ""
    """What the step does."""


def write_master(path: Path, saved: Sequence[Saved], record: Mapping[str, Any], *, default: str | None = None) -> None:
    """Write the file, whole or not at all; an older one of that name is replaced.

    Links are relative where that is possible, so that the folder can be moved. ``/entry/STEP`` is the NXdata group of
    each step, in their order; ``/entry/process/record`` is the record of the run.

    Args:
        path: The file.
        saved: What each step saved.
        record: The record of the run.
        default: The step whose data a viewer shows first; by default the last.

    Raises:
        SinkError: It can not be written.
    """
    import h5py

    draft = path.with_name(f".{path.name}.part")
    try:
        with disk_errors(path, "write the file of links"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(draft, "w", locking=False) as file:
                _fill(file, path, saved, record, default or (saved[-1].step if saved else None))
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _fill(file: File, path: Path, saved: Sequence[Saved], record: Mapping[str, Any], default: str | None) -> None:
    import h5py

    file.attrs.update({"NX_class": "NXroot", "default": ENTRY, "creator": "firstlight", "file_name": path.name})
    entry = nx_group(file, ENTRY, "NXentry")
    entry.attrs["complete"] = bool(record.get("complete", True))
    for each in saved:
        entry[each.step] = h5py.ExternalLink(_relative(each.path, path), each.dataset)
    if default is not None:
        entry.attrs["default"] = default
    process = nx_group(entry, "process", "NXprocess")
    process["program"] = "firstlight"
    process["version"] = str(record.get("versions", {}).get("firstlight", ""))
    process["record"] = json.dumps(record, default=str)
    process["record"].attrs["type"] = "application/json"
    for number, each in enumerate(saved, 1):
        note = nx_group(process, f"{number:02}_{each.step}", "NXnote")
        note["description"] = each.title
        note["file_name"] = _relative(each.path, path)


def _relative(target: Path, master: Path) -> str:
    try:
        return os.path.relpath(target.absolute(), master.absolute().parent)
    except ValueError:  # another drive, on systems that have drives
        return str(target.absolute())

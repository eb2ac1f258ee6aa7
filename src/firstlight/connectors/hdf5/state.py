"""What a result file holds and lacks, also one whose writer is still at work or was killed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.errors import SourceError

from ..recorded.place import missing_ranges
from .files import damaged, is_dataset, is_group, lookup, open_file, text
from .handles import File, Group
from .nexus import DATA, ENTRY


@dataclass(frozen=True, slots=True)
class FileState:
    """How far a result file got."""

    path: Path
    complete: bool
    """True if the run that wrote it came to its end."""
    frames: int
    """Positions in the array (of one array without frames: along its first axis), over all epochs."""
    covered: int
    """How many of them are there."""
    missing: tuple[tuple[int, int, int], ...]
    """Epoch, first and last id (both included) of what is not there."""
    record: dict[str, Any]
    """The newest record in the file."""

    def __str__(self) -> str:
        """Say it in one sentence."""
        if self.complete and not self.missing:
            return f"{self.path} is complete: {self.covered} of {self.frames}."
        spans = [
            f"{first}–{last}" + (f" of epoch {epoch}" if epoch else "") for epoch, first, last in self.missing[:10]
        ]
        listed = ", ".join(spans) + (" …" if len(self.missing) > 10 else "") or "nothing so far"
        ended = "is complete" if self.complete else "was not completed"
        return f"{self.path} {ended}: {self.covered} of {self.frames} are there; missing: {listed}."


def read_state(path: Path) -> FileState:
    """Look into a file that the sink `hdf5` wrote.

    Raises:
        SourceError: It can not be opened, is damaged, or another program wrote it.
    """
    with open_file(path) as file:
        entry = lookup(file, ENTRY)
        if not is_group(entry) or "complete" not in entry.attrs:
            raise SourceError(
                "firstlight did not write this file.",
                field="path",
                value=str(path),
                expected=f"a group '{ENTRY}' with the attribute 'complete'",
            )
        try:
            return _state(path, file, entry)
        except (OSError, RuntimeError) as error:  # h5py has both for a damaged group
            raise damaged(path, error) from error


def _state(path: Path, file: File, entry: Group) -> FileState:
    masks = {epoch: mask for epoch, mask in _masks(file).items() if is_dataset(mask)}
    missing = [
        (epoch, int(first) + int(mask.attrs["first_id"]), int(last) + int(mask.attrs["first_id"]))
        for epoch, mask in sorted(masks.items())
        for first, last in missing_ranges(mask[()])
    ]
    covered = sum(int(np.count_nonzero(mask[()])) for mask in masks.values())
    record = json.loads(text(lookup(entry, "process/record")) or "{}")
    frames = sum(mask.size for mask in masks.values())
    return FileState(path, bool(entry.attrs["complete"]), frames, covered, tuple(missing), record)


def _masks(file: File) -> dict[int, Any]:
    names = {0: DATA} | {
        int(name.rpartition("_")[2]): name for name in map(str, file[ENTRY]) if name.startswith("epoch_")
    }
    return {epoch: lookup(file, f"{ENTRY}/{name}/covered") for epoch, name in names.items()}

"""The frames that lie in a scratch file with a name, so that an interrupted run need not make them again."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.chunk import Chunk

from .noting import noted, whole_lines


@dataclass(frozen=True, slots=True)
class Placed:
    """Frames that were placed at once."""

    slots: list[tuple[int, int]]
    """Where they lie, one after the other: from, to."""
    shape: tuple[int, ...]
    epoch: int
    ids: list[int]
    coords: dict[str, Any] = field(default_factory=dict[str, Any])


class PlacedLog:
    """A text file with one line for each chunk that lies in the scratch file; safe to fill from several threads.

    Args:
        path: Of this log.
        scratch: Of the scratch file that it describes.
        fresh: Forget what is there.
    """

    def __init__(self, path: Path, scratch: Path, *, fresh: bool) -> None:
        """Read what an interrupted run has placed."""
        self.path, self.scratch = path, scratch
        self.entries: list[Placed] = []
        self._lock = threading.Lock()
        if fresh or not (path.exists() and scratch.exists()):
            path.unlink(missing_ok=True)
            return
        for line in whole_lines(path):
            told = json.loads(line)
            slots, shape = [(first, last) for first, last in told["slots"]], tuple(told["shape"])
            self.entries.append(Placed(slots, shape, told["epoch"], told["ids"], told["coords"]))
        self._known = {(entry.epoch, frame) for entry in self.entries for frame in entry.ids}

    def has(self, epoch: int, ids: np.ndarray[Any, Any]) -> bool:
        """True if all of these frames were placed by an interrupted run."""
        return bool(self.entries) and all((epoch, frame) in self._known for frame in ids.tolist())

    def add(self, slots: Sequence[slice], chunk: Chunk) -> None:
        """Note frames that lie in the file: all of a chunk at once, for a resumed run places a chunk whole or not at all.

        Raises:
            StepFailed: The disk is full.
        """
        told = {
            "slots": [(part.start, part.stop) for part in slots],
            "shape": chunk.data.shape[1:],
            "epoch": chunk.epoch,
            "ids": chunk.ids.tolist(),
            "coords": {name: np.asarray(values).tolist() for name, values in chunk.coords.items()},
        }
        line = json.dumps(told) + "\n"
        with self._lock, noted(self.path), self.path.open("a") as file:
            file.write(line)

"""The frames that a sink has written, so that an interrupted run need not make them again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from firstlight.core.arrays import Ids

from .noting import noted, whole_lines


class DoneLog:
    """The frames that one sink has written, as ranges of ids in a text file; used by one writer thread.

    Args:
        path: The file; what it holds already is taken over.
        fresh: Nothing was written before.
    """

    def __init__(self, path: Path, *, fresh: bool) -> None:
        """Read what is there."""
        self.path, self.fresh = path, fresh
        self._done: dict[int, set[int]] = {}
        for line in () if fresh else whole_lines(path):
            epoch, first, last = map(int, line.split())
            self._done.setdefault(epoch, set()).update(range(first, last + 1))

    def has(self, epoch: int, ids: Ids) -> bool:
        """True if all of these were written by an earlier run."""
        known = self._done.get(epoch)
        return known is not None and len(ids) > 0 and all(frame in known for frame in ids.tolist())

    def ids(self, epoch: int) -> Ids:
        """What was written by an earlier run, rising."""
        return np.array(sorted(self._done.get(epoch, ())), dtype=np.int64)

    def add(self, epoch: int, ids: Ids) -> None:
        """Note frames that are safe in the sink.

        Raises:
            StepFailed: The disk is full.
        """
        rising = np.unique(ids)
        parts = np.split(rising, np.flatnonzero(np.diff(rising) != 1) + 1)
        text = "".join(f"{epoch} {part[0]} {part[-1]}\n" for part in parts if len(part))
        with noted(self.path), self.path.open("a") as file:
            file.write(text)

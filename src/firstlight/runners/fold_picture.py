"""A result of a fold as those who watch see it: with its place in the stream, and only where it is another picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from firstlight.core.chunk import Scan
from firstlight.core.view import Shown

from .board import Board

COMPARED = 1 << 18
"""Pixels of a picture that is compared with the one before; comparing a larger one costs more than showing it again."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What all outputs of one result have in common."""

    newest: tuple[int, int]
    """Epoch and id of the newest frame in it."""
    received: float
    coverage: float | None
    coarse: bool

    def post(self, board: Board, view: str, array: Any, scan: Scan) -> None:
        """Show an output to whoever watches the view, unless they see the same already."""
        shown = Shown(
            np.asarray(array),
            scan.main,
            0,
            *self.newest,
            self.received,
            coverage=self.coverage,
            coarse=self.coarse,
            calibration=scan.calibration,
        )
        if not _seen_already(board.get(view), shown):
            board.post(view, shown)


def _seen_already(before: Shown | None, now: Shown) -> bool:
    """True if a change of another output's parameter gave the same picture of the same frames."""
    if before is None or before.data.shape != now.data.shape or now.data.size > COMPARED:
        return False
    same = all(
        getattr(before, name) == getattr(now, name) for name in ("epoch", "id", "coverage", "coarse", "received")
    )
    return same and np.array_equal(before.data, now.data, equal_nan=now.data.dtype.kind in "fc")

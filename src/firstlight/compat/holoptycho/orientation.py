"""The eight orientations of a frame, by the names that holoptycho has for them."""

from __future__ import annotations

import numpy as np

from firstlight.operators.correct.orient import ORIENTATIONS

_SAMPLE = np.arange(6).reshape(2, 3)


def reduced(text: str) -> str:
    """The one orientation that a list with commas comes to, applied from left to right.

    Raises:
        ValueError: A name is none of the eight.
    """
    found = _SAMPLE
    for name in (part.strip() for part in text.split(",")):
        if name not in ORIENTATIONS:
            raise ValueError(f"expected {', '.join(ORIENTATIONS)}")
        found = ORIENTATIONS[name](found)
    return next(name for name, turn in ORIENTATIONS.items() if np.array_equal(turn(_SAMPLE), found))


def for_rows(iterative: str) -> str:
    """The orientation that gives patterns with rows along the slow axis, from that of holoptycho's engine.

    Its engine has the fast axis x first (object and pattern); ours has rows, y, first: one transposition more.
    """
    return reduced(f"{iterative}, transpose")

"""Columns of a detector that show the same at every angle, mended so that a search for the axis is not led by them."""

import numpy as np
from numpy.typing import NDArray

_STILL = 1e-3
"""Change from angle to angle, over that of the usual column, below which nothing reaches a column."""
_NARROW = 32
"""Share of the width (1 over this) up to which still columns between others are mended whatever they show."""
_ANGLES = 512
"""Pairs of neighbouring angles that are looked at, at most."""


def without_dead_columns(projections: NDArray[np.floating]) -> NDArray[np.floating]:
    """Put what the neighbours show in place of columns that do not change from angle to angle.

    A dead column is the same in both projections of a pair, and nothing else is: a correlation would put the axis in
    its middle. Air without noise does not change either: at the border, and where much is still, only columns are
    mended that show what their neighbours never do.

    Args:
        projections: shape (angle, row, col), angles in rising order.

    Returns:
        The same array if nothing is dead, or a copy.
    """
    angles, rows, _ = projections.shape
    if angles < 2:
        return projections
    step = max(1, (angles - 1) // _ANGLES)
    later = projections[1::step]
    change = np.sqrt(np.mean(np.square(later - projections[:-1:step][: len(later)]), axis=0, dtype=np.float64))
    dead = change <= _STILL * np.median(change, axis=1, keepdims=True)
    if not dead.any():
        return projections
    mended = projections.copy()
    for row in range(rows):
        _mend(mended[:, row], dead[row])
    return mended


def _mend(sinogram: NDArray[np.floating], dead: NDArray[np.bool_]) -> None:
    """Interpolate between the columns on both sides of each dead stretch, in place; sinogram is (angle, col)."""
    columns = np.flatnonzero(dead)
    if len(columns) in (0, len(dead)):
        return
    for run in np.split(columns, np.flatnonzero(np.diff(columns) != 1) + 1):
        start, stop = int(run[0]), int(run[-1]) + 1
        left, right = start - 1 if start else stop, stop if stop < len(dead) else start - 1
        beside, shown = sinogram[:, [left, right]], sinogram[:, start:stop].mean(axis=0)
        strange = bool(((shown < beside.min()) | (shown > beside.max())).any())
        if strange or (left != right and len(run) <= max(1, len(dead) // _NARROW)):
            part = (run - left) / (right - left) if left != right else np.zeros(len(run))
            sinogram[:, start:stop] = beside[:, :1] * (1 - part) + beside[:, 1:] * part

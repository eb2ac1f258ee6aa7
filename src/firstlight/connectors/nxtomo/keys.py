"""From an image key to frames with ids: which are projections, and where the darks and flats lie among them."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.errors import SourceError

from ..recorded.place import runs

LOGGER = logging.getLogger(__name__)

PROJECTION, FLAT, DARK, INVALID = 0, 1, 2, 3
ALIGNMENT = -1
"""In ``image_key_control`` alone: pictures taken to check for movement, not part of the scan."""

UNKNOWN = -(2**62)
"""Among noted ids: no frame came to this row."""


@dataclass(frozen=True, slots=True)
class FrameSet:
    """Dark or flat frames that were taken together."""

    rows: Ids
    """Where they are in the file."""
    ids: Ids
    """Where they are in the acquisition, on the scale of the projections' ids."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """The frames of a file by kind."""

    rows: Ids
    """Where the projections are in the file; the position in this list is the id. Invalid ones have an id too."""
    valid: Array
    """False for projections that the file marks as invalid."""
    scanned: Array
    """False for pictures that are no part of the scan, and have no place among its angles."""
    darks: tuple[FrameSet, ...]
    flats: tuple[FrameSet, ...]


def check_key(key: Array, frames: int, where: str) -> Array:
    """The image key as integers. It may be longer than there are frames: the scan was ended early.

    Raises:
        SourceError: Fewer than one number per frame, numbers other than 0 to 3, or no projection at all.
    """
    values = np.asarray(key, dtype=np.float64).ravel()
    if len(values) < frames:
        raise SourceError(
            f"The image key {where} has {len(values)} entries for {frames} frames.",
            field="image_key",
            value=len(values),
            expected=f"{frames} entries, one per frame",
            next_move="Name the right dataset in 'image_key'.",
        )
    if len(values) > frames:
        LOGGER.warning("The image key %s has %d entries for %d frames: those are taken.", where, len(values), frames)
        values = values[:frames]
    strange = sorted({float(value) for value in values[~np.isin(values, (-1, 0, 1, 2, 3))].tolist()})
    if strange:
        raise SourceError(
            f"The image key {where} holds {', '.join(f'{value:g}' for value in strange[:5])}.",
            field="image_key",
            value=strange[:5],
            expected="0 projection, 1 flat, 2 dark, 3 invalid",
            next_move="Name the right dataset in 'image_key'.",
        )
    if not (values == PROJECTION).any():
        raise SourceError(
            f"The image key {where} marks no frame as a projection.",
            field="image_key",
            value=0,
            expected="at least one frame with key 0",
            next_move="Name the right dataset in 'image_key'.",
        )
    return values.astype(np.int64)


def sort_frames(key: Array) -> Sorted:
    """Number the projections from 0 and place the sets of darks and flats among them.

    A set that was taken before the first projection has the negative ids that lead up to it, one after the last
    projection goes on counting there. A set in between has ids from the first projection that came after it.

    Args:
        key: (frame,) 0 projection, 1 flat, 2 dark, 3 or −1 not to be used.
    """
    rows = np.flatnonzero((key == PROJECTION) | (key == INVALID) | (key == ALIGNMENT)).astype(np.int64)
    projections = np.flatnonzero(key == PROJECTION)
    first, last = int(projections[0]), int(projections[-1])
    rows = rows[(rows >= first) & (rows <= last) | (key[rows] == INVALID) | (key[rows] == ALIGNMENT)]
    valid = key[rows] == PROJECTION
    return Sorted(rows, valid, key[rows] != ALIGNMENT, _sets(key, DARK, rows), _sets(key, FLAT, rows))


def sort_noted(key: Array, noted: Ids) -> Sorted | None:
    """The same for a file that notes the place of each frame in the acquisition, as our own sink does.

    Args:
        key: (frame,) as for `sort_frames`.
        noted: (frame,) ids on the scale of the projections; `UNKNOWN` where no frame came.

    Returns:
        None where the projections are not numbered without holes: the order of the file counts then.
    """
    rows = np.flatnonzero(((key == PROJECTION) | (key == INVALID)) & (noted != UNKNOWN)).astype(np.int64)
    rows = rows[np.argsort(noted[rows], kind="stable")]
    if not len(rows) or (np.diff(noted[rows]) != 1).any():
        return None
    first = int(noted[rows[0]])
    sets: dict[int, tuple[FrameSet, ...]] = {}
    for kind in (DARK, FLAT):
        own = np.flatnonzero((key == kind) & (noted != UNKNOWN)).astype(np.int64)
        own = own[np.argsort(noted[own], kind="stable")]
        ids = noted[own] - first
        sets[kind] = tuple(FrameSet(own[start:stop], ids[start:stop]) for start, stop in runs(ids))
    return Sorted(rows, key[rows] == PROJECTION, np.ones(len(rows), bool), sets[DARK], sets[FLAT])


def _sets(key: Array, kind: int, projections: Ids) -> tuple[FrameSet, ...]:
    found: list[FrameSet] = []
    used = -(2**62)
    rows = np.flatnonzero(key == kind).astype(np.int64)
    for start, stop in runs(rows):
        part = rows[start:stop]
        ids = _place(part, projections)
        ids = ids + max(0, used + 1 - int(ids[0]))
        used = int(ids[-1])
        found.append(FrameSet(part, ids))
    return tuple(found)


def _place(part: Ids, projections: Ids) -> Ids:
    before = int(np.searchsorted(projections, part[0]))
    if before == 0:
        return part - projections[0]
    if before == len(projections):
        return part - projections[-1] + before - 1
    return before + np.arange(len(part), dtype=np.int64)

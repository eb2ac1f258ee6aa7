"""Angles that HDF5 files hold, made into degree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.arrays import Array

from ..recorded import angles
from ..recorded.angles import TEXT_ENDINGS, AngleUnit, checked, given_angles, is_range
from .files import attribute, dataset, is_dataset, lookup
from .handles import File


def degrees(
    found: Any, frames: int, *, unit: AngleUnit | None, field: str, trust: bool = False, needed: Array | None = None
) -> Array:
    """Read the angle of each frame from a dataset, in degree.

    Args:
        found: The dataset.
        frames: How many angles there must be.
        unit: What the user says; None: what the file says, or degree.
        field: The parameter that the user could set, for the error.
        trust: Believe a unit that the file states, even if the numbers look like radians.
        needed: True for the frames that are there; the angles of others need not be finite.

    Returns:
        (frame,) float64.

    Raises:
        SourceError: Fewer than one number per frame, an unknown unit, or numbers that look like radians but are not said to be.
    """
    where = f"'{found.name}' in {found.file.filename}"
    values = np.asarray(found[()], dtype=np.float64)
    stated = attribute(found, "units")
    return checked(values, frames, where, unit=unit, field=field, stated=stated, trust=trust, needed=needed)


def chosen(
    given: str | Sequence[float],
    file: File,
    frames: int,
    *,
    unit: AngleUnit | None,
    trust: bool = False,
    needed: Array | None = None,
) -> Array:
    """The angles that the user chose: a dataset of the file, a text file, a list or a range.

    Raises:
        SourceError: They are not there, not understood, or too few.
    """
    if _in_file(given, file):
        found = dataset(file, str(given), "angles")
        return degrees(found, frames, unit=unit, field="angles", trust=trust, needed=needed)
    return given_angles(given, frames, beside=Path(file.filename), unit=unit, needed=needed)


def how_many(given: str | Sequence[float], file: File) -> int | None:
    """How many angles the user gave; None for a range, which makes as many as are wanted.

    Raises:
        SourceError: They are not there, or not understood.
    """
    if _in_file(given, file):
        return dataset(file, str(given), "angles").size
    return angles.how_many(given, Path(file.filename))


def _in_file(given: str | Sequence[float], file: File) -> bool:
    """True for a name that means a dataset, whether it is there or not."""
    if not isinstance(given, str) or is_range(given):
        return False
    return is_dataset(lookup(file, given)) or not given.lower().endswith(TEXT_ENDINGS)

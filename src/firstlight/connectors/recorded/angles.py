"""Angles as people and files give them, made into degree."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError

AngleUnit = Literal["deg", "rad"]

LOGGER = logging.getLogger(__name__)

_DEGREES = {
    **dict.fromkeys(("", "deg", "degs", "degree", "degrees", "°"), 1.0),
    **dict.fromkeys(("rad", "rads", "radian", "radians"), math.degrees(1)),
    **dict.fromkeys(("mdeg", "millidegree", "millidegrees"), 1e-3),
    **dict.fromkeys(("mrad", "milliradian", "milliradians"), math.degrees(1e-3)),
    **dict.fromkeys(("urad", "µrad", "microradian", "microradians"), math.degrees(1e-6)),
}
"""Units as files spell them, in degree."""

_TURN = 2 * math.pi * 1.01
"""A full turn in radian, and a little."""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*:\s*({_NUMBER})?\s*(?::\s*({_NUMBER}))?\s*")
TEXT_ENDINGS = (".txt", ".csv", ".dat", ".ang", ".tlt", ".rawtlt")
"""Endings of files with one angle on each line."""
_MOST_TEXT = 64 * 2**20
"""Bytes beyond which a file is no list of angles."""


def is_range(text: str) -> bool:
    """True for ``0:360``, ``0:180:0.5`` and ``-60::2``."""
    return _RANGE.fullmatch(text) is not None


def from_range(text: str, frames: int) -> Array:
    """Angles from a range.

    Args:
        text: ``start:stop`` spreads the frames evenly and leaves the end out; ``start::step`` takes a step from frame to
            frame; ``start:stop:step`` demands that both agree, where the end may be the last frame or left out.
        frames: How many angles there must be.

    Returns:
        (frame,) float64.

    Raises:
        SourceError: The text is no range, or gives another number of frames.
    """
    match = _RANGE.fullmatch(text)
    if match is None or (match[2] is None and match[3] is None):
        raise _no_angles(text, "not a range")
    start, step = float(match[1]), None if match[3] is None else float(match[3])
    if match[2] is None:
        return start + float(step or 0.0) * np.arange(frames)
    stop = float(match[2])
    if step is None:
        return start + (stop - start) / max(frames, 1) * np.arange(frames)
    count = (stop - start) / step if step else math.inf
    if not (math.isclose(count, frames, abs_tol=1e-3) or math.isclose(count + 1, frames, abs_tol=1e-3)):
        raise SourceError(
            f"The range gives {count:.6g} angles (or one more, with its end) for {frames} frames.",
            field="angles",
            value=text,
            expected=f"a range of {frames} angles, such as {match[1]}:{match[2]}",
        )
    return start + step * np.arange(frames)


def from_text(path: Path) -> Array:
    """Angles from a text file: numbers divided by blanks, commas or lines; ``#`` begins a comment.

    Raises:
        SourceError: The file can not be read, or holds something else.
    """
    try:
        if path.stat().st_size > _MOST_TEXT:
            raise _no_angles(str(path), f"it has {path.stat().st_size} byte")
        lines = path.read_text(encoding="utf-8").splitlines()
        words = " ".join(line.partition("#")[0] for line in lines).replace(",", " ").replace(";", " ").split()
        return np.array([float(word) for word in words])
    except SourceError:
        raise
    except (OSError, ValueError) as error:
        raise _no_angles(str(path), str(error)) from error


def _no_angles(given: str, why: str) -> SourceError:
    return SourceError(
        f"The angles are not understood ({why}).",
        field="angles",
        value=given,
        expected="a range such as 0:180 or 0:360, a list of numbers in degree, or a text file with one angle on each line",
    )


def given_angles(
    given: str | Sequence[float], frames: int, *, beside: Path, unit: AngleUnit | None, needed: Array | None = None
) -> Array:
    """Angles that the user gave: a list, a range, or the name of a text file.

    Args:
        given: What the user gave.
        frames: How many angles there must be.
        beside: The data file: a text file may lie beside it.
        unit: Unit of the numbers in a text file; a list and a range are in degree.
        needed: See `checked`.

    Raises:
        SourceError: They are not understood, or too few.
    """
    if not isinstance(given, str):
        return checked(np.array(given, np.float64), frames, "the list", unit="deg", field="angles", needed=needed)
    if is_range(given):
        return from_range(given, frames)
    path = beside_data(given, beside)
    return checked(from_text(path), frames, str(path), unit=unit, field="angles", needed=needed)


def how_many(given: str | Sequence[float], beside: Path) -> int | None:
    """How many angles the user gave in a list or a text file; None for a range, which makes as many as are wanted.

    Raises:
        SourceError: They are not understood.
    """
    if not isinstance(given, str):
        return len(given)
    return None if is_range(given) else len(from_text(beside_data(given, beside)))


def beside_data(name: str, data: Path) -> Path:
    """Where a text file lies that is named relative to the working folder, to the data, or to the folder of the images."""
    path = Path(name).expanduser()
    places = (path, data.parent / path, data / path)
    return path if path.is_absolute() else next((each for each in places if each.is_file()), places[1])


def checked(
    values: Array,
    frames: int,
    where: str,
    *,
    unit: AngleUnit | None,
    field: str,
    stated: str | None = None,
    trust: bool = False,
    needed: Array | None = None,
) -> Array:
    """Angles of a list that may be too long, in degree.

    Args:
        values: The numbers.
        frames: How many angles there must be. Of a longer list (the scan was ended early) the first ones are taken, with a warning.
        where: The list, for messages.
        unit: What the user says; None: what the file says, or degree.
        field: The parameter that the user could set, for the error.
        stated: The unit that the file states.
        trust: Believe that, even if the numbers look like radians.
        needed: True for the frames that are there; the angles of others need not be finite.

    Returns:
        (frame,) float64.

    Raises:
        SourceError: Fewer than one number per frame, an unknown unit, or numbers that look like radians but are not said to be.
    """
    values = np.asarray(values, np.float64)
    flat = values.size == max(values.shape, default=1)
    values = values.ravel()
    if len(values) < frames or not flat:
        raise SourceError(
            f"There are {len(values)} angles in {where} for {frames} frames.",
            field=field,
            value=len(values),
            expected=f"{frames} angles, one per frame",
            next_move="Name the list that holds the angle of every frame, or give a range such as 0:180.",
        )
    if len(values) > frames:
        LOGGER.warning(
            "There are %d angles in %s for %d frames: the first %d are taken.", len(values), where, frames, frames
        )
        values = values[:frames]
    good = np.isfinite(values) if needed is None else np.isfinite(values) | ~needed
    if not good.all():
        raise SourceError(
            f"Some angles in {where} are not finite.",
            field=field,
            value=int(np.flatnonzero(~good)[0]),
            expected="finite numbers",
        )
    if unit is None and not (trust and stated):
        _refuse_radians(values, where, stated)
    return _convert(values, unit or stated or "deg", where)


def _convert(values: Array, unit: str, where: str) -> Array:
    size = _DEGREES.get(unit.strip().lower())
    if size is None:
        raise SourceError(
            f"The angles in {where} have the unit '{unit}'.",
            field="angle_unit",
            value=unit,
            expected="deg or rad",
            next_move="Set angle_unit yourself.",
        )
    return values if size == 1.0 else values * size


def _refuse_radians(values: Array, where: str, stated: str | None) -> None:
    finite = values[np.isfinite(values)]
    span = float(np.ptp(finite)) if len(finite) else 0.0
    if len(values) <= 30 or not 0.5 < span <= _TURN or (stated or "").startswith("rad"):
        return
    raise SourceError(
        f"The {len(values)} angles in {where} span only {span:.4g}, as if they were radians"
        + (f", although the file says '{stated}'." if stated else "."),
        field="angle_unit",
        value=None,
        expected="angles in degree",
        next_move="Set angle_unit to 'rad' if they are radians, or to 'deg' if the scan was really that short.",
    )


def per_id(values: Array, shape: tuple[int, ...], axis: int) -> Array:
    """One value along one arrival axis, repeated so that the flattened arrival indexes it."""
    spread = values.reshape([-1 if number == axis else 1 for number in range(len(shape))])
    return np.ascontiguousarray(np.broadcast_to(spread, shape)).ravel()

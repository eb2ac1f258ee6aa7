"""What a recorded scan does not say about itself, inferred from its values, with each assumption in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.ndimage import median_filter

from firstlight.core.chunk import Scan
from firstlight.core.errors import SourceError
from firstlight.core.source import RandomAccess, Source
from firstlight.kernels.turn import turn_of

Values = Literal["counts", "transmission", "attenuation"]
VALUES: tuple[Values, ...] = ("counts", "transmission", "attenuation")

_PLACES = 12
"""Frames, or pairs of neighbours, that are looked at."""
_ROWS = 16
"""Rows that are looked at, in the middle."""
_EDGES = (0.03, 0.01)
"""Parts of the columns on each side that should see air; the first that do are taken."""
_CLEAR = 0.25
"""Air within this part of the range of values from one end lies at that end."""
_NEAR_ONE = 0.15
_OFF = 0.03
"""Air that is further from 1 (or background from 0, as a part of the largest attenuation) is brought there."""
DEAD_SIZE = 5
"""Side of the neighbourhood, in pixels, in which a pixel without light is alone."""
_DEAD_LIGHT = 0.05
"""Transmission that its neighbours have then."""
_FEWEST = 12
"""So few projections do not tell what they cover: they may well be something else."""
_FITS = 0.7
"""A level of the darks is worth telling if it makes the total attenuation so much steadier."""
_STEADY = 0.1
"""How much the sides of single frames may differ from air, so that all of them can be said to see it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some frames of a scan, and what air looks like in them."""

    frames: Any
    """(frame, row, col)"""
    air: float
    low: float
    high: float

    @property
    def place(self) -> float:
        """Where air lies between the darkest (0) and the brightest values (1)."""
        return (self.air - self.low) / (self.high - self.low) if self.high > self.low else 0.5


def sample(source: RandomAccess, scan: Scan) -> Sample:
    """Look at some frames of an open source."""
    count = scan.main.size("angle")
    places = np.unique(np.linspace(0, count - 1, _PLACES).astype(int))
    return _seen(np.concatenate([_read(source, scan, place, 1) for place in places.tolist()]))


def side_widths(columns: int) -> tuple[int, ...]:
    """Columns on each side that may see air; the fewest for a sample that nearly fills the detector."""
    return tuple(dict.fromkeys(max(1, round(part * columns)) for part in _EDGES))


def _seen(frames: Any) -> Sample:
    width = side_widths(frames.shape[-1])[0]
    edges = np.concatenate([frames[..., :width], frames[..., -width:]], axis=-1)
    finite = frames[np.isfinite(frames)]
    if not finite.size:
        return Sample(frames, np.nan, np.nan, np.nan)
    low, high = np.percentile(finite, [1, 99])
    return Sample(frames, _median(edges), float(low), float(high))


def _median(values: Any) -> float:
    """Of those that are numbers; NaN where none is, as on sides of a detector that see nothing."""
    return float(np.median(known)) if (known := values[np.isfinite(values)]).size else np.nan


def _read(source: RandomAccess, scan: Scan, first: int, count: int) -> Any:
    block = source.read({"angle": slice(first, first + count), "row": _rows(scan)})
    return np.asarray(block, np.float64)


def _rows(scan: Scan) -> slice:
    start = max(0, (scan.main.size("row") - _ROWS) // 2)
    return slice(start, start + _ROWS)


def _light(source: RandomAccess, scan: Scan) -> tuple[Any, Any] | None:
    """Mean dark image (0 without darks), and what the beam gives above it; None where there are no flats."""
    if "flat" not in scan.streams:
        return None
    dark, flat = (
        np.asarray(source.read({"row": _rows(scan)}, name), np.float64).mean(axis=0) if name in scan.streams else 0.0
        for name in ("dark", "flat")
    )
    return dark, np.where(flat - dark > 0, flat - dark, np.nan)


def _transmission(source: RandomAccess, scan: Scan) -> Sample | None:
    """Some frames after the flat field; None where there are no darks and flats."""
    light = _light(source, scan) if "dark" in scan.streams else None
    return None if light is None else _seen((sample(source, scan).frames - light[0]) / light[1])


def dead_points(source: RandomAccess, scan: Scan) -> float:
    """Share of the pixels that saw nothing while those around them saw light: their logarithm would be a spike."""
    seen = _transmission(source, scan)
    if seen is None:
        return 0.0
    frames = np.nan_to_num(seen.frames, nan=1.0)
    around = median_filter(frames, size=(1, DEAD_SIZE, DEAD_SIZE), mode="nearest")
    return float(np.mean((frames <= 0) & (around > _DEAD_LIGHT)))


@dataclass(frozen=True, slots=True)
class Air:
    """What both sides of every frame see."""

    level: float
    width: int
    """Columns on each side."""


def air_of(source: RandomAccess, scan: Scan) -> Air | None:
    """Transmission of air, where both sides of every frame see it and it is clearly not 1; None otherwise."""
    seen = _transmission(source, scan)
    return None if seen is None else level_of(seen)


def level_of(seen: Sample) -> Air | None:
    """The same, of frames that are transmission."""
    for width in side_widths(seen.frames.shape[-1]):
        left, right = (
            np.array([_median(frame) for frame in part])
            for part in (seen.frames[..., :width], seen.frames[..., -width:])
        )
        air = _median(np.stack([left, right]))
        if not air > 0 or (air - seen.low) < (1 - _CLEAR) * (seen.high - seen.low):
            continue
        # the beam may become weaker on the way: then both sides of a frame do, and stay its brightest part
        known = np.isfinite(seen.frames)  # a dead column has no mean: it counts as dark
        columns = np.where(known, seen.frames, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        bright = np.percentile(columns, 95, axis=1)
        steady = all(bool((np.abs(side / air - 1) < _STEADY).all()) for side in (left, right))
        brightest = all(bool((side > (1 - _STEADY) * bright).all()) for side in (left, right))
        if steady or brightest:
            return Air(air, width) if abs(air - 1) > _OFF or not steady else None
    return None


def dark_hint(source: RandomAccess, scan: Scan) -> str:
    """What can be said about the counts without light of a scan with flats and without darks.

    They are no more than the darkest value. Of a sample that lies inside every frame, the line integrals of a row have the
    same sum at every angle (the zeroth of the Helgason-Ludwig conditions); a wrong level breaks that, and so does beam
    hardening: the level that fits best is a hint, and no more.
    """
    light = _light(source, scan)
    if light is None:
        raise ValueError("a scan with flats is needed")
    frames, flat = sample(source, scan).frames, light[1]
    darkest = max(0.0, float(np.nanpercentile(frames, 0.1)))
    levels = np.linspace(0.0, darkest, 101)
    spread = [_unevenness((frames - level) / (flat - level)) for level in levels.tolist()]
    best = int(np.nanargmin(spread))
    text = f"between 0 (photons counted one by one) and {darkest:.4g} (the darkest value)"
    if spread[best] > _FITS * spread[0]:
        return text
    return f"{text}; with {levels[best]:.3g} all projections would have the same total attenuation"


def _unevenness(transmission: Any) -> float:
    """Standard deviation of the total attenuation of a row over the angles, as a part of its mean."""
    total = -np.log(np.clip(transmission, 1e-6, None)).sum(axis=-1)
    return float(np.median(total.std(axis=0) / np.abs(total.mean(axis=0))))


def background_of(seen: Sample) -> float | None:
    """Attenuation of air, where it is clearly not 0; None otherwise."""
    return seen.air if abs(seen.air) > _OFF * abs(seen.high) else None


def values_of(seen: Sample, scan: Scan) -> tuple[Values, str]:
    """What the numbers of a scan without flat frames are, and why.

    Attenuation is smallest in air, and noise makes some of it negative; counts and transmission are largest there.

    Raises:
        SourceError: They could be anything.
    """
    if (
        np.dtype(scan.main.dtype).kind == "f"
        and (seen.low < 0 or seen.place < _CLEAR)
        and abs(seen.air) < 0.5 * abs(seen.high)
    ):
        return (
            "attenuation",
            f"the values are attenuation, -log already: about {seen.air:.2g} at both sides, up to {seen.high:.3g}",
        )
    if seen.low >= 0 and seen.place > 1 - _CLEAR and abs(seen.air - 1) <= _NEAR_ONE:
        return "transmission", f"the values are transmission: {seen.air:.3g} at both sides"
    if seen.low >= 0 and seen.place > 1 - _CLEAR:
        zero = (
            "the darks are subtracted"
            if "dark" in scan.streams
            else "the detector is taken to count from 0 (else give --set source.dark_level=COUNTS)"
        )
        return "counts", (
            f"there are no flat frames, and the brightest values ({seen.air:.3g}) lie at both sides: each line is divided by"
            f" its 99th percentile, and {zero}"
        )
    raise SourceError(
        f"The scan has no flat frames, and its values ({seen.low:.3g} to {seen.high:.3g}, {seen.air:.3g} at both sides) could be anything.",
        field="--values",
        value=None,
        expected="one of " + ", ".join(VALUES),
        next_move="Say what they are, for example --values attenuation where the logarithm was taken already.",
    )


def turn(source: RandomAccess, scan: Scan) -> int:
    """The angle that the scan covers, in degree: 180 or 360.

    Raises:
        SourceError: The first and the last projections do not tell.
    """
    count = scan.main.size("angle")
    near = max(1, count // 120)
    found = None
    light = _light(source, scan)  # an uneven beam is no mirror image of itself

    def read(first: int, length: int) -> Any:
        frames = _read(source, scan, first, length)
        return frames if light is None else np.nan_to_num((frames - light[0]) / light[1])

    if count >= max(4 * near, _FEWEST):
        places = np.linspace(0, count - 2 * near, _PLACES).astype(int)
        blocks = [read(place, 2 * near) for place in places.tolist()]
        pairs = np.stack([[each[:near].mean(axis=0), each[near:].mean(axis=0)] for each in blocks])
        first, last = read(0, near), read(count - near, near)
        found = turn_of(first.mean(axis=0), last.mean(axis=0), np.nan_to_num(pairs))
    if found is None:
        raise SourceError(
            f"Nothing says at which angles the {count} projections were taken, and the first and last do not tell whether it was half a turn or a whole one.",
            field="--angles",
            value=None,
            expected="a range such as 0:180 or 0:360, or a file with one angle for each projection",
            next_move="Give it: --angles 0:180",
        )
    return found


def needs_angles(scan: Scan) -> bool:
    """True for projections whose angles nobody gave, or whose list was never filled in."""
    if "angle" not in scan.main.arrival_axes:
        return False
    angles = np.asarray(scan.coords.get("angle", ()))
    return angles.size == 0 or (angles.size > 1 and bool((angles == angles.flat[0]).all()))


ENOUGH = 176.0
"""Degree that projections should cover."""


def covered_by(scan: Scan, ignored: Sequence[int] = ()) -> float:
    """Degree between the first and the last direction of the projections, one step more included; infinite where no angles are known."""
    angles = np.asarray(scan.coords.get("angle", ()), np.float64).ravel()
    angles = np.sort(angles[~np.isin(np.arange(len(angles)), ignored) & np.isfinite(angles)])
    if len(angles) < 2:
        return float("inf")
    return float(angles[-1] - angles[0] + np.median(np.diff(angles)))


def never_written(source: RandomAccess, scan: Scan) -> range:
    """The last frames of a scan that hold nothing but zeros: it was ended early, in a file that was made for all of it."""
    count = scan.main.size("angle")

    def empty(place: int) -> bool:
        return not source.read({"angle": slice(place, place + 1), "row": _rows(scan)}).any()

    if count < 2 or not empty(count - 1) or empty(0):
        return range(count, count)
    written, first = 0, count - 1  # the last frame known to be written, and the first known not to be
    while first - written > 1:
        middle = (written + first) // 2
        written, first = (written, middle) if empty(middle) else (middle, first)
    return range(first, count)


def readable(source: Source) -> RandomAccess | None:
    """The source, if any block of it can be read."""
    return source if isinstance(source, RandomAccess) else None

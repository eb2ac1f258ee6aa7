"""Selections: the part of a scan that the user asked for, such as ``row=mid-2:mid+3``.

A selection names positions along axes of the source, before anything else happens to the data. Rows and columns are cut
out of darks and flats too. Afterwards rows and columns count from the first one kept, as after the step `crop`: a
rotation axis at column 300 is at column 200 behind ``col=100:500``.

Frames keep their ids where none between the first and the last is left out; with a step they are numbered anew from 0, and
sets of darks and flats move with them, so that what is interpolated between two sets stays the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from .arrays import Array, Ids
from .chunk import MAIN, Scan, Stream
from .errors import FirstlightError
from .units import Quantity

Positions = range
"""Positions along one axis; by another name for classes that have a field `range`."""
BEFORE: int = -(2**62)
"""An id before every other."""
OPEN = 2**62
"""End of a range along an axis whose length is not known."""

_BOUND = re.compile(r"(?P<base>start|mid|end|-?\d+)?(?P<more>(?:[+-]\d+)*)")
_EXPECTED = "START:STOP, START:STOP:STEP or one index, of numbers, start, mid and end, such as mid-2:mid+3 or ::2"


@dataclass(frozen=True, slots=True)
class Bound:
    """A position that may depend on the length of its axis."""

    base: Literal["start", "mid", "end"]
    offset: int

    def at(self, length: int | None) -> int | None:
        """The position on an axis of a length; None if that must be known for it and is not."""
        if self.base == "start":
            return self.offset
        if length is None:
            return None
        return (length if self.base == "end" else (length - 1) // 2) + self.offset


@dataclass(frozen=True, slots=True)
class Picked:
    """The positions along one axis that are wanted, as the user wrote it."""

    text: str
    first: Bound
    stop: Bound | None
    """None: the first position alone."""
    step: int = 1

    @classmethod
    def parse(cls, text: Any) -> Picked:
        """Read ``100:200``, ``mid-2:mid+3``, ``::2`` or ``7``.

        Raises:
            FirstlightError: It is none of these.
        """
        parts = re.sub(r"\s+", "", str(text)).split(":")
        try:
            if isinstance(text, float) or not 1 <= len(parts) <= 3 or parts == [""]:
                raise ValueError
            step = int(parts[2]) if len(parts) == 3 and parts[2] else 1
            if step < 1:
                raise ValueError
            stop = None if len(parts) == 1 else _bound(parts[1], Bound("end", 0))
            return cls(str(text), _bound(parts[0], Bound("start", 0)), stop, step)
        except ValueError:
            raise FirstlightError(
                "The selection is not understood.", field="only", value=text, expected=_EXPECTED
            ) from None

    def positions(self, length: int | None) -> range:
        """The positions on an axis of a length (None: not known).

        Raises:
            FirstlightError: There are none, or some lie outside the axis.
        """
        first = self.first.at(length)
        stop = None if first is None else first + 1
        if self.stop is not None:
            stop = OPEN if length is None and self.stop == Bound("end", 0) else self.stop.at(length)
        if first is None or stop is None:
            raise FirstlightError(
                "The length of this axis is not known before the scan ends.",
                value=self.text,
                expected="numbers from 0 instead of mid and end",
            )
        if not 0 <= first < stop <= (OPEN if length is None else length):
            there = "" if length is None else f"; it has the positions 0 to {length - 1}"
            raise FirstlightError(
                f"This selects {first}:{stop}, which is empty or leaves the axis{there}.", value=self.text
            )
        return range(first, stop, self.step)


def _bound(text: str, default: Bound) -> Bound:
    match = _BOUND.fullmatch(text)
    if match is None:
        raise ValueError(text)
    if not text:
        return default
    base, more = match["base"], sum(int(part) for part in re.findall(r"[+-]\d+", match["more"]))
    if base in ("start", "mid", "end"):
        return Bound(base, more)
    if base is None:  # "+3" means 3
        return Bound("start", more) if more >= 0 else Bound("end", more)
    number = int(base)
    return Bound("start" if number >= 0 else "end", number + more)


def resolve(only: Mapping[str, Picked], scan: Scan) -> dict[str, range]:
    """The positions that a selection means in a scan.

    Raises:
        JobError: An axis does not exist, or the positions do not; every mistake is named.
    """
    from .errors import JobError

    stream, problems = scan.main, list[str]()
    chosen: dict[str, range] = {}
    for label, picked in only.items():
        if label not in stream.axes:
            problems.append(f"only: the scan has no axis '{label}'. Expected one of: {', '.join(stream.axes)}.")
            continue
        try:
            chosen[label] = picked.positions(stream.sizes.get(label))
        except FirstlightError as error:
            problems.append(f"only: {label} = {picked.text}. {error.message}" + _expected(error))
    if problems:
        raise JobError(problems)
    return chosen


def _expected(error: FirstlightError) -> str:
    return f" Expected {error.expected}." if error.expected else ""


def length_of(positions: range) -> int | None:
    """How many positions are selected; None if the axis has no known end."""
    return None if positions.stop == OPEN else len(positions)


def narrowed(scan: Scan, chosen: Mapping[str, range]) -> Scan:
    """The scan of the selected part: sizes, ids, coordinates and calibration."""
    streams = {name: _narrowed_stream(name, stream, chosen) for name, stream in scan.streams.items()}
    calibration = dict(scan.calibration)
    step = chosen["col"].step if "col" in chosen else 1
    if step > 1 and "pixel" in calibration:  # reconstruction goes by the distance from column to column
        pixel = calibration["pixel"]
        calibration["pixel"] = Quantity(pixel.value * step, pixel.unit)
    index = frames_of(scan.main, chosen)
    frames = scan.main.frames
    coords = {
        name: values[index] if index is not None and len(values) == frames else values
        for name, values in scan.coords.items()
    }
    return replace(scan, streams=streams, calibration=calibration, coords=coords, selected={**scan.selected, **chosen})


def _narrowed_stream(name: str, stream: Stream, chosen: Mapping[str, range]) -> Stream:
    axes = stream.axes if name == MAIN else stream.frame_axes
    sizes = {**stream.sizes, **{label: length_of(chosen[label]) for label in axes if label in chosen}}
    first = stream.first
    if name == MAIN and any(label in chosen for label in stream.arrival_axes):
        first = first + chosen[stream.axes[0]].start if keeps_ids(stream, chosen) else 0
    return replace(stream, sizes=sizes, first=first)


def keeps_ids(stream: Stream, chosen: Mapping[str, range]) -> bool:
    """True if the selected frames of a stream keep their ids: one axis arrives, and none in between is left out."""
    cut = [chosen[label] for label in stream.arrival_axes if label in chosen]
    return not cut or (stream.arrival == 1 and cut[0].step == 1)


def frames_of(stream: Stream, chosen: Mapping[str, range]) -> Ids | None:
    """Places of the selected frames in the flattened arrival, where they are numbered anew; None if they keep their ids."""
    if keeps_ids(stream, chosen):
        return None
    parts = [np.asarray(chosen.get(label, range(stream.size(label))), np.int64) for label in stream.arrival_axes]
    grid = np.meshgrid(*parts, indexing="ij")
    shape = tuple(stream.size(label) for label in stream.arrival_axes)
    return np.ravel_multi_index(tuple(grid), shape).ravel().astype(np.int64)


def moved_set(ids: Ids, stream: Stream, chosen: Mapping[str, range], after: int) -> Ids:
    """Ids of a set of dark or flat frames beside projections that were numbered anew: its middle stays at its place.

    Args:
        ids: The ids of one set.
        stream: The main stream, before the selection.
        chosen: The selection.
        after: The last id of the set before, which the new ids follow.
    """
    if keeps_ids(stream, chosen) or stream.arrival != 1 or not len(ids):
        return ids
    along = chosen[stream.axes[0]]
    middle = (float(np.mean(ids)) - stream.first - along.start) / along.step
    first = max(round(middle - (len(ids) - 1) / 2), after + 1)
    return first + np.arange(len(ids), dtype=np.int64)


def as_slice(positions: range) -> slice:
    """The same positions as a slice of an axis."""
    return slice(positions.start, positions.stop, positions.step)


def cut_frames(data: Array, axes: tuple[str, ...], chosen: Mapping[str, range]) -> Array:
    """The selected part of each frame (first dimension: frames), as a view."""
    if not any(label in chosen for label in axes):
        return data
    cuts = tuple(as_slice(chosen[label]) if label in chosen else slice(None) for label in axes)
    return data[(slice(None), *cuts)]

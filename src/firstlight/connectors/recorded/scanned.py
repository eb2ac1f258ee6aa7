"""Frames of a file as the points of a scan: its shape, where it begins, and what steps and angles measure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SourceError
from firstlight.core.units import Milliradian, Nanometre, Quantity

from .frames import Frames, Recording
from .place import runs
from .source import RecordedSource
from .whole import Whole

_log = logging.getLogger(__name__)


_FEW, _MOST = 2**20, 100
"""A scan with more points than this may have at most so many times more than there are frames: memory is taken for each."""

Indexed: TypeAlias = Any
"""Anything that has a shape and a type and gives arrays for slices: a mapped array, a dask array, a dataset."""


@dataclass(frozen=True, slots=True)
class GridReader:
    """Frames that lie one after the other, as a grid of scan points; points without a frame are zero."""

    frames: Indexed
    """Shape (frame, row, col)."""
    scanned: tuple[int, ...]
    offset: int
    """Number of the frame that belongs to the first point."""
    name: str
    stored: int = 1
    file: Whole | None = field(init=False)
    """The file that the frames are mapped from."""

    def __post_init__(self) -> None:
        """Remember how long a mapped file is."""
        object.__setattr__(self, "file", Whole.under(self.frames))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the grid and a frame."""
        return (*self.scanned, *self.frames.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values as the file has them."""
        return np.dtype(self.frames.dtype)

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Read a block of points.

        Raises:
            SourceError: The file that they are mapped from became shorter.
        """
        if self.file is not None:
            self.file.check()
        count = len(self.scanned)
        places = np.arange(prod(self.scanned)).reshape(self.scanned)[where[:count]].ravel() + self.offset
        into = out.reshape(len(places), *out.shape[count:])
        inside = (places >= 0) & (places < self.frames.shape[0])
        into[~inside] = 0
        at = np.flatnonzero(inside)
        for first, last in runs(places[at]):
            begin, end = int(places[at[first]]), int(places[at[last - 1]]) + 1
            into[at[first] : at[last - 1] + 1] = np.asarray(self.frames[(slice(begin, end), *where[count:])])


class ScannedSource(RecordedSource):
    """A source over a recorded scan of diffraction patterns."""

    scan_y: Annotated[int, Field(gt=0)] | None = None
    """Lines of the scan; default: what the file and `scan_x` say."""
    scan_x: Annotated[int, Field(gt=0)] | None = None
    """Points of a line; default: what the file and `scan_y` say."""
    sync_offset: int = Field(default=0, ge=-(10**9), le=10**9)
    """Number of the frame that belongs to the first scan point; those before are left out. Negative: points are missing."""
    step_y: Annotated[Nanometre, Field(gt=0)] | None = None
    """Distance of two lines; default: what the file says."""
    step_x: Annotated[Nanometre, Field(gt=0)] | None = None
    """Distance of two points of a line; default: what the file says."""
    detector_angle: Annotated[Milliradian, Field(gt=0)] | None = None
    """Angle of a detector pixel; default: what the file says."""

    def scanned(
        self,
        frames: Indexed,
        told: tuple[int, ...] | None,
        *,
        calibration: Mapping[str, Quantity | None] | None = None,
        metadata: Mapping[str, str] | None = None,
        there: Array | None = None,
        close: Callable[[], None] = lambda: None,
    ) -> Recording:
        """The recording of frames that lie one after the other.

        Args:
            frames: Shape (frame, row, col).
            told: Shape of the scan as the file tells it: (scan_y, scan_x), (position,), or None if it does not.
            calibration: What the file says of step_y, step_x, detector_angle, pixel and energy.
            metadata: Anything else worth keeping.
            there: (frame,) False where the file marks a frame as missing; None: all are there.
            close: Closes the file.

        Raises:
            SourceError: The scan does not fit the number of frames.
        """
        count = frames.shape[0]
        sizes = self._sizes(count, told)
        if prod(sizes.values()) > max(_FEW, _MOST * count):
            raise SourceError(
                f"The scan has {prod(sizes.values())} points, and the file only {count} frames.",
                field="scan_y x scan_x",
                value=tuple(sizes.values()),
                expected=f"about {count} points",
                next_move="Give scan_y and scan_x.",
            )
        axes = (*sizes, "row", "col")
        main = Stream(
            axes,
            {**sizes, "row": frames.shape[1], "col": frames.shape[2]},
            np.dtype(frames.dtype).newbyteorder("=").name,
            len(sizes),
            unit="counts",
        )
        reader = GridReader(frames, tuple(sizes.values()), self.sync_offset, str(self.path))
        points = np.arange(prod(sizes.values()), dtype=np.int64)
        numbers = points + self.sync_offset
        keep = (numbers >= 0) & (numbers < count)
        if there is not None:
            keep[keep] = np.asarray(there, bool)[numbers[keep]]
        part = Frames(
            reader,
            points,
            points,
            None if keep.all() else keep,
            arrival=len(sizes),
            reason="the file lacks it",
            kind="lost",
        )
        scan = Scan({MAIN: main}, self.path.stem, self.measured(calibration or {}), {}, (MAIN,), dict(metadata or {}))
        return Recording(scan, (part,), close)

    def measured(self, found: Mapping[str, Quantity | None]) -> dict[str, Quantity]:
        """The calibration: what the user gives, and of the rest what the file has."""
        given = {
            "step_y": None if self.step_y is None else Quantity(self.step_y, "nm"),
            "step_x": None if self.step_x is None else Quantity(self.step_x, "nm"),
            "detector_angle": None if self.detector_angle is None else Quantity(self.detector_angle, "mrad"),
        }
        return self.known({**found, **{name: value for name, value in given.items() if value is not None}})

    def _sizes(self, count: int, told: tuple[int, ...] | None) -> dict[str, int]:
        """Length of each scan axis."""
        if count == 0:
            raise SourceError("The file holds no whole frame.", field="path", value=str(self.path), expected="frames")
        if self.scan_y is not None and self.scan_x is not None:
            self._check(count, self.scan_y, self.scan_x)
            return {"scan_y": self.scan_y, "scan_x": self.scan_x}
        if self.scan_y is None and self.scan_x is None:
            if told is not None and len(told) == 2:
                return {"scan_y": told[0], "scan_x": told[1]}
            return {"position": count if told is None else told[0]}
        known, name = (self.scan_y, "scan_y") if self.scan_y is not None else (self.scan_x or 1, "scan_x")
        left = count - max(0, self.sync_offset)
        other, rest = divmod(left, known)
        if rest or not other:
            raise SourceError(
                f"The file has {count} frames{f', {left} from frame {self.sync_offset} on' if left != count else ''}.",
                field=name,
                value=known,
                expected=f"a number that divides {left}",
                next_move="Give scan_y and scan_x, and sync_offset where the scan begins later than the file.",
            )
        return {"scan_y": known, "scan_x": other} if name == "scan_y" else {"scan_y": other, "scan_x": known}

    def _check(self, count: int, scan_y: int, scan_x: int) -> None:
        """Refuse a scan that can not be the one of the file; the end of its last line may be missing.

        Raises:
            SourceError: It is not.
        """
        points = scan_y * scan_x
        if self.sync_offset == 0 and not points - scan_x < count <= points:
            raise SourceError(
                f"The file has {count} frames, and the scan {scan_y} x {scan_x} = {points} points.",
                field="scan_y x scan_x",
                value=points,
                expected=f"{count} points",
                next_move="Correct them, or give sync_offset: the number of the frame at the first scan point.",
            )
        if count - self.sync_offset < points:
            _log.warning("%s: the last %d points have no frame.", self.path, points - (count - self.sync_offset))


def whole_frames(size: int, frame: int, name: str) -> int:
    """How many whole frames some bytes hold; says so where the last one is cut off."""
    count, rest = divmod(size, frame)
    if rest:
        _log.warning("%s: the last frame is cut off (%d of %d byte); it counts as missing.", name, rest, frame)
    return count

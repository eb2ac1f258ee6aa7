"""What moves: chunks of frames, gaps, and ends of streams; and the scan they belong to."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from .arrays import Array, Ids
from .errors import AxesError, UnknownName
from .units import Quantity

MAIN = "data"

GapKind = Literal["lost", "dropped", "rejected", "excluded"]
"""Lost: never came. Dropped: given up by a buffer. Rejected: undecodable or of the wrong shape. Excluded: by the user's choice."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Several frames moved together.

    The leading dimension of `data` is the arrival (several scan axes flattened to one); the others are the frame axes.
    """

    data: Array
    """Shape (frames, *sizes of the frame axes). Of a detector that counts events: sparse frames
    (`kernels.sparse_frames.SparseFrames`), which a stage hands on to steps that have a body for them (see `dense`)."""
    axes: tuple[str, ...]
    """Labels of the frame axes: of every dimension of `data` but the first."""
    ids: Ids
    """Place of each frame in the flattened arrival; the only truth about place, and not always in order."""
    epoch: int = 0
    """Counts the restarts of the detector."""
    where: Mapping[str, slice] = field(default_factory=dict[str, slice])
    """The part of each frame axis that this chunk holds; axes that are not named are whole."""
    coords: Mapping[str, Array] = field(default_factory=dict[str, Array])
    """One value per frame, such as ``angle`` in degree."""
    stream: str = MAIN
    set: int = 0
    """Which group of dark or flat frames, taken together, this belongs to."""
    received: float = field(default_factory=time.time)
    """When the newest of these frames arrived (Unix time in second)."""
    margin: tuple[int, int] = (0, 0)
    """How many frames at the front and at the back are only neighbours of the others: other chunks hold their results."""

    def __post_init__(self) -> None:
        """Refuse a chunk whose labels, ids or coordinates do not fit its data."""
        if self.data.ndim != 1 + len(self.axes):
            raise AxesError(
                "A chunk needs one label per frame axis.",
                field="axes",
                value=self.axes,
                expected=f"{self.data.ndim - 1} labels",
            )
        frames = len(self.data)
        if self.ids.shape != (frames,):
            raise AxesError(
                "A chunk needs one id per frame.", field="ids", value=self.ids.shape, expected=f"({frames},)"
            )
        for name, values in self.coords.items():
            if len(values) != frames:
                raise AxesError(
                    "A coordinate needs one value per frame.", field=name, value=len(values), expected=str(frames)
                )

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Size of the frames in byte."""
        return self.data.nbytes

    @property
    def sparse(self) -> bool:
        """True if `data` are lists of events, not pixels."""
        return hasattr(self.data, "indptr")

    def dense(self) -> Chunk:
        """The same frames as pixels; itself if they are."""
        return replace(self, data=np.asarray(self.data)) if self.sparse else self

    def take(self, index: Ids | slice | Sequence[int] | Array) -> Chunk:
        """The frames at some positions of this chunk (a view if `index` is a slice); none of them is margin."""
        coords = {name: values[index] for name, values in self.coords.items()}
        return replace(self, data=self.data[index], ids=self.ids[index], coords=coords, margin=(0, 0))

    def within(self, reach: int) -> Chunk:
        """This chunk with a margin of at most `reach` frames on each side (0: no margin)."""
        before, after = self.margin
        kept = (min(before, reach), min(after, reach))
        if kept == self.margin:
            return self
        return replace(self.take(slice(before - kept[0], len(self) - after + kept[1])), margin=kept)

    def with_data(self, data: Array, axes: tuple[str, ...]) -> Chunk:
        """The same frames with other content."""
        kept = {name: part for name, part in self.where.items() if name in axes}
        return replace(self, data=data, axes=axes, where=kept)


@dataclass(frozen=True, slots=True)
class Gap:
    """Frames that will not come, by id (both ends included), and why."""

    epoch: int
    first: int
    last: int
    reason: str
    kind: GapKind = "lost"
    stream: str = MAIN

    def __len__(self) -> int:
        """Number of frames missing."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class End:
    """No more frames of a set (`set` given) or of a whole stream will come."""

    stream: str = MAIN
    set: int | None = None


Item = Chunk | Gap | End


@dataclass(frozen=True, slots=True)
class Stream:
    """What one kind of frames looks like."""

    axes: tuple[str, ...]
    """Arrival axes first, then frame axes."""
    sizes: Mapping[str, int | None]
    """Length per axis; None: not known before the scan ends."""
    dtype: str
    arrival: int = 1
    """How many of the leading axes arrive (flattened to one); 0: one array, not a stream."""
    order: Literal["sorted", "any"] = "sorted"
    unit: str | None = None
    """Unit of the values, such as ``1/cm``."""
    first: int = 0
    """Id of the first frame, which is position 0 along the arrival."""
    marks: Mapping[str, tuple[Any, ...]] = field(default_factory=dict[str, "tuple[Any, ...]"])
    """By axis that stands for a swept parameter: its value at each position."""

    @property
    def arrival_axes(self) -> tuple[str, ...]:
        """Labels along which frames arrive."""
        return self.axes[: self.arrival]

    @property
    def frame_axes(self) -> tuple[str, ...]:
        """Labels of one frame."""
        return self.axes[self.arrival :]

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of one frame.

        Raises:
            AxesError: The length of a frame axis is not known.
        """
        return tuple(self.size(label) for label in self.frame_axes)

    def size(self, label: str) -> int:
        """Length of an axis.

        Raises:
            AxesError: The axis does not exist, or its length is not known.
        """
        found = self.sizes.get(label)
        if found is None:
            raise AxesError(
                f"The length of axis '{label}' is not known.", field=label, value=self.axes, expected="a known length"
            )
        return found

    @property
    def frames(self) -> int | None:
        """Number of frames, or None if that is not known."""
        total = 1
        for label in self.arrival_axes:
            size = self.sizes.get(label)
            if size is None:
                return None
            total *= size
        return total

    @property
    def frame_bytes(self) -> int:
        """Size of one frame in byte."""
        return int(np.prod(self.frame_shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Scan:
    """All frames of one run: its streams, calibration and known coordinates."""

    streams: Mapping[str, Stream]
    name: str = "scan"
    calibration: Mapping[str, Quantity] = field(default_factory=dict[str, Quantity])
    """Measured quantities, such as ``pixel`` (size at the sample), ``energy``, ``distance``."""
    coords: Mapping[str, Array] = field(default_factory=dict[str, Array])
    """Coordinates that are known before the first frame, indexed by id, such as ``angle`` in degree."""
    order: tuple[str, ...] = ()
    """The order in which the streams come, where the source knows it (streams that are not named come any time)."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """Anything else worth keeping, such as the sample's name."""
    selected: Mapping[str, range] = field(default_factory=dict[str, range])
    """By axis of which the user selected a part: the positions of the recorded scan that are left."""

    @property
    def main(self) -> Stream:
        """The stream that the first step gets."""
        return self.stream(MAIN)

    @property
    def arrival(self) -> tuple[str, ...]:
        """The axes along which the main stream arrives."""
        return self.main.arrival_axes

    @property
    def bounded(self) -> bool:
        """True if the number of frames is known beforehand."""
        return self.main.frames is not None

    def stream(self, name: str) -> Stream:
        """One stream by name.

        Raises:
            UnknownName: The scan has no such stream.
        """
        try:
            return self.streams[name]
        except KeyError:
            raise UnknownName(
                f"The source has no stream '{name}'.",
                field="stream",
                value=name,
                expected="one of " + ", ".join(self.streams),
            ) from None

    def with_main(self, stream: Stream) -> Scan:
        """The same scan with another main stream: what a step sees after the steps before it."""
        return replace(self, streams={**self.streams, MAIN: stream})

    def pixel(self, unit: str) -> float | None:
        """Pixel size at the sample, or None if unknown."""
        found = self.calibration.get("pixel")
        return None if found is None else found.to(unit)

"""What the simulator plays: a recorded or simulated scan, held in memory as ready NTNDArrays, turning on and on."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core import registry
from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Chunk, Scan
from firstlight.core.errors import SourceError
from firstlight.core.source import RandomAccess, Source
from firstlight.kernels.center import center_by_correlation

from . import wire

_log = logging.getLogger(__name__)

_AXIS_ROWS = 64
"""Rows that the axis is looked for in."""
_AXIS_FRAMES = 12
"""Projections at each end of the scan that it is looked for in."""
_TOLERANCE = 0.02
"""Part of a half turn by which a scan may miss 180 or 360 degree and still be turned on."""


@dataclass(slots=True)
class Image:
    """An averaged dark or flat image, and the place from which it was known."""

    place: int
    pixels: Array


@dataclass(slots=True)
class Recording:
    """A scan to be played."""

    scan: Scan
    angles: Array
    """Angle in degree of every projection, rising or falling."""
    source: Source
    images: dict[str, list[Image]] = field(default_factory=dict[str, list[Image]])
    """Averaged images by use (dark, flat), set by set."""
    frames: dict[int, Array] = field(default_factory=dict[int, Array])
    """Projections by place, as many as the memory allows."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        rows, cols = self.scan.main.frame_shape
        return rows, cols

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return np.dtype(self.scan.main.dtype)

    def __len__(self) -> int:
        """Number of projections."""
        return len(self.angles)

    def frame(self, place: int) -> Array:
        """One projection, shape (rows, columns).

        Raises:
            SourceError: The scan does not hold it.
        """
        if place in self.frames:
            return self.frames[place]
        if isinstance(self.source, RandomAccess):
            first = self.scan.main.first
            axis = self.scan.main.arrival_axes[0]
            return self.source.read({axis: slice(place - first, place - first + 1)}, MAIN)[0]
        raise SourceError(f"The scan has no frame {place}.", field="file", value=place, expected="every projection")


def find_source(file: Path) -> str:
    """Name of the source that reads a file.

    Raises:
        SourceError: None does.
    """
    for name in ("dxfile", "nxtomo", "hdf5"):
        if name in registry.names("sources") and registry.get("sources", name).recognises(file):
            return name
    raise SourceError(
        f"No source reads '{file}'.",
        field="file",
        value=str(file),
        expected="a DXfile or NXtomo file",
        next_move="Name the source and its parameters yourself.",
    )


def load(name: str, parameters: dict[str, Any], memory: float) -> Recording:
    """Open a scan and read as many of its frames as fit.

    Args:
        name: Name of the source, such as dxfile, nxtomo or phantom.
        parameters: Its parameters.
        memory: Bytes of projections to hold.

    Raises:
        SourceError: It can not be read, has no angles, or neither fits nor can be read in pieces.
    """
    source: Source = registry.get("sources", name)(**parameters)
    scan = source.open()
    angles = scan.coords.get("angle")
    if angles is None or scan.main.frames is None or len(scan.main.frame_axes) != 2:
        raise SourceError(
            "This is no tomography scan.", field="source", value=name, expected="a bounded scan with angles"
        )
    recording = Recording(scan, np.asarray(angles, np.float64), source)
    room = memory
    sums: dict[tuple[str, int], list[Chunk]] = defaultdict(list)
    for item in source.items():
        if not isinstance(item, Chunk):
            continue
        if item.stream in ("dark", "flat"):
            sums[item.stream, item.set].append(item)
        elif item.stream == MAIN and room >= item.nbytes:
            room -= item.nbytes
            recording.frames.update({int(i): item.data[k].copy() for k, i in enumerate(item.ids)})
        elif not isinstance(source, RandomAccess):
            raise SourceError(
                "The scan does not fit into memory.",
                field="memory",
                value=memory,
                expected=f"more than {scan.main.frame_bytes * scan.main.frames} byte",
            )
    for (use, _), chunks in sorted(sums.items()):
        recording.images.setdefault(use, []).append(_average(chunks))
    return recording


def _average(chunks: list[Chunk]) -> Image:
    total = sum(chunk.data.sum(axis=0, dtype=np.float64) for chunk in chunks)
    count = sum(len(chunk) for chunk in chunks)
    place = round(sum(float(chunk.ids.sum()) for chunk in chunks) / count)
    return Image(place, np.asarray(total / count, np.float32))


# ---- turning on -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turn:
    """How a scan is turned on: its frames repeat after `count`, each time by `step` degree further."""

    count: int
    step: float
    mirrored: bool
    """Every other round is the mirror image: the scan covers half a turn."""

    def angle(self, angles: Array, place: int) -> float:
        """Angle in degree of a place, growing from round to round."""
        turn, at = divmod(place, self.count)
        return float(angles[at]) + turn * self.step

    def picture(self, place: int) -> tuple[int, bool]:
        """Which projection to show at a place, and whether mirrored."""
        turn, at = divmod(place, self.count)
        return at, self.mirrored and turn % 2 == 1


def turn_of(angles: Array) -> Turn:
    """How a scan can be turned on.

    Args:
        angles: Angle in degree of every projection.

    Raises:
        SourceError: It covers neither half a turn nor a whole one.
    """
    step = float(np.median(np.diff(angles))) if len(angles) > 1 else 0.0
    covered = abs(float(angles[-1] - angles[0]))
    for whole in (180.0, 360.0):
        # a scan may end at 180° or one step before it; what repeats the first angle is left out
        count = int(np.count_nonzero(np.abs(angles - angles[0]) < whole - abs(step) / 2))
        if abs(covered - whole) <= abs(step) + _TOLERANCE * 180.0:
            return Turn(count, whole if step > 0 else -whole, whole == 180.0)
    raise SourceError(
        "The scan can not be turned on.",
        field="loop",
        value=f"{covered:g} degree",
        expected="a scan over 180 or 360 degree",
        next_move="Leave `loop` out; the scan then plays once.",
    )


def mirror(frame: Array, dark: Array, flat: Array, center: float) -> Array:
    """What the detector would have seen half a turn later.

    T = (frame − dark)/(flat − dark) is mirrored about the axis, T'(c) = T(2·center − c) with linear interpolation, columns
    that were not seen are air (T = 1), and frame' = T'·(flat − dark) + dark.

    Args:
        frame: Shape (rows, columns), raw counts.
        dark: Averaged dark image, same shape.
        flat: Averaged flat image, same shape.
        center: Column of the axis, counted from 0.

    Returns:
        Raw counts of the same shape and type.
    """
    beam = np.maximum(flat - dark, 1e-3)
    through = (frame.astype(np.float32) - dark) / beam
    columns = frame.shape[1]
    wanted = 2.0 * center - np.arange(columns)
    left = np.floor(wanted).astype(np.int64)
    weight = (wanted - left).astype(np.float32)
    seen = (left >= 0) & (left + (weight > 0) <= columns - 1)
    left, right = np.clip(left, 0, columns - 1), np.clip(left + 1, 0, columns - 1)
    other = through[:, left] * (1 - weight) + through[:, right] * weight
    other[:, ~seen] = 1.0
    counts = other * beam + dark
    if frame.dtype.kind in "iu":
        limits = np.iinfo(frame.dtype)
        # the largest float32 not above the limit of a wide integer
        return (
            np.clip(np.rint(counts), limits.min, np.float32(limits.max))
            .astype(np.float64)
            .clip(limits.min, limits.max)
            .astype(frame.dtype)
        )
    return counts.astype(frame.dtype)


def find_axis(recording: Recording) -> float:
    """Column of the rotation axis, counted from 0: the one the source knows, or found from opposite projections.

    Where none are half a turn apart it is taken to be the middle of the detector, with a warning.
    """
    known = recording.source.model_dump().get("center")
    if known is not None:
        return float(known)
    middle = (recording.shape[1] - 1) / 2
    images = recording.images
    if not images.get("flat"):
        return middle
    flat = images["flat"][0].pixels
    dark = images["dark"][0].pixels if images.get("dark") else np.zeros_like(flat)
    # opposite projections of half a turn are at its ends
    wanted = sorted({*range(len(recording))[:_AXIS_FRAMES], *range(len(recording))[-_AXIS_FRAMES:]})
    rows = slice(None, None, max(1, recording.shape[0] // _AXIS_ROWS))
    through = [(recording.frame(place)[rows] - dark[rows]) / np.maximum(flat - dark, 1e-3)[rows] for place in wanted]
    try:
        lines = -np.log(np.clip(np.stack(through), 1e-3, None))
        found = center_by_correlation(lines, recording.angles[wanted], pairs=5)
    except ValueError as error:
        _log.warning("The axis was not found (%s); it is taken to be the middle, column %g.", error, middle)
        return middle
    _log.info("The axis was found at column %.2f (confidence %.2f).", found.value, found.confidence)
    return found.value


class Pictures:
    """NTNDArrays of all projections, made once and posted again with another number.

    Args:
        recording: What to show.
        codec: Empty, or how to compress.
        center: Column of the axis for mirrored frames.
        memory: Bytes of pictures to hold; more are made when needed.
    """

    def __init__(self, recording: Recording, codec: str, center: float | None, memory: float) -> None:
        """Start with none."""
        self._recording, self._codec, self._center = recording, codec, center
        self._room = memory
        self._ready: dict[tuple[int, bool], Any] = {}

    def prepare(self, places: int, *, mirrored: bool) -> None:
        """Make pictures ahead, until the memory is used."""
        flips = (False, True) if mirrored else (False,)
        for place in range(places):
            if self._room <= 0:
                _log.info("Not all frames fit into memory; some are made while the scan plays.")
                return
            for flip in flips:
                self.get(place, mirrored=flip)
            if all((place, flip) in self._ready for flip in flips):
                self._recording.frames.pop(place, None)

    def get(self, place: int, *, mirrored: bool) -> Any:
        """The NTNDArray of one projection; its number and time stamps are still to be set."""
        found = self._ready.get((place, mirrored))
        if found is not None:
            return found
        pixels = self._recording.frame(place)
        if mirrored:
            dark, flat = self._image("dark", 0.0), self._image("flat", None)
            center = (pixels.shape[1] - 1) / 2 if self._center is None else self._center
            pixels = mirror(pixels, dark, flat, center)
        attributes = {"Place": place, "Mirrored": int(mirrored)}
        made = wire.write_frame(pixels, 0, 0.0, attributes, self._codec)
        if self._room > 0:
            self._room -= int(made.compressedSize)
            self._ready[place, mirrored] = made
        return made

    def _image(self, use: str, otherwise: float | None) -> Array:
        images = self._recording.images.get(use)
        if images:
            return images[0].pixels
        if otherwise is None:
            # without flats, the brightest value stands for the open beam
            otherwise = float(max(frame.max() for frame in self._recording.frames.values()))
        return np.full(self._recording.shape, otherwise, np.float32)

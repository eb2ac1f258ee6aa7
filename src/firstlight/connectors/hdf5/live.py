"""Source over an HDF5 file that a detector is still writing."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, PrivateAttr

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Item, Scan, Stream
from firstlight.core.errors import SourceError, Stopped
from firstlight.core.source import Source, dark_of_level, with_dark_level
from firstlight.core.units import Bytes, KeV, Micrometre, Quantity, Second

from ..recorded.angles import AngleUnit, from_range, is_range
from ..recorded.frames import Frames, frames_per_chunk, image_stream
from ..recorded.place import missing_ranges
from ..recorded.source import CHUNK
from .angles import chosen
from .files import attribute, dataset, is_dataset, lookup, open_file, open_swmr, quantity
from .frames import DatasetReader, check_numbers, covered, image_dataset
from .handles import Dataset, File
from .source import default_signal, nexus_axes

LOGGER = logging.getLogger(__name__)
_NAP = 0.05
"""Seconds after which a wait notices that it shall end."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The file as it is at one moment; open."""

    file: File
    frames: Dataset
    axes: tuple[str, ...]
    there: Array
    """(frame,) True for those that can be read."""
    angles: Array | None
    """(frame,) of at least those that are there."""
    finished: bool
    """The writer says that it is done."""


class Hdf5LiveSource(Source):
    """Plays a dataset of an HDF5 file while it grows: written with SWMR, virtual over files that grow, or by our own sink.

    The file is opened anew at each look, with no lock, so that its writer is never in the way. Frames that a mask
    ``covered`` beside the dataset does not mark are not there yet. It ends when all frames came, when the writer says so,
    or when nothing came for `timeout`; frames that never came are named.
    """

    use: ClassVar[str] = "hdf5_live"

    path: Path
    """The file; it may appear later."""
    dataset: str | None = None
    """Path of the frames in the file, such as ``entry/data/data``; default: what the NeXus attributes point to."""
    axes: str | None = None
    """Label of every dimension, slowest first, such as ``angle row col``; the first one grows. Default: the NeXus ``axes``."""
    frames: Annotated[int, Field(ge=1)] | None = None
    """How many frames will come; default: the length of a list of angles that is given, else not known."""
    angles: str | tuple[float, ...] | None = None
    """Angle of every frame: a dataset that grows too or is whole, a list in degree, or a range such as ``0:180`` (needs `frames`) or ``0::0.5``."""
    angle_unit: AngleUnit | None = None
    """Unit of the angles; default: what the file says, or degree."""
    darks: str | None = None
    """Path of the dark frames (frame row col); they must be there before the first frame."""
    flats: str | None = None
    """Path of the flat frames (frame row col); they must be there before the first frame."""
    finished: str | None = None
    """Dataset, or attribute as ``group@name``, that becomes true (not 0) when the writer is done."""
    timeout: Annotated[Second, Field(gt=0, le=86400)] = 60.0
    """Longest wait for the file, and for another frame."""
    every: Annotated[Second, Field(ge=0.01, le=60)] = 0.2
    """Time between two looks at the file."""
    pixel: Annotated[Micrometre, Field(gt=0)] | None = None
    """Pixel size at the sample; default: what the file says."""
    energy: Annotated[KeV, Field(gt=0)] | None = None
    """Photon energy; default: what the file says."""
    chunk: Annotated[Bytes, Field(gt=0)] = CHUNK
    """Size of a chunk: as many whole frames as fit, at least one."""
    dark_level: Annotated[float, Field(ge=0)] | None = None
    """Counts of a pixel without light, where there are no dark frames: 0 for a detector that counts photons."""

    _scan: Scan | None = PrivateAttr(None)
    _images: list[tuple[Chunk, str]] = PrivateAttr(default_factory=list)
    _stopped: bool = PrivateAttr(False)

    def open(self) -> Scan:
        """Wait for the file and for its dataset, and say what will come.

        Raises:
            SourceError: They did not come in time, or make no sense; the message names what was missing at last.
        """
        self._stopped = False
        deadline = time.monotonic() + self.timeout
        told = False
        while True:
            try:
                seen = self._look()
                break
            except SourceError as error:
                if time.monotonic() > deadline:
                    raise
                if not told:
                    LOGGER.info("Waiting for the file to grow: %s", error)
                    self.listening()
                told = True
            if self._paused():
                raise Stopped("The run was stopped while it waited for the file.", field="path", value=str(self.path))
        try:
            self._scan = self._described(seen)
        finally:
            seen.file.close()
        return self._scan

    def awaited(self) -> tuple[str, Scan] | None:
        """A file, or a dataset in it, that is not there yet."""
        try:
            self._look().file.close()
            return None
        except SourceError as error:
            axes = tuple(self.axes.split()) if self.axes else ("angle", "row", "col")
            lengths: dict[str, int | None] = {**dict.fromkeys(axes), axes[0]: self._total()}
            streams = {MAIN: Stream(axes, lengths, "uint16")}
            for name in [name for name, path in (("dark", self.darks), ("flat", self.flats)) if path]:
                streams[name] = Stream(("frame", *axes[1:]), {**dict.fromkeys(axes[1:]), "frame": None}, "uint16")
            order = (*[name for name in streams if name != MAIN], MAIN)
            return str(error), Scan(streams, self.path.stem, order=order)

    def _described(self, seen: Seen) -> Scan:
        total = self._total()
        shape = (total, *seen.frames.shape[1:])
        dtype = seen.frames.dtype.newbyteorder("=").name
        main = Stream(seen.axes, dict(zip(seen.axes, shape, strict=True)), dtype, unit=attribute(seen.frames, "units"))
        named = {name: path for name, path in (("dark", self.darks), ("flat", self.flats)) if path}
        parts = [image_dataset(seen.file, path, name, main) for name, path in named.items()]
        self._images = [
            (Chunk(part.read(0, len(part.rows)), main.frame_axes, part.ids, stream=part.stream), part.stream)
            for part in parts
        ]
        streams = {MAIN: main} | {part.stream: image_stream(part, main) for part in parts}
        known = seen.angles if seen.angles is not None and total is not None and len(seen.angles) >= total else None
        coords = {} if known is None else {"angle": known[:total]}
        scan = Scan(streams, self.path.stem, self._calibration(seen.file), coords, (*named, MAIN))
        return with_dark_level(scan, self.dark_level)

    def _total(self) -> int | None:
        if self.frames is not None:
            return self.frames
        return len(self.angles) if isinstance(self.angles, tuple) else None

    def _calibration(self, file: File) -> dict[str, Quantity]:
        units = {"pixel": "um", "energy": "keV", "distance": "mm"}
        found = {name: quantity(file, (f"entry/calibration/{name}",), unit) for name, unit in units.items()}
        given = {
            "pixel": Quantity(self.pixel, "um") if self.pixel else None,
            "energy": self.energy and Quantity(self.energy, "keV"),
        }
        values = {name: given.get(name) or value for name, value in found.items()}
        return {name: value for name, value in values.items() if value is not None}

    def _look(self) -> Seen:
        """Open the file as it is now.

        Raises:
            SourceError: It, or the dataset, is not there yet.
        """
        try:
            return self._look_in(open_file(self.path))
        except (OSError, RuntimeError) as error:
            if isinstance(error, SourceError):
                raise
            # the file over which a dataset is virtual is being written: all of them must be opened as such
            try:
                return self._look_in(open_swmr(self.path.expanduser(), error))
            except RuntimeError as again:
                raise SourceError("The file can not be read.", field="path", value=str(self.path)) from again

    def _look_in(self, file: File) -> Seen:
        try:
            path = self.dataset or default_signal(file)
            if path is None:
                raise SourceError(
                    "The file does not say which dataset to play.",
                    field="dataset",
                    value=None,
                    expected="the path of the frames, such as entry/data/data",
                )
            frames = dataset(file, path, "dataset")
            axes = tuple(self.axes.split() if self.axes else nexus_axes(frames) or ("angle", "row", "col"))
            if frames.ndim != len(axes) or len({*axes}) != len(axes) or frames.dtype.kind not in "biufc":
                check_numbers(frames, "axes", len(axes))
            there = self._there(frames)
            angles = self._angles(file, len(there)) if axes[0] == "angle" else None
            count = len(there) if angles is None else min(len(there), len(angles))
            return Seen(file, frames, axes, there[:count], angles, self._is_finished(file))
        except BaseException:
            file.close()
            raise

    def _there(self, frames: Dataset) -> Array:
        mask = covered(frames, 1)
        there = np.ones(len(frames), bool) if mask is None else mask
        return there[: self.frames] if self.frames is not None else there

    def _angles(self, file: File, count: int) -> Array | None:
        """As many angles as there are; a dataset of them may be behind the frames."""
        given = self.angles
        if given is None:
            return None
        if isinstance(given, tuple):
            return np.array(given, np.float64)
        if is_range(given):
            return from_range(given, self.frames or count)
        found = lookup(file, given)
        if not is_dataset(found):
            return chosen(given, file, self.frames or count, unit=self.angle_unit)
        held = min(len(found), max(count, self.frames or 0))
        return chosen(np.asarray(found[:held], np.float64).tolist(), file, held, unit=None) if held else np.zeros(0)

    def _is_finished(self, file: File) -> bool:
        if self.finished is None:
            return False
        place, at, name = self.finished.partition("@")
        found = lookup(file, place or "/")
        value = (found.attrs.get(name) if at else found[()]) if found is not None else None
        try:
            return value is not None and bool(np.any(value))
        except (TypeError, ValueError):
            return False

    def items(self) -> Iterator[Item]:
        """Darks and flats, then frames as they come; what never came as gaps."""
        scan = self._scan
        if scan is None:
            raise SourceError(
                "The file is not open.", field="path", value=str(self.path), next_move="Call open() first."
            )
        for chunk, name in self._images:
            yield chunk
            yield End(name, 0)
            yield End(name)
        if self.dark_level is not None and "dark" not in {name for _, name in self._images}:
            yield from dark_of_level(scan, self.dark_level)
        given = np.zeros(scan.main.frames or 0, bool)
        last, ending = time.monotonic(), False
        while not self._stopped:
            seen = self._glance()
            if seen is not None:
                try:
                    before = int(given.sum())
                    for chunk in self._fresh(seen, given, scan):
                        given = _marked(given, chunk.ids)
                        yield chunk
                        if self._stopped:
                            return
                finally:
                    seen.file.close()
                if given.sum() > before:
                    last, ending = time.monotonic(), False
                elif ending:  # two looks in a row after the writer said so
                    break
                else:
                    ending = seen.finished
            if scan.main.frames is not None and given.all():
                break
            if time.monotonic() - last > self.timeout:
                LOGGER.warning("Nothing came to %s for %g s: the scan is taken to be over.", self.path, self.timeout)
                break
            self._paused()
        if not self._stopped:
            for first, stop in missing_ranges(given):
                yield Gap(0, int(first), int(stop), "never came to the file")
            yield End(MAIN)

    def _glance(self) -> Seen | None:
        """The file as it is now; None where it can not be read at this moment."""
        try:
            return self._look()
        except SourceError as error:
            LOGGER.info("The file can not be read now: %s", error)
            return None

    def _fresh(self, seen: Seen, given: Array, scan: Scan) -> Iterator[Chunk]:
        """Frames that came since the last look."""
        known = np.zeros(len(seen.there), bool)
        known[: min(len(given), len(known))] = given[: len(known)]
        rows = np.flatnonzero(seen.there & ~known).astype(np.int64)
        if scan.main.frames is not None:
            rows = rows[rows < scan.main.frames]
        coords = {} if seen.angles is None else {"angle": seen.angles[rows]}
        part = Frames(DatasetReader(seen.frames), rows, rows, coords=coords)
        step = frames_per_chunk(part, self.chunk)
        for start in range(0, len(rows), step):
            stop = min(start + step, len(rows))
            cut = {name: values[start:stop] for name, values in coords.items()}
            yield Chunk(part.read(start, stop), scan.main.frame_axes, rows[start:stop], coords=cut)

    def _paused(self) -> bool:
        """Wait until the next look; True if it shall end."""
        until = time.monotonic() + self.every
        while not self._stopped and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _NAP))
        return self._stopped

    def stop(self) -> None:
        """End `items`, or the wait for the file."""
        self._stopped = True

    def close(self) -> None:
        """Nothing stays open between two looks."""
        self._scan, self._images = None, []


def _marked(given: Array, ids: Ids) -> Array:
    """The mask with some more frames, as long as they need."""
    top = int(ids.max()) + 1
    if top > len(given):
        given = np.concatenate([given, np.zeros(top - len(given), bool)])
    given[ids] = True
    return given

"""Results as TIFF: a folder with one file for each slice, or one file with all of them."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import MAIN, Chunk, Gap, Scan
from firstlight.core.errors import FirstlightError, SinkError

from ..recorded.disk import disk_errors, exists_already
from ..recorded.mapped import (
    MASK,
    MappedArray,
    check_epoch,
    check_known,
    check_shape,
    hide,
    merged_angles,
    places_of,
    read_mask,
)
from ..recorded.place import missing_ranges
from ..recorded.sidecar import angle_list, describe, finished, read_json, write_json

RECORD = "record.json"
_BIG = 4 * 10**9
"""Bytes from which a file is BigTIFF."""


class Result(ABC):
    """A result that is being written; used by one writer thread."""

    def __init__(self, path: Path, scan: Scan, record: dict[str, Any], options: dict[str, Any]) -> None:
        """Nothing is written yet."""
        self.path, self.scan, self.stream, self.options = path, scan, scan.main, options
        self.begun = describe(scan, record)
        self.gaps: list[Gap] = []
        frames = self.stream.frames if self.stream.arrival else self.stream.sizes.get(self.stream.axes[0])
        self.frames = frames
        self.angles = angle_list(scan, self.stream, frames or 0)

    @property
    @abstractmethod
    def sidecar(self) -> Path:
        """The JSON file with the record."""

    @abstractmethod
    def put(self, chunk: Chunk) -> None:
        """Write frames."""

    @abstractmethod
    def missing(self) -> Ids:
        """First and last id of what is missing; shape (range, 2)."""

    def note(self) -> None:
        """Write the record as it is known before the first frame."""
        with disk_errors(self.sidecar, "write the record"):
            write_json(self.sidecar, self.begun)

    def take(self, chunk: Chunk) -> None:
        """Write frames and note their angles."""
        check_epoch(chunk, MAIN)
        if self.angles is not None and self.frames is None and len(chunk):
            longer = int(chunk.ids.max()) - self.stream.first + 1
            grown = np.full(max(len(self.angles), longer), np.nan)
            grown[: len(self.angles)] = self.angles
            self.angles = grown
        with disk_errors(self.path, "write frames", chunk.nbytes):
            self.put(chunk)
        if self.stream.arrival:
            merged_angles(self.angles, chunk, chunk.ids - self.stream.first)

    def end(self, record: dict[str, Any], *, complete: bool) -> None:
        """Write the final record."""
        ended = finished(
            self.begun, record, missing=self.missing(), gaps=self.gaps, angles=self.angles, complete=complete
        )
        with disk_errors(self.sidecar, "write the final record"):
            write_json(self.sidecar, ended)


def headed(scan: Scan) -> dict[str, Any]:
    """What every TIFF file says: pixel size as resolution, and a short description as JSON."""
    pixel = scan.pixel("um")
    told = {
        "program": "firstlight",
        "name": scan.name,
        "axes": " ".join(scan.main.frame_axes[-2:]),
        "unit": scan.main.unit,
        "pixel_um": pixel,
    }
    head: dict[str, Any] = {"description": json.dumps(told), "metadata": None, "software": "firstlight"}
    if pixel is not None:
        head |= {"resolution": (1e4 / pixel, 1e4 / pixel), "resolutionunit": "CENTIMETER"}
    return head


class Folder(Result):
    """One file for each frame. A file that is there is whole: it gets its name when it is."""

    @property
    def sidecar(self) -> Path:
        """In the folder."""
        return self.path / RECORD

    def begin(self, *, overwrite: bool) -> None:
        """Make the folder.

        Raises:
            SinkError: It holds something, or can not be made.
        """
        if self.path.exists() and (not self.path.is_dir() or (any(self.path.iterdir()) and not overwrite)):
            raise exists_already(self.path)
        if self.path.is_dir() and any(self.path.iterdir()):
            if not (self.path / RECORD).is_file():
                raise SinkError(
                    "The folder holds something that firstlight did not write.",
                    field="path",
                    value=str(self.path),
                    expected=f"an empty folder, or one with {RECORD}",
                    next_move="Choose another path.",
                )
            self._empty()
        with disk_errors(self.path.parent, "make the folder"):
            self.path.mkdir(parents=True, exist_ok=True)
        self.note()

    def _empty(self) -> None:
        """Remove an old result: its record, which goes last, says from the first moment on that it is not whole."""
        with disk_errors(self.path, "replace what is there"):
            write_json(self.sidecar, {**read_json(self.sidecar), "complete": False})
            for each in self.path.iterdir():
                if each != self.sidecar:
                    shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()

    def again(self, done: Ids) -> None:
        """Go on in a folder; files of frames that are not done are written anew."""
        keep = {name for place in done - self.stream.first for name in self.names(int(place))} | {RECORD}
        for file in (*self.path.glob("*.tif*"), *self.path.glob("*.part")):
            if file.name not in keep:
                file.unlink()
        self.note()

    @property
    def inner(self) -> tuple[str, ...]:
        """Axes of what lies at one position: two of an image, and before them those of a sweep."""
        return self.stream.frame_axes if self.stream.arrival else self.stream.axes[1:]

    def names(self, place: int) -> list[str]:
        """Of the files of one position: one, or one for each value of a sweep."""
        digits = max(5, len(str(self.frames or 0)))
        axis = self.stream.arrival_axes[0] if self.stream.arrival else self.stream.axes[0]
        return [f"{label}{axis}_{place:0{digits}d}.tif" for label in self._labels()]

    def _labels(self) -> list[str]:
        """Such as ``fbp.center_84.5_``, for each image of a position."""
        stream = self.stream
        values = [
            [f"{label}_{text}_" for text in _as_texts(stream.marks.get(label, range(stream.size(label))))]
            for label in self.inner[:-2]
        ]
        return ["".join(each) for each in itertools.product(*values)]

    def put(self, chunk: Chunk) -> None:
        """Write each frame to its file."""
        stream = self.stream
        if stream.arrival:
            places = places_of(chunk.ids, stream, self.frames)
            cuts = tuple(chunk.where.get(label, slice(None)) for label in stream.frame_axes)
            images = chunk.data
        else:
            first = chunk.where.get(stream.axes[0], slice(None))
            images = chunk.data[-1]
            places = np.arange(*first.indices(self.frames or len(images)), dtype=np.int64)
            cuts = tuple(chunk.where.get(label, slice(None)) for label in stream.axes[1:])
        frame = tuple(stream.sizes.get(label) or size for label, size in zip(self.inner, images.shape[1:], strict=True))
        if stream.arrival:
            check_shape(chunk, cuts, frame)
        if images.shape[1:] != frame:
            raise SinkError(
                "A folder of TIFF files takes whole frames only, and a part of one came.",
                field="layout",
                value=str(chunk.where),
                expected="whole frames",
                next_move="Set layout to file, or use the sink hdf5.",
            )
        for place, found in zip(places.tolist(), images.reshape(len(images), -1, *images.shape[-2:]), strict=True):
            for name, image in zip(self.names(place), found, strict=True):
                self._write(self.path / name, image)

    def _write(self, path: Path, image: Array) -> None:
        import tifffile

        part = path.with_suffix(".part")
        packed = None if self.options["compression"] == "none" else self.options["compression"]
        tifffile.imwrite(part, image, photometric="minisblack", compression=packed, **headed(self.scan))
        part.replace(path)

    def missing(self) -> Ids:
        """By the files that are there."""
        return missing_ranges(_present(self.path, self.frames, len(self._labels()))) + (
            self.stream.first if self.stream.arrival else 0
        )


class OneFile(Result):
    """All frames as pages of one file, in one piece."""

    array: MappedArray

    @property
    def sidecar(self) -> Path:
        """Beside the file."""
        return self.path.with_name(self.path.name + ".json")

    def begin(self, *, overwrite: bool) -> None:
        """Write the head and take the room.

        Raises:
            SinkError: The file exists, or the disk is full.
        """
        import tifffile

        check_known(self.stream, "One TIFF file")
        if self.path.exists() and not (overwrite and self.path.is_file()):
            raise exists_already(self.path)
        with disk_errors(self.path.parent, "make the file"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        lengths = [self.stream.size(label) for label in self.stream.axes]
        pages = int(np.prod(lengths[:-2], dtype=np.int64))
        shape = (pages, *lengths[-2:])
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(self.stream.dtype).itemsize
        try:
            with disk_errors(self.path, "make the file", size):
                hide(self.path)
                self.note()
                self.path.unlink(missing_ok=True)
                made = tifffile.memmap(
                    self.path,
                    shape=shape,
                    dtype=self.stream.dtype,
                    bigtiff=size > _BIG,
                    photometric="minisblack",
                    **headed(self.scan),
                )
                offset = int(made.offset)
                del made
            self.array = MappedArray(self.path, offset, self.stream)
        except BaseException:
            for each in (self.path, self.path.with_name(self.path.name + MASK), self.sidecar):
                each.unlink(missing_ok=True)
            raise

    def again(self, done: Ids) -> None:
        """Go on in the file; frames that are not done are written anew."""
        import tifffile

        with tifffile.TiffFile(self.path) as file:
            offset = int(file.pages[0].dataoffsets[0])  # pyright: ignore[reportAttributeAccessIssue]
        self.array = MappedArray(self.path, offset, self.stream, fresh=False)
        self.array.trust(done)
        self.note()

    def put(self, chunk: Chunk) -> None:
        """Write frames to their places."""
        self.array.write(chunk)

    def missing(self) -> Ids:
        """By the mask."""
        return self.array.missing()

    def end(self, record: dict[str, Any], *, complete: bool) -> None:
        """Write the final record and close the file."""
        super().end(record, complete=complete)
        self.array.close()


def _present(folder: Path, frames: int | None, each: int = 1) -> Array:
    """(position,) whether the file, or all files, of each is there."""
    found = np.array([int(file.stem.rpartition("_")[2]) for file in folder.glob("*_*.tif")], np.int64)
    count = np.bincount(found, minlength=max(frames or 0, 0))
    return count >= each


def _as_texts(values: Sequence[Any]) -> list[str]:
    """Values as parts of files' names: numbers with as many digits each, so that the files lie in their order."""
    if all(isinstance(value, int | float) for value in values):
        decimals = max((len(f"{value:.6g}".partition(".")[2]) for value in values), default=0)
        texts = [f"{value:.{decimals}f}" for value in values]
        if all(float(text) == value for text, value in zip(texts, values, strict=True)):
            return [text.zfill(max(map(len, texts))) for text in texts]
    return [re.sub(r"[^\w.+-]", "-", str(value)) for value in values]


@dataclass(frozen=True, slots=True)
class TiffState:
    """How far a TIFF result got."""

    complete: bool
    covered: Array
    """(position,) which frames are there."""
    record: dict[str, Any]


def known_to_lack(path: Path) -> Array | None:
    """(position,) which frames of a result of the sink `tiff` are there; None where none is missing, or it is none."""
    try:
        there = read_state(path).covered
    except (
        FirstlightError,
        LookupError,
        TypeError,
        ValueError,
        OverflowError,
    ):  # what the JSON file says makes no sense
        return None
    return None if there.all() else there


def read_state(path: Path) -> TiffState:
    """Look into a result that the sink `tiff` wrote, also one whose writer was killed.

    Raises:
        SourceError: Another program wrote it.
    """
    told = read_json(path / RECORD if path.is_dir() else path.with_name(path.name + ".json"))
    axes, sizes, arrival = told["axes"], told["sizes"], told["arrival"]
    lengths = [sizes[label] for label in axes[: max(arrival, 1)]]
    frames = None if None in lengths else int(np.prod(lengths, dtype=np.int64))
    each = int(np.prod([sizes[label] for label in axes[max(arrival, 1) : -2]], dtype=np.int64))
    there = _present(path, frames, each) if path.is_dir() else read_mask(path, frames or 0)
    return TiffState(bool(told["complete"]), there, told["record"])

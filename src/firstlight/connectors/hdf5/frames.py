"""Read frames of HDF5 datasets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Stream
from firstlight.core.errors import SourceError

from ..recorded.frames import ArrayReader, Frames, Reader, Recording, image_frames
from ..recorded.reshaped import Reshaped
from ..recorded.whole import Whole
from .elsewhere import elsewhere
from .files import damaged, is_dataset, neighbour, open_file
from .handles import Dataset, File, Group


@dataclass(frozen=True, slots=True)
class DatasetReader:
    """A dataset of an open file."""

    dataset: Dataset
    file: Whole = field(init=False)
    """The file that it lies in."""

    def __post_init__(self) -> None:
        """Remember how long the file is."""
        object.__setattr__(self, "file", Whole.of(Path(self.dataset.file.filename)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each dimension."""
        return self.dataset.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values as the file has them."""
        return self.dataset.dtype

    @property
    def stored(self) -> int:
        """Frames of one storage chunk."""
        return self.dataset.chunks[0] if self.dataset.chunks else 1

    @property
    def storage(self) -> tuple[int, ...] | None:
        """Shape of a storage chunk; None where the array lies in one piece."""
        return self.dataset.chunks

    @property
    def name(self) -> str:
        """Dataset and file."""
        return f"'{self.dataset.name}' in {self.dataset.file.filename}"

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Read a block.

        Raises:
            SourceError: The file became shorter.
            OSError: It is damaged.
        """
        self.file.check()
        self.dataset.read_direct(out, where)


def recorded(path: Path, record: Callable[[File], Recording]) -> Recording:
    """Open a file, and leave it open for the recording that is found in it (as well as other files with darks and flats).

    Raises:
        SourceError: It can not be read, or `record` does not find what it needs.
    """
    file = open_file(path)
    try:
        found = record(file)
    except BaseException as error:
        file.close()
        if isinstance(error, OSError | RuntimeError) and not isinstance(error, SourceError):  # damaged bytes, by h5py
            raise damaged(path, error) from error
        raise
    readers = [part.reader.reader if isinstance(part.reader, Reshaped) else part.reader for part in found.parts]
    others = {reader.dataset.file for reader in readers if isinstance(reader, DatasetReader)} - {file}

    def close() -> None:
        for each in (*others, file):
            each.close()

    return replace(found, close=close)


def image_dataset(file: Group, path: str, name: str, main: Stream) -> Frames:
    """Dark or flat frames of a dataset of their own; one image counts as one frame.

    Args:
        file: The file.
        path: Path in it, or ``FILE:PATH`` (or ``FILE`` alone) for another file, which may lie beside this one.
        name: ``dark`` or ``flat``.
        main: The projections.

    Raises:
        SourceError: The dataset is missing, or its frames do not have the shape of the data's.
    """
    found = elsewhere(file, path, name, main.frame_shape)
    try:
        return _images(found, name, main)
    except BaseException:
        if found.file != file.file:
            found.file.close()
        raise


def _images(found: Dataset, name: str, main: Stream) -> Frames:
    check_numbers(found, f"{name}s")
    if found.shape == main.frame_shape:
        image = np.asarray(found[()])[np.newaxis]
        return image_frames(ArrayReader(image, f"'{found.name}' in {found.file.filename}"), name, main)
    like_data = found.ndim < 4 or prod(found.shape[1:-2]) == 1
    return image_frames(frame_reader(found, f"{name}s") if like_data else DatasetReader(found), name, main)


def frame_reader(found: Dataset, field: str, scan: int | None = None) -> Reader:
    """A dataset as frames (frame, row, col), also one of a single detector line, or with further axes.

    Args:
        found: (frame, col), (frame, row, col), the same with axes of length 1 after the first, or (frame, row, col, scan).
        field: The parameter that named it, for the error.
        scan: Which scan to take of the last.

    Raises:
        SourceError: It holds something else, or several scans of which none is chosen.
    """
    check_numbers(found, field)
    reader = DatasetReader(found)
    if found.ndim == 2:
        return Reshaped(reader, row=True)
    single = [axis for axis, size in enumerate(found.shape) if axis and size == 1]
    fixed = dict.fromkeys(single[: max(0, found.ndim - 3)], 0)
    if found.ndim - len(fixed) == 4 and scan is not None and 0 <= scan < found.shape[-1]:
        fixed[found.ndim - 1] = scan
    if found.ndim - len(fixed) == 4:
        raise SourceError(
            f"The dataset '{found.name}' in {found.file.filename} has the shape {found.shape}: several scans.",
            field="scan",
            value=scan,
            expected=f"0 to {found.shape[-1] - 1}: which one along the last axis",
            next_move="Choose it: --set source.scan=0",
        )
    if found.ndim - len(fixed) != 3:
        check_numbers(found, field, 3)
    return Reshaped(reader, fixed) if fixed else reader


def covered(found: Dataset, arrival: int, mask_name: str = "covered") -> Array | None:
    """Which frames are there, where our own sink wrote a mask beside them."""
    mask = neighbour(found, mask_name)
    if mask == found or not is_dataset(mask) or mask.shape != found.shape[:arrival]:
        return None
    there = np.asarray(mask[()], dtype=bool).ravel()
    return None if there.all() else there


def check_numbers(found: Dataset, field: str, dimensions: int | None = None) -> None:
    """Refuse a dataset that does not hold frames.

    Raises:
        SourceError: Its values are not numbers, it has the wrong number of dimensions, or it is empty.
    """
    where = f"The dataset '{found.name}' in {found.file.filename}"
    if found.dtype.kind not in "biufc":
        raise SourceError(
            f"{where} does not hold numbers.",
            field=field,
            value=str(found.dtype),
            expected="integers or floats",
            next_move="Name another dataset.",
        )
    if dimensions is not None and found.ndim != dimensions:
        raise SourceError(
            f"{where} has the shape {found.shape}.",
            field=field,
            value=found.ndim,
            expected=f"{dimensions} dimensions",
            next_move="Name another dataset, or other axes.",
        )
    if not found.size:
        raise SourceError(
            f"{where} is empty: its shape is {found.shape}.",
            field=field,
            value=found.shape,
            expected="at least one frame",
        )


LARGEST_TABLE = 2**28
"""Bytes of positions, masks and the like, which are read whole."""


def table(found: Dataset, field: str, dimensions: int | None = None) -> Array:
    """A small dataset, whole.

    Raises:
        SourceError: It does not hold numbers, has the wrong number of dimensions, is empty, or is too large to be what it should be.
    """
    check_numbers(found, field, dimensions)
    if found.size * found.dtype.itemsize > LARGEST_TABLE:
        raise SourceError(
            f"The dataset '{found.name}' in {found.file.filename} is too large for a table.",
            field=field,
            value=found.shape,
            expected=f"at most {LARGEST_TABLE} byte",
            next_move="Name another dataset, or check the file: it may be damaged.",
        )
    try:
        return np.asarray(found[()])
    except OSError as error:
        raise SourceError(
            f"The dataset '{found.name}' in {found.file.filename} can not be read ({error}).",
            field=field,
            value=found.name,
            next_move="The file is damaged, or its compression is not known here: try to read it with another program.",
        ) from error

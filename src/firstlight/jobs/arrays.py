"""Arrays in files of any kind that firstlight writes or reads, slice by slice: for programs that look at results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from firstlight.core import registry
from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.npy import open_npy

SEPARATOR = "::"
"""Stands between a file and the dataset in it."""


@dataclass(slots=True)
class FileArray:
    """An image, or a stack of images, in a file."""

    name: str
    shape: tuple[int, ...]
    """Axes of length 1 are left out."""
    read: Callable[[int], Array]
    """The slice at a position along the first of three axes; of an image, that image."""
    pixel: float | None = None
    """Pixel size in micrometre, where the file tells."""
    unit: str | None = None
    close: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    @property
    def slices(self) -> int:
        """How many images there are."""
        return self.shape[0] if len(self.shape) == 3 else 1

    def image(self, number: int) -> Array:
        """(row, col) float32: one image; complex values become their magnitude.

        Raises:
            SourceError: It can not be read.
        """
        try:
            found = np.asarray(self.read(number))
        except OSError as error:
            raise SourceError(f"Slice {number} can not be read: {error}", field="path", value=self.name) from error
        return (np.abs(found) if np.iscomplexobj(found) else found).astype(np.float32).reshape(self.shape[-2:])


def open_array(text: str) -> FileArray:
    """Open the array that a text names: a file, a Zarr group, ``file::dataset`` for one of several, or a folder of TIFF files.

    Raises:
        SourceError: There is none, or it is no image and no stack of images.
    """
    name, _, dataset = text.partition(SEPARATOR)
    path = Path(name).expanduser()
    if not path.exists():
        raise SourceError("There is no such file.", field="path", value=str(path), next_move="Check the path.")
    if path.suffix.lower() == ".npy":
        return _npy(path)
    if path.is_file() and _begins(path, b"\x89HDF\r\n\x1a\n"):
        return _hdf5(path, dataset)
    if any((path / each).is_file() for each in ("zarr.json", ".zgroup", ".zarray")):
        return _zarr(path, dataset)
    return _tiff(path)


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _array(name: str, shape: tuple[int, ...], kind: str, read: Callable[[tuple[Any, ...]], Array]) -> FileArray:
    """Leave out the axes of length 1, and look whether an image or a stack of images remains."""
    kept = tuple(length for length in shape if length != 1)
    if len(kept) not in (2, 3) or kind not in "biufc" or not prod(kept):
        raise SourceError(
            "This is no image and no stack of images.",
            field="path",
            value=f"{name}: shape {shape}",
            expected="numbers along two or three axes",
            next_move=f"Name another dataset, as in 'file.h5{SEPARATOR}/entry/data/data'.",
        )
    axes = [axis for axis, length in enumerate(shape) if length != 1]

    def one(number: int) -> Array:
        index: list[Any] = [0] * len(shape)
        for axis in axes:
            index[axis] = slice(None)
        if len(axes) == 3:
            index[axes[0]] = number
        return read(tuple(index))

    return FileArray(name, kept, one)


def _npy(path: Path) -> FileArray:
    try:
        array = open_npy(path)
    except (ValueError, OSError, EOFError) as error:
        raise SourceError(f"This is no numpy file: {error}", field="path", value=str(path)) from None
    return _array(str(path), array.shape, array.dtype.kind, lambda index: array[index])


def _hdf5(path: Path, dataset: str) -> FileArray:
    from firstlight.connectors.hdf5.files import attribute, open_file, quantity

    file = open_file(path)
    try:
        found, place = _dataset(file, path, dataset)
        opened = _array(f"{path}{SEPARATOR}{place}", found.shape, found.dtype.kind, lambda index: found[index])
        pixel = quantity(file, ("entry/calibration/pixel",), "um")
        opened.pixel = None if pixel is None else pixel.to("um")
        opened.unit = attribute(found, "units") or None
    except BaseException:
        file.close()
        raise
    opened.close = file.close
    return opened


def _dataset(file: Any, path: Path, wanted: str) -> tuple[Any, str]:
    """The dataset that is asked for; else the main one of our own results; else the only one that is an image or a stack."""
    from firstlight.connectors.hdf5.files import attribute, dataset, is_dataset, is_group, lookup, walk

    if wanted:
        return dataset(file, wanted, "path"), wanted
    entry = lookup(file, "entry")
    for name in ("data", attribute(entry, "default")) if is_group(entry) else ():  # a file of links names its main one
        own = lookup(file, f"entry/{name}/data")
        if is_dataset(own):
            return own, f"/entry/{name}/data"
    images = {name: found for name, found in walk(file) if sum(n > 1 for n in found.shape) in (2, 3)}
    if len(images) == 1:
        name, found = images.popitem()
        return found, name
    listed = ", ".join(list(images)[:8]) or "none"
    raise SourceError(
        f"The file holds {len(images)} images or stacks.",
        field="path",
        value=str(path),
        expected=f"the name of one of them: {listed}",
        next_move=f"Name it as in '{path.name}{SEPARATOR}{next(iter(images), '/entry/data/data')}'.",
    )


def _zarr(path: Path, array: str) -> FileArray:
    """The array of a group that is named, or the one that its source would play."""
    source: Any = registry.get("sources", "zarr")(path=str(path), array=array or None)
    scan = source.open()
    stream = scan.main
    shape = tuple(stream.size(label) for label in stream.axes)

    def read(index: tuple[Any, ...]) -> Array:
        where = {
            label: slice(at, at + 1) if isinstance(at, int) else at
            for label, at in zip(stream.axes, index, strict=True)
        }
        return source.read(where)

    try:
        opened = _array(str(path), shape, np.dtype(stream.dtype).kind, read)
    except BaseException:
        source.close()
        raise
    pixel = scan.calibration.get("pixel")
    opened.pixel = None if pixel is None else pixel.to("um")
    opened.unit, opened.close = stream.unit, source.close
    return opened


def _tiff(path: Path) -> FileArray:
    from firstlight.connectors.tiff.pages import read_pages

    pages = read_pages(path, None, "path")

    def read(index: tuple[Any, ...]) -> Array:
        where = tuple(slice(at, at + 1) if isinstance(at, int) else slice(None) for at in index)
        chosen = [len(range(*part.indices(length))) for part, length in zip(where, pages.shape, strict=True)]
        where = tuple(slice(*part.indices(length)) for part, length in zip(where, pages.shape, strict=True))
        out = np.empty(chosen, pages.dtype.newbyteorder("="))
        pages.read_into(where, out)
        return out

    return _array(str(path), pages.shape, pages.dtype.kind, read)

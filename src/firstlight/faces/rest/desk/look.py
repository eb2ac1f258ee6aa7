"""Slices of result files: HDF5, TIFF, and OME-Zarr."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Stream
from firstlight.core.errors import FirstlightError
from firstlight.core.view import Shown
from firstlight.jobs.picture import Wanted, picture

from .places import inside, lies_in
from .structure import refuse_ways_out


@dataclass(frozen=True, slots=True)
class Stored:
    """An array in a file, of which slices can be read."""

    shape: tuple[int, ...]
    axes: tuple[str, ...]
    unit: str | None
    read: Callable[[tuple[Any, ...]], Array]


def look(question: dict[str, Any], roots: Sequence[Path]) -> tuple[dict[str, Any], bytes]:
    """One slice of a result, as large as a screen.

    Raises:
        FirstlightError: This is no result that can be shown.
    """
    path = inside(question["path"], roots)
    try:
        if path.suffix.lower() == ".zarr":
            return _slice(_zarr(path, roots), question, path)
        if path.is_dir() or path.suffix.lower() in (".tif", ".tiff"):
            return _slice(_tiff(path, roots), question, path)
        with h5py.File(path, "r", locking=False) as file:
            return _slice(_hdf5(file, roots), question, path)
    except (OSError, ValueError, KeyError) as error:
        raise FirstlightError(
            f"The result can not be read: {error}.",
            field="path",
            value=str(path),
            expected="a file of firstlight (HDF5, TIFF or Zarr)",
        ) from error


def _slice(stored: Stored, question: dict[str, Any], path: Path) -> tuple[dict[str, Any], bytes]:
    axis, at = _place(stored, question)
    where = [slice(None)] * len(stored.shape)
    if axis is not None:
        where[axis] = at  # pyright: ignore[reportCallIssue, reportArgumentType]
    data = np.asarray(stored.read(tuple(where)))
    axes = tuple(label for number, label in enumerate(stored.axes) if number != axis)
    shown = Shown(data, Stream(axes, dict(zip(axes, data.shape, strict=True)), data.dtype.name, unit=stored.unit), 1)
    header, pixels = picture(path.name, shown, Wanted(question["width"], question["height"], phase=True))
    whole = {"axes": list(stored.axes), "shape": list(stored.shape), "axis": axis, "at": at}
    return {**header, "whole": whole}, np.ascontiguousarray(pixels).tobytes()


def _place(stored: Stored, question: dict[str, Any]) -> tuple[int | None, int | None]:
    if len(stored.shape) < 3:
        return None, None
    axis = min(int(question.get("axis") or 0), len(stored.shape) - 1)
    asked, size = question.get("at"), stored.shape[axis]
    return axis, size // 2 if asked is None else min(int(asked), size - 1)


def _hdf5(file: h5py.File, roots: Sequence[Path]) -> Stored:
    """The array that ``default`` and ``signal`` lead to."""
    path = "/"
    for _ in range(6):
        refuse_ways_out(file, path, roots)
        found = file[path]
        if isinstance(found, h5py.Dataset):
            return _dataset(found)
        name = found.attrs.get("default", found.attrs.get("signal"))
        if name is None:
            break
        path = f"{path.rstrip('/')}/{_text(name)}"
    raise ValueError("its attributes 'default' and 'signal' lead to no array")


def _dataset(found: h5py.Dataset) -> Stored:
    told = found.parent.attrs.get("axes")
    named = [_text(name) for name in np.atleast_1d(told)] if told is not None else []
    axes = tuple(named) if len(named) == found.ndim else tuple(f"axis_{n}" for n in range(found.ndim))
    unit = found.attrs.get("units")
    return Stored(found.shape, axes, None if unit is None else _text(unit), lambda where: found[where])


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _tiff(path: Path, roots: Sequence[Path]) -> Stored:
    import tifffile

    found = sorted((*path.glob("*.tif"), *path.glob("*.tiff"))) if path.is_dir() else [path]
    files = [file for file in found if lies_in(file.resolve(), roots)]
    if not files:
        raise ValueError("the folder holds no TIFF files")
    with tifffile.TiffFile(files[0]) as first:
        page = first.pages[0]
        shape, pages = tuple(page.shape), len(first.pages)  # pyright: ignore[reportAttributeAccessIssue]
    count = len(files) if len(files) > 1 else pages

    def plane(number: int) -> Array:
        return (
            np.asarray(tifffile.imread(files[number]))
            if len(files) > 1
            else np.asarray(tifffile.imread(files[0], key=number))
        )

    def read(where: tuple[Any, ...]) -> Array:
        if len(where) == 2:
            return plane(0)[where]
        first, *rest = where
        return (
            plane(first)[tuple(rest)]
            if isinstance(first, int)
            else np.stack([plane(n)[tuple(rest)] for n in range(count)])
        )

    return Stored(shape if count == 1 else (count, *shape), ("z", "y", "x")[-len(shape) - (count > 1) :], None, read)


def _zarr(path: Path, roots: Sequence[Path]) -> Stored:
    try:
        import zarr
    except ImportError as error:
        raise FirstlightError(
            "Zarr is not installed.", field="path", value=str(path), next_move="pip install 'firstlight[zarr]'"
        ) from error
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            inside(Path(folder, name), roots)
    group: Any = zarr.open(str(path), mode="r")
    array = group if hasattr(group, "shape") else group["0"]
    axes = ("z", "y", "x")[-len(array.shape) :]
    return Stored(tuple(array.shape), axes, None, lambda where: np.asarray(array[where]))

"""Pages of TIFF files as one array: mapped from the disk where they lie there in one piece, else decoded page by page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError

from ..recorded.frames import ArrayReader, Reader
from ..recorded.joined import OneAfterTheOther
from ..recorded.listing import listed

ENDINGS = (".tif", ".tiff", ".btf", ".tf8")
_MOST = 2**33
"""Byte that a page may have: a header that declares more is damaged."""


@dataclass(frozen=True, slots=True)
class Page:
    """What one page looks like."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]


def is_tiff(path: Path) -> bool:
    """True if a file begins like a TIFF or BigTIFF of either byte order."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    except OSError:
        return False


def read_pages(path: Path, pattern: str | None, field: str) -> Reader:
    """All pages of a file, a folder or a pattern, as (page, row, col).

    Raises:
        SourceError: There are none, or they are no grey images of one shape and type.
    """
    return pages_of(listed(path, ENDINGS, pattern, field), field)


def pages_of(files: Sequence[Path], field: str) -> Reader:
    """All pages of one file, of files with one page each, or of files with several (one after the other), as (page, row, col).

    Raises:
        SourceError: They are no grey images of one shape and type.
    """
    return _stack(files[0], field) if len(files) == 1 else _folder(files, field)


def _stack(path: Path, field: str) -> Reader:
    """The pages of one file."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            pages = file.pages
            page = _page(pages[0], path, field)
            first: Any = pages[0]
            _demand_one_order(file, path, field)
            mapped = _mapped(file, page, path)
            if mapped is not None:
                return mapped
            numbers = _full(file)
            _complete(file, path)
            last = _page(pages[numbers[-1]], path, field)
            if last != page:
                raise _other(path, page, last, field)
            _whole(first, path)
            return FilePages(path, numbers, page)
    except SourceError:
        raise
    except Exception as error:  # tifffile meets damage in many ways, and each has an exception of its own
        raise damaged(path, error) from error


def _full(file: Any) -> Sequence[int]:
    """The pages, without the small copies of them that some programs add."""
    count = len(file.pages)
    if count < 2 or not (file.pages[1].is_reduced or file.pages[count - 1].is_reduced):
        return range(count)
    return [number for number in range(count) if not file.pages[number].is_reduced]


def _demand_one_order(file: Any, path: Path, field: str) -> None:
    """Refuse pages that were written in two orders at once: channels, or times, of each position.

    Raises:
        SourceError: They were.
    """
    series = file.series[0]
    several = {axis: size for axis, size in zip(series.axes[:-2], series.shape[:-2], strict=True) if size > 1}
    if len(series.axes) > 2 and len(several) > 1 and len(series.axes) == len(series.shape):
        raise SourceError(
            f"The pages of {path.name} are a grid of {' × '.join(f'{size} ({axis})' for axis, size in several.items())}.",
            field=field,
            value=" ".join(series.axes),
            expected="pages along one axis, the angle (or the row, of sinograms)",
            next_move="Write those of one channel or time into a file of their own.",
        )


def _folder(files: Sequence[Path], field: str) -> Reader:
    """Many files; those with one page are taken to look like the first, and checked when they are read."""
    first = _stack(files[0], field)
    page = _looks_of(first)
    if first.shape[0] != 1:
        parts = (first, *(_stack(path, field) for path in files[1:]))
        for path, part in zip(files, parts, strict=True):
            if _looks_of(part) != page:
                raise _other(path, page, _looks_of(part), field)
        return OneAfterTheOther(parts)
    mapped = isinstance(first, ArrayReader)
    if mapped:  # looking at all heads takes long: without compression, one that differs has another size
        size = files[0].stat().st_size
        for path in files:
            if path.stat().st_size != size:
                _decode(path, 0, page)
    return FolderPages(tuple(files), page, mapped)


def _looks_of(stack: Reader) -> Page:
    """The shape and type of the pages of a file, whatever its byte order."""
    return Page((stack.shape[1], stack.shape[2]), stack.dtype.newbyteorder("="))


def _page(page: Any, path: Path, field: str) -> Page:
    """The shape and type of a page.

    Raises:
        SourceError: It is no grey image, or larger than can be true.
    """
    shape, dtype = tuple(page.shape), page.dtype
    if len(shape) != 2 or dtype is None or np.dtype(dtype).kind not in "biuf":
        raise SourceError(
            f"The pages of {path.name} are no grey images.",
            field=field,
            value=f"shape {shape}, type {dtype}",
            expected="one number for each pixel (row col)",
            next_move="Convert them to grey values first.",
        )
    if not 0 < prod(shape) * np.dtype(dtype).itemsize <= _MOST:
        raise SourceError(
            f"A page of {path.name} says that it has {shape[0]} × {shape[1]} pixels.",
            field=field,
            value=str(path),
            expected=f"at most {_MOST} byte a page",
            next_move="The file is damaged: copy it again from where it was written.",
        )
    return Page((int(shape[0]), int(shape[1])), np.dtype(dtype))


def _mapped(file: Any, page: Page, path: Path) -> ArrayReader | None:
    """The pages as they lie in the file, if they do so one after the other and without compression."""
    series = file.series[0]
    if len(file.series) != 1 or series.dataoffset is None or series.is_multifile or series.shape[-2:] != page.shape:
        return None
    dtype = np.dtype(file.byteorder + page.dtype.str[1:])
    count = prod(series.shape[:-2])
    size = count * prod(page.shape) * dtype.itemsize
    if series.dataoffset + size > os.fstat(file.filehandle.fileno()).st_size:
        raise _short(path, series.dataoffset + size)
    mapped = np.memmap(path, dtype, "r", series.dataoffset, (count, *page.shape))
    return ArrayReader(mapped, str(path))


def _complete(file: Any, path: Path) -> None:
    """Refuse a file whose list of pages goes on beyond its end."""
    width = 8 if file.is_bigtiff else 4
    file.filehandle.seek(file.pages.next_page_offset)
    following = int.from_bytes(file.filehandle.read(width), "little" if file.byteorder == "<" else "big")
    if following:
        raise _short(path, following)


def _whole(page: Any, path: Path) -> None:
    """Refuse a page whose data lie beyond the end of the file."""
    ends = [start + size for start, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if max(ends, default=0) > path.stat().st_size:
        raise _short(path, max(ends))


def _short(path: Path, needed: int) -> SourceError:
    return SourceError(
        f"The file is cut short: its pages reach to byte {needed}, and it has {path.stat().st_size}.",
        field="path",
        value=str(path),
        next_move="Copy it again from where it was written, or wait until the copy is complete.",
    )


def damaged(path: Path, error: Exception) -> SourceError:
    """The error for a file that can not be read as TIFF."""
    return SourceError(
        f"The file can not be read as TIFF ({type(error).__name__}: {error}).",
        field="path",
        value=str(path),
        expected="a TIFF or BigTIFF file, complete and readable",
        next_move="Copy it again from where it was written.",
    )


def _other(path: Path, page: Page, found: Page, field: str) -> SourceError:
    return SourceError(
        f"A page of {path.name} does not look like the first.",
        field=field,
        value=f"{found.shape} {found.dtype}",
        expected=f"{page.shape} {page.dtype}",
        next_move="Name the files of one kind, with a pattern such as 'folder/scan_*.tif'.",
    )


def _decode(path: Path, number: int, page: Page) -> Array:
    """One page; mapped from the disk where it lies there in one piece.

    Raises:
        SourceError: It can not be read, or is not like the others.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            here: Any = file.pages[number]
            found = _page(here, path, "path")
            if found != page:
                raise _other(path, page, found, "path")
            _whole(here, path)
            if here.is_memmappable:
                dtype = np.dtype(file.byteorder + page.dtype.str[1:])
                return np.memmap(path, dtype, "r", here.dataoffsets[0], page.shape)
            return _unpacked(here, path, number)
    except SourceError:
        raise
    except Exception as error:
        raise damaged(path, error) from error


def _unpacked(page: Any, path: Path, number: int) -> Array:
    """The values of a page; LZW and other packings that tifffile leaves to a package of its own are Pillow's.

    Raises:
        ValueError: Nobody here knows the packing.
    """
    try:
        return page.asarray(maxworkers=1)
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
    from PIL import Image

    with Image.open(path) as image:
        image.seek(number)
        values = np.asarray(image)
    if values.shape != tuple(page.shape) or values.dtype.newbyteorder("=") != np.dtype(page.dtype).newbyteorder("="):
        raise ValueError(f"its packing is not known here: {page.compression!r}")
    return values


@dataclass(frozen=True, slots=True)
class FilePages:
    """Pages of one file that must be decoded."""

    path: Path
    numbers: Sequence[int]
    """Of the pages that count."""
    page: Page
    stored: int = 1

    @property
    def storage(self) -> tuple[int, ...]:
        """A page is decoded whole, whatever part of it is asked for."""
        return self.page.shape

    @property
    def shape(self) -> tuple[int, ...]:
        """(page, row, col)."""
        return (len(self.numbers), *self.page.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.page.dtype

    @property
    def name(self) -> str:
        """The file."""
        return str(self.path)

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Decode some pages."""
        for place, number in enumerate(self.numbers[where[0]]):
            out[place] = _decode(self.path, number, self.page)[where[1:]]


@dataclass(frozen=True, slots=True)
class FolderPages:
    """Files with one page each."""

    files: tuple[Path, ...]
    page: Page
    mapped: bool
    """True if the first file's page lies in one piece, so that parts of a page can be read."""
    stored: int = 1

    @property
    def storage(self) -> tuple[int, ...] | None:
        """A page that must be decoded is decoded whole, whatever part of it is asked for."""
        return None if self.mapped else self.page.shape

    @property
    def shape(self) -> tuple[int, ...]:
        """(file, row, col)."""
        return (len(self.files), *self.page.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.page.dtype

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.files[0].parent)

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Read some files."""
        for place, path in enumerate(self.files[where[0]]):
            out[place] = _decode(path, 0, self.page)[where[1:]]

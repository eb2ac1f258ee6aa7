"""Compound files ([MS-CFB]) with the images of a Zeiss (Xradia) microscope."""

from __future__ import annotations

import threading
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import MissingExtra, SourceError

_TYPES = {3: "<u1", 5: "<u2", 10: "<f4"}
"""Code in ``DataType``."""
_PER_STORAGE = 100
"""``ImageData1`` holds ``Image1`` to ``Image100``, and so on."""
_MOST = 2**33


class Compound:
    """The images of an open compound file; read by one thread at a time."""

    stored = 1

    @property
    def storage(self) -> tuple[int, ...]:
        """An image is read whole, whatever part of it is asked for."""
        return self.shape[1:]

    def __init__(self, path: Path) -> None:
        """Open the file and check its head.

        Raises:
            SourceError: It is no such file, or damaged.
            MissingExtra: The library is not installed.
        """
        try:
            import olefile
        except ModuleNotFoundError as missing:
            raise MissingExtra("olefile", "formats", "A txrm file") from missing
        self.path, self.name, self._lock = path, str(path), threading.Lock()
        if not path.is_file():
            raise SourceError("There is no such file.", field="path", value=str(path), next_move="Check the path.")
        try:
            self._file: Any = olefile.OleFileIO(str(path))
        except Exception as error:  # damage shows in many ways
            raise _damaged(path, f"{type(error).__name__}: {error}") from error
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        width, height = (self.number(f"ImageInfo/Image{each}", "<u4") for each in ("Width", "Height"))
        count = self.number("ImageInfo/ImagesTaken", "<u4") or self.number("ImageInfo/NoOfImages", "<u4")
        kind = _TYPES.get(int(self.number("ImageInfo/DataType", "<u4") or 0))
        if not width or not height or not count or kind is None:
            raise _damaged(self.path, f"{count} images of {height} × {width} pixels, type {kind}")
        self.shape = (int(count), int(height), int(width))
        self.dtype = np.dtype(kind)
        frame = prod(self.shape[1:]) * self.dtype.itemsize
        if frame > _MOST or frame > self.path.stat().st_size or count > self.path.stat().st_size:
            raise _damaged(
                self.path, f"it has {self.path.stat().st_size} byte, and one of {int(count)} images needs {frame}"
            )

    def number(self, place: str, kind: str) -> float | None:
        """The first number of a stream; None where there is none."""
        found = self.array(place, kind)
        return None if found is None or not len(found) else float(found[0])

    def array(self, place: str, kind: str) -> Array | None:
        """The numbers of a stream; None where there is no such stream."""
        raw = self._read(place)
        if raw is None:
            return None
        item = np.dtype(kind).itemsize
        return np.frombuffer(raw, kind, len(raw) // item)

    def _read(self, place: str) -> bytes | None:
        with self._lock:
            try:
                if not self._file.exists(place) or self._file.get_size(place) > self.path.stat().st_size:
                    return None
                with self._file.openstream(place) as stream:
                    return stream.read()
            except Exception as error:
                raise _damaged(self.path, f"{place}: {type(error).__name__}: {error}") from error

    def reference(self) -> Array | None:
        """(row, col) the image without sample; None where there is none of the right size."""
        raw = self._read("ReferenceData/Image")
        if raw is None:
            return None
        kind = np.dtype(_TYPES.get(int(self.number("ReferenceData/DataType", "<u4") or 10), "<f4"))
        if len(raw) < prod(self.shape[1:]) * kind.itemsize:
            return None
        image = np.frombuffer(raw, kind, prod(self.shape[1:])).reshape(self.shape[1:])
        return image if (image > 0).any() else None

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Read some images."""
        needed = prod(self.shape[1:])
        for place, number in enumerate(range(*where[0].indices(self.shape[0]))):
            stream = f"ImageData{number // _PER_STORAGE + 1}/Image{number + 1}"
            raw = self._read(stream)
            if raw is None or len(raw) < needed * self.dtype.itemsize:
                raise _damaged(self.path, f"{stream} is missing or cut short")
            out[place] = np.frombuffer(raw, self.dtype, needed).reshape(self.shape[1:])[where[1:]]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _damaged(path: Path, why: str) -> SourceError:
    return SourceError(
        f"The file can not be read as txrm ({why}).",
        field="path",
        value=str(path),
        expected="a txrm or xrm file, complete and readable",
        next_move="Copy it again from where it was written.",
    )

"""Source over numpy's files."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.errors import SourceError

from ..recorded.frames import Recording
from ..recorded.mapped import read_mask
from ..recorded.scanned import ScannedSource, whole_frames
from ..recorded.sidecar import calibration_of, read_json

_LONGEST_HEADER = 65536


class NpySource(ScannedSource):
    """Plays an array of 3 axes (frame, row, col) or 4 (scan_y, scan_x, row, col) from a ``.npy`` file, mapped from the disk.

    Where the sink ``npy`` wrote it, what is missing, calibration and metadata are known from the description beside it.
    """

    use: ClassVar[str] = "npy"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a file that begins like one of numpy."""
        try:
            with path.open("rb") as file:
                return file.read(6) == b"\x93NUMPY"
        except OSError:
            return False

    def load(self) -> Recording:
        """Read the header and map the array.

        Raises:
            SourceError: It is no such file, of another number of axes, or its scan does not fit.
        """
        path = self.path.expanduser()
        shape, dtype, offset = _header(path)
        if len(shape) not in (3, 4) or dtype.kind not in "biuf" or not all(shape):
            raise SourceError(
                "This is no scan of frames.",
                field="path",
                value=f"{dtype} {shape}",
                expected="numbers with 3 axes (frame row col) or 4 (scan_y scan_x row col)",
            )
        size = prod(shape[-2:]) * dtype.itemsize
        count = min(prod(shape[:-2]), whole_frames(path.stat().st_size - offset, size, str(path)))
        if count == 0:
            raise SourceError("The file holds no whole frame.", field="path", value=str(path), expected="frames")
        frames = np.memmap(path, dtype, "r", offset, (count, *shape[-2:]))
        beside = path.with_name(path.name + ".json")
        told = read_json(beside) if beside.is_file() else {}
        words = told.get("metadata")
        return self.scanned(
            frames,
            tuple(shape[:-2]),
            calibration=calibration_of(told),
            metadata={str(key): str(word) for key, word in words.items()} if isinstance(words, dict) else {},
            there=read_mask(path, count),
        )


def _header(path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and offset of the array.

    Raises:
        SourceError: It can not be read as such a file.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file, max_header_size=_LONGEST_HEADER)
            offset = file.tell()
        if fortran or dtype.hasobject or any(type(n) is not int or not 0 <= n < 2**40 for n in shape):
            raise ValueError("the array is in Fortran order, holds objects, or tells an impossible shape")
    except (OSError, ValueError, TypeError, SyntaxError, OverflowError, MemoryError) as error:
        raise SourceError(
            f"The file can not be read ({error}).", field="path", value=str(path), expected="an array of numpy (.npy)"
        ) from error
    return tuple(shape), dtype, offset

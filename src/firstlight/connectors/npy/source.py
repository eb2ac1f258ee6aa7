"""Source over numpy's files."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.core.errors import SourceError

from ..recorded.frames import ArrayReader, Recording
from ..recorded.mapped import read_mask
from ..recorded.scanned import ScannedSource, whole_frames
from ..recorded.sidecar import calibration_of, read_json
from ..recorded.stack import Order, Stack, angles_of, beside, stack_recording
from .header import Header, read_header


class NpySource(ScannedSource):
    """Plays an array of 3 axes (frame, row, col) or 4 (scan_y, scan_x, row, col) from a ``.npy`` file, mapped from the disk.

    With `order` the frames are those of a tomography. Where the sink ``npy`` wrote it, what is missing, calibration and metadata are known from the description beside it.
    """

    use: ClassVar[str] = "npy"

    order: Order | None = None
    """What an image of a tomography is: a projection (row col), or the sinogram of one row (angle col)."""
    darks: Path | None = None
    """Dark frames of a tomography, in another ``.npy`` file."""
    flats: Path | None = None
    """Flat frames, likewise."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a file that begins like one of numpy."""
        try:
            with path.open("rb") as file:
                return file.read(6) == b"\x93NUMPY"
        except OSError:
            return False

    @classmethod
    def infer(cls, path: Path, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Three axes are those of a tomography, where nothing says otherwise.

        Args:
            path: The file.
            given: Parameters that the user gave.

        Returns:
            Parameters, and what was assumed, in words.
        """
        said = given.keys() & {"order", "scan_y", "scan_x"} or _description(path).is_file()
        if said or len(_header(path).shape) != 3:
            return {}, []
        return {"order": "projection"}, [
            "the axes are angle row col (--set source.order=sinogram where they are row angle col)"
        ]

    def load(self) -> Recording:
        """Read the header and map the array.

        Raises:
            SourceError: It is no such file, of another number of axes, or its scan does not fit.
        """
        path = self.path.expanduser()
        return self._scan(path) if self.order is None else self._tomography(path, self.order)

    def _tomography(self, path: Path, order: Order) -> Recording:
        images = {
            name: _mapped(beside(path, where)) for name, where in (("dark", self.darks), ("flat", self.flats)) if where
        }
        stack = Stack(
            _mapped(path),
            order,
            lambda count: angles_of(self.angles, count, beside=path, unit=self.angle_unit, there=None),
            images=images,
            name=path.stem,
            calibration=self.known({}),
        )
        return stack_recording(stack)

    def _scan(self, path: Path) -> Recording:
        header = _header(path)
        shape, dtype, offset = header.shape, header.dtype, header.offset
        if header.fortran:
            raise SourceError(
                "The array is in Fortran order: its frames do not lie one after the other.",
                field="path",
                value=str(path),
                expected="an array in C order",
                next_move="Save it again with numpy.ascontiguousarray.",
            )
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
        told = read_json(_description(path)) if _description(path).is_file() else {}
        words = told.get("metadata")
        return self.scanned(
            frames,
            tuple(shape[:-2]),
            calibration=calibration_of(told),
            metadata={str(key): str(word) for key, word in words.items()} if isinstance(words, dict) else {},
            there=read_mask(path, count),
        )


def _description(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _mapped(path: Path) -> ArrayReader:
    """An array (frame, row, col), in either order; (row, col) is one frame.

    Raises:
        SourceError: It is none, or shorter than its header says.
    """
    header = _header(path)
    if not header.images or header.bytes > path.stat().st_size:
        raise SourceError(
            "These are no images of a tomography.",
            field="path",
            value=f"{path}: {header.dtype} {header.shape}, {path.stat().st_size} byte",
            expected=f"numbers with 3 axes, in {header.bytes} byte",
        )
    order = "F" if header.fortran else "C"
    found = np.memmap(path, header.dtype, "r", header.offset, header.shape, order=order)
    return ArrayReader(found if found.ndim == 3 else found[np.newaxis], str(path))


def _header(path: Path) -> Header:
    """What the array is.

    Raises:
        SourceError: It can not be read as such a file.
    """
    try:
        with path.open("rb") as file:
            return read_header(file, str(path))
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"The file can not be read ({error}).", field="path", value=str(path)) from error

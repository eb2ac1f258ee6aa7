"""Source over plain numbers with a description in JSON."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import SourceError

from ..recorded.angles import given_angles, per_id
from ..recorded.frames import ArrayReader, Frames, Recording
from ..recorded.mapped import read_mask
from ..recorded.sidecar import calibration_of, read_json
from ..recorded.source import RecordedSource


class RawSource(RecordedSource):
    """Plays plain numbers of one file. What they are stands in ``FILE.json`` beside it, or is given here."""

    use: ClassVar[str] = "raw"

    shape: tuple[int, ...] | None = Field(default=None, max_length=8)
    """Length of each axis, slowest first; default: what the description says."""
    dtype: str | None = None
    """Type of the numbers, such as ``uint16``; default: what the description says."""
    byteorder: Literal["little", "big"] | None = None
    """Order of the bytes; default: what the description says, or little."""
    offset: int | None = Field(default=None, ge=0)
    """Bytes before the first number."""
    axes: str | None = None
    """Label of every axis, slowest first; default: what the description says, or ``angle row col``."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True if a description with a shape lies beside the file."""
        try:
            return path.is_file() and "shape" in read_json(_description(path))
        except SourceError:
            return False

    def load(self) -> Recording:
        """Read the description and map the file.

        Raises:
            SourceError: Something is missing or makes no sense, or the file is shorter than described.
        """
        path = self.path.expanduser()
        if not path.is_file():
            raise SourceError("There is no such file.", field="path", value=str(path), next_move="Check the path.")
        told = read_json(_description(path)) if self.shape is None or _description(path).is_file() else {}
        shape, dtype, offset = self._layout(told)
        labels: Any = self.axes.split() if self.axes else told.get("axes", ["angle", "row", "col"][-len(shape) :])
        named = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
        if not named or len(labels) != len(shape) or len({*labels}) != len(labels):
            raise _wrong("axes", labels, f"{len(shape)} different labels")
        needed = offset + prod(shape) * dtype.itemsize
        if needed > path.stat().st_size:
            raise SourceError(
                f"The file has {path.stat().st_size} byte, and its description asks for {needed}.",
                field="path",
                value=str(path),
                next_move="Copy it again from where it was written, or correct the shape.",
            )
        array = np.memmap(path, dtype, "r", offset, shape)
        return self._recording_of(array, tuple(labels), told)

    def _layout(self, told: dict[str, Any]) -> tuple[tuple[int, ...], np.dtype[Any], int]:
        shape = self.shape or told.get("shape")
        if not isinstance(shape, list | tuple) or not shape or not all(type(n) is int and 0 < n < 2**40 for n in shape):
            raise _wrong("shape", shape, "a list of lengths")
        given = self.dtype or told.get("dtype")
        order = self.byteorder or told.get("byteorder") or "little"
        try:
            plain = np.dtype(str(given))
            dtype = plain.newbyteorder(">") if order == "big" else plain.newbyteorder("<")
        except (TypeError, ValueError, SyntaxError):
            raise _wrong("dtype", given, "a type of numbers, such as uint16, and byte order little or big") from None
        if dtype.kind not in "biufc":
            raise _wrong("dtype", given, "a type of numbers, such as uint16")
        offset = self.offset if self.offset is not None else told.get("offset", 0)
        if type(offset) is not int or offset < 0:
            raise _wrong("offset", offset, "a number of bytes")
        return tuple(shape), dtype, offset

    def _recording_of(self, array: Array, axes: tuple[str, ...], told: dict[str, Any]) -> Recording:
        arrival = told.get("arrival") or sum(label.startswith("scan_") for label in axes) or 1
        arrival = arrival if type(arrival) is int and 0 < arrival < len(axes) else 1
        scanned = array.shape[:arrival]
        first = told.get("first_id") or 0
        unit = told.get("unit")
        main = Stream(
            axes,
            dict(zip(axes, array.shape, strict=True)),
            array.dtype.newbyteorder("=").name,
            arrival,
            unit=unit if isinstance(unit, str) else None,
            first=first if type(first) is int else 0,
        )
        rows = np.arange(prod(scanned), dtype=np.int64)
        there = read_mask(self.path.expanduser(), len(rows))
        coords = self._coords(main, told)
        reader = ArrayReader(array, str(self.path))
        part = Frames(
            reader,
            rows,
            rows + main.first,
            None if there.all() else there,
            coords,
            arrival=arrival,
            reason="missing in the file",
            kind="lost",
        )
        scan = Scan({MAIN: main}, self.path.stem, self.known(calibration_of(told)), coords, (MAIN,))
        return Recording(scan, (part,))

    def _coords(self, main: Stream, told: dict[str, Any]) -> dict[str, Array]:
        if "angle" not in main.arrival_axes:
            return {}
        given = self.angles if self.angles is not None else told.get("angles")
        if given is None:
            return {}
        try:
            known = given if isinstance(given, str) else tuple(float("nan" if each is None else each) for each in given)
        except (TypeError, ValueError):
            raise _wrong("angles", None, "a list of numbers") from None
        count = main.size("angle")
        needed = read_mask(self.path.expanduser(), count) if main.arrival == 1 else None
        values = given_angles(known, count, beside=self.path, unit=self.angle_unit, needed=needed)
        if main.arrival > 1:
            shape = tuple(main.size(label) for label in main.arrival_axes)
            values = per_id(values, shape, main.arrival_axes.index("angle"))
        return {"angle": values}


def _wrong(field: str, value: Any, expected: str) -> SourceError:
    return SourceError(
        "The numbers of the file are not described.",
        field=field,
        value=value,
        expected=expected,
        next_move=f"Give it as '{field}', or put it into the JSON file beside the data.",
    )


def _description(path: Path) -> Path:
    return path.with_name(path.name + ".json")

"""Source over Zarr arrays."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import MAIN, Scan, Stream
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.core.units import Quantity

from ..recorded.angles import checked, given_angles, is_range, per_id
from ..recorded.frames import Frames, Reader, Recording, image_frames, image_stream
from ..recorded.source import RecordedSource
from .ngff import read_multiscales
from .stores import is_url, said, store_at

_DETECTOR = ("row", "col", "channel", "bin")
_MOST = 2**33
"""Bytes that a frame or a storage chunk may have."""


@dataclass(frozen=True, slots=True)
class ArrayInStore:
    """A Zarr array, read in blocks."""

    array: Any
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each dimension."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.array.dtype

    @property
    def stored(self) -> int:
        """Positions of one storage chunk."""
        return self.array.chunks[0]

    @property
    def storage(self) -> tuple[int, ...]:
        """Shape of a storage chunk, which is read whole."""
        return self.array.chunks

    def read_into(self, where: tuple[slice, ...], out: Array) -> None:
        """Read a block."""
        try:
            out[...] = self.array[where]
        except Exception as error:  # codecs and stores have exceptions of their own
            raise _unreadable(self.name, error) from error


class ZarrSource(RecordedSource):
    """Plays an array of a Zarr group (version 2 or 3), in a folder or at ``s3://bucket/path``.

    Without `array` and `axes`, OME-NGFF or the names of the dimensions say what to play.
    """

    use: ClassVar[str] = "zarr"

    path: str = Field()  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]
    """A folder such as ``scan.zarr``, or ``s3://bucket/scan.zarr`` (needs the extra s3)."""
    array: str | None = None
    """Path of the frames in the group; default: the full picture of OME-NGFF, or the only array."""
    axes: str | None = None
    """Label of every axis, slowest first; default: what the group says, or ``angle row col``."""
    darks: str | None = None
    """Path of the dark frames (frame row col) in the group."""
    flats: str | None = None
    """Path of the flat frames (frame row col) in the group."""
    endpoint: str | None = None
    """Address of an S3 server other than Amazon's, such as ``https://s3.facility.org``."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a folder that is a Zarr group or array."""
        return path.is_dir() and any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))

    def load(self) -> Recording:
        """Open the group and find the frames.

        Raises:
            SourceError: It can not be read, or something that is needed is missing or makes no sense.
            MissingExtra: The libraries for Zarr or S3 are not installed.
        """
        root = self._root()
        told = read_multiscales(dict(root.attrs)) if hasattr(root, "array_keys") else None
        reader, path = self._frames(root, told)
        axes = self._axes(reader, told if told and told[0] == path else None)
        main = self._stream(reader, axes, root)
        images = {
            name: image_frames(self._reader(root, path), name, main)
            for name, path in (("dark", self.darks), ("flat", self.flats))
            if path is not None
        }
        keep, coords = self._mask(root, main), {}
        angles = self._angles(root, main, keep)
        if angles is not None:
            coords = {"angle": angles}
        rows = np.arange(main.frames or 0, dtype=np.int64)
        part = Frames(
            reader,
            rows,
            rows + main.first,
            keep,
            coords,
            arrival=main.arrival,
            reason="missing in the file",
            kind="lost",
        )
        found: dict[str, Quantity | None] = {"pixel": told[2] if told else None}
        streams = {MAIN: main} | {name: image_stream(each, main) for name, each in images.items()}
        scan = Scan(streams, Path(self.path).stem, self.known(found), coords, (*images, MAIN))
        return Recording(scan, (*images.values(), part))

    def _root(self) -> Any:
        import zarr

        if not is_url(str(self.path)) and not Path(self.path).expanduser().is_dir():
            raise SourceError("There is no such folder.", field="path", value=self.path, next_move="Check the path.")
        try:
            return zarr.open(store_at(str(self.path), self.endpoint, read_only=True), mode="r")
        except FirstlightError:
            raise
        except Exception as error:
            raise _unreadable(str(self.path), error) from error

    def _frames(self, root: Any, told: Any) -> tuple[Reader, str]:
        """The reader of the frames, and their path in the group."""
        if not hasattr(root, "array_keys"):
            return self._checked(root, str(self.path)), ""
        path = self.array or (told[0] if told else None)
        if path is None:
            names = [name for name in root.array_keys() if root[name].ndim >= 3]
            if len(names) != 1:
                raise SourceError(
                    "The group does not say which array to play.",
                    field="array",
                    value=None,
                    expected="the path of an array",
                    next_move=f"It holds {', '.join(sorted(root.array_keys())[:8]) or 'no arrays'}.",
                )
            path = names[0]
        return self._reader(root, path), path

    def _reader(self, root: Any, path: str) -> ArrayInStore:
        try:
            found = root[path]
            return self._checked(found, f"'{path}' in {self.path}")
        except FirstlightError:
            raise
        except KeyError:
            raise SourceError(
                f"The group {self.path} holds no such array.",
                field="array",
                value=path,
                expected="one of " + ", ".join(sorted(root.array_keys())[:8]),
            ) from None
        except Exception as error:
            raise _unreadable(str(self.path), error) from error

    def _checked(self, found: Any, name: str) -> ArrayInStore:
        """Refuse what holds no frames, or would take absurd memory.

        Raises:
            SourceError: It is such an array.
        """
        shape, chunks = getattr(found, "shape", ()), getattr(found, "chunks", ())
        dtype = getattr(found, "dtype", None)
        if not shape or not prod(shape) or dtype is None or np.dtype(dtype).kind not in "biufc":
            raise SourceError(
                "This is no array of frames.", field="array", value=f"{name} {shape} {dtype}", expected="numbers"
            )
        size = np.dtype(dtype).itemsize
        if prod(chunks) * size > _MOST or prod(shape[1:]) * size > _MOST * 2**10 or prod(shape) * size > 2**60:
            raise SourceError(
                "The array says that it is larger than can be true.",
                field="array",
                value=f"{name}: {shape} in chunks of {chunks}",
                expected=f"chunks of at most {_MOST} byte",
            )
        return ArrayInStore(found, name)

    def _axes(self, reader: Reader, told: Any) -> tuple[str, ...]:
        stored: Any = getattr(reader, "array", None)
        named = getattr(getattr(stored, "metadata", None), "dimension_names", None)
        labels = self.axes.split() if self.axes else (told[1] if told else None) or named
        labels = labels or ("angle", "row", "col")[-len(reader.shape) :]
        labels = [str(label) for label in labels]
        if len(labels) != len(reader.shape) or len({*labels}) != len(labels):
            raise SourceError(
                f"The array {reader.name} has the shape {reader.shape}.",
                field="axes",
                value=" ".join(labels),
                expected=f"{len(reader.shape)} different labels",
                next_move="Set axes to one label per dimension, slowest first.",
            )
        return tuple(labels)

    def _stream(self, reader: Reader, axes: tuple[str, ...], root: Any) -> Stream:
        own = root.attrs.get("firstlight") if hasattr(root, "attrs") else None
        own = own if isinstance(own, dict) and own.get("axes") == list(axes) else {}
        count = len(axes)
        while count > 1 and axes[count - 1] in _DETECTOR:
            count -= 1
        arrival, first = own.get("arrival"), own.get("first_id")
        arrival = arrival if type(arrival) is int and 0 < arrival < len(axes) else (count if count < len(axes) else 1)
        unit = own.get("unit")
        return Stream(
            axes,
            dict(zip(axes, reader.shape, strict=True)),
            reader.dtype.newbyteorder("=").name,
            arrival,
            unit=unit if isinstance(unit, str) else None,
            first=first if type(first) is int else 0,
        )

    def _mask(self, root: Any, main: Stream) -> Array | None:
        mask = root.get("covered") if hasattr(root, "array_keys") else None
        if mask is None or getattr(mask, "shape", None) != tuple(main.size(label) for label in main.arrival_axes):
            return None
        there = np.asarray(mask[...], bool).ravel()
        return None if there.all() else there

    def _angles(self, root: Any, main: Stream, keep: Array | None) -> Array | None:
        if "angle" not in main.arrival_axes:
            return None
        count, needed = main.size("angle"), keep if main.arrival == 1 else None
        beside: Any = root.get("angle") if hasattr(root, "array_keys") else None
        given = self.angles
        if given is None and beside is None:
            return None
        if given is None:
            values = checked(
                np.asarray(beside[...]), count, "'angle'", unit=self.angle_unit, field="angles", needed=needed
            )
        elif isinstance(given, str) and not is_range(given) and hasattr(root, "array_keys") and given in root:
            named = np.asarray(root[given][...])
            values = checked(named, count, f"'{given}'", unit=self.angle_unit, field="angles", needed=needed)
        else:
            values = given_angles(given, count, beside=Path(self.path), unit=self.angle_unit, needed=needed)
        if main.arrival > 1:
            shape = tuple(main.size(label) for label in main.arrival_axes)
            values = per_id(values, shape, main.arrival_axes.index("angle"))
        return values


def _unreadable(name: str, error: Exception) -> SourceError:
    return SourceError(
        f"It can not be read as Zarr ({said(error)}).",
        field="path",
        value=name,
        expected="a Zarr array or group, complete and readable",
        next_move="Check the path and your permission to read it.",
    )

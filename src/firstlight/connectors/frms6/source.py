"""Source over the files of a PNDetector pnCCD camera (FRMS6): a description and several files of folded frames."""

from __future__ import annotations

import configparser
import re
import struct
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity

from ..recorded.frames import Recording
from ..recorded.scanned import ScannedSource, whole_frames

_FILE, _FRAME = 1024, 64
"""Bytes in front of a file, and of each frame."""
_FIXED = struct.Struct("<HH3xB80xHH928xI")
"""Lengths of both heads, version, columns and rows as they are stored, frames."""
_VERSION = 6
_BINNED = re.compile(r'"?bin:\s*([124])\b')
_SCAN = re.compile(r"\s*(\d{1,6})\s*x\s*(\d{1,6})\s*")
_LONGEST = 2**20
"""Bytes of the longest description that is believed."""


class Header(NamedTuple):
    """What the head of a file tells."""

    rows: int
    """As they are stored: half of those of the camera."""
    cols: int
    """As they are stored: twice those of the camera."""
    frames: int
    """0 in older files: by the length of the file."""


class Unfolded:
    """Frames of several files, unfolded as they are read.

    Two rows lie in one stored line: one of the upper half, and one of the lower half, turned by 180 degrees. Rows that were binned
    stand as often as they were, so that pixels are square.

    Args:
        files: Of each: (frame, row, col) as they are stored.
        binned: Rows that the camera put together: 1, 2 or 4.
    """

    def __init__(self, files: list[Array], binned: int) -> None:
        """Nothing is read yet."""
        self._files, self._binned = files, binned
        _, rows, cols = files[0].shape
        self.shape = (sum(map(len, files)), 2 * rows * binned, cols // 2)
        self.dtype = np.dtype("<u2")

    def __getitem__(self, where: tuple[slice, slice, slice]) -> Array:
        """Frames, and a part of each."""
        first, last, _ = where[0].indices(self.shape[0])
        found = np.empty((max(0, last - first), 2 * self._files[0].shape[1], self.shape[2]), self.dtype)
        half, cols, begin = found.shape[1] // 2, self.shape[2], 0
        for stored in self._files:
            low, high = max(first, begin), min(last, begin + len(stored))
            if low < high:
                part, into = stored[low - begin : high - begin], found[low - first : high - first]
                into[:, :half] = part[:, :, :cols]
                into[:, half:] = part[:, ::-1, : cols - 1 : -1]
            begin += len(stored)
        return found.repeat(self._binned, axis=1)[:, where[1], where[2]]


class Frms6Source(ScannedSource):
    """Plays a scan of a PNDetector pnCCD camera (``.hdr`` and ``_001.frms6`` …), mapped from the disk.

    ``_000.frms6`` holds frames without beam, which ``frames: dark`` plays instead; nothing is subtracted here.
    """

    use: ClassVar[str] = "frms6"

    frames: Literal["signal", "dark"] = "signal"
    """Play the scan, or the frames that were taken without beam."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a description of such files, and for one of them."""
        try:
            if path.suffix.lower() == ".frms6":
                return True
            with path.open("rb") as file:
                return path.suffix.lower() == ".hdr" and b"[measurementInfo]" in file.read(4096)
        except OSError:
            return False

    def load(self) -> Recording:
        """Read the description and map the files.

        Raises:
            SourceError: A file is missing or of another kind, or the scan does not fit.
        """
        path = self.path.expanduser()
        base = path.with_suffix("") if path.suffix.lower() == ".hdr" else Path(re.sub(r"_\d+\.frms6$", "", str(path)))
        description = base.with_name(base.name + ".hdr")
        try:
            told = read_description(description)
            numbered = sorted(
                (number, each) for each in base.parent.iterdir() if (number := _number(each, base.name)) >= 0
            )
            files = [mapped(each) for number, each in numbered if (number == 0) == (self.frames == "dark")]
            if not files:
                raise ValueError(f"there is no {base.name}_{'000' if self.frames == 'dark' else '001'}.frms6")
            if len({each.shape[1:] for each in files}) > 1:
                raise ValueError("its files hold frames of different sizes")
        except (OSError, ValueError) as error:
            raise SourceError(
                f"The scan can not be read ({error}).",
                field="path",
                value=str(path),
                expected="the .hdr file of an FRMS6 recording, with its .frms6 files beside it",
            ) from error
        scan, binned, metadata = told
        unfolded = Unfolded(files, binned)
        shape = None if self.frames == "dark" else scan
        dwell = metadata.get("dwelltimemicroseconds", "")
        known = {"dwell": Quantity(float(dwell) * 1e-6, "s")} if dwell.isdigit() and int(dwell) else {}
        return self.scanned(unfolded, shape, calibration=known, metadata=metadata)


def _number(path: Path, name: str) -> int:
    """Number of a file of the recording with that name; -1 for any other file."""
    found = re.fullmatch(re.escape(name) + r"_(\d{1,9})\.frms6", path.name)
    return int(found[1]) if found else -1


def read_description(path: Path) -> tuple[tuple[int, int], int, dict[str, str]]:
    """Lines and points of the scan, how many rows were binned, and everything that is told.

    Raises:
        OSError: It can not be read.
        ValueError: It is none.
    """
    with path.open("rb") as file:
        text = file.read(_LONGEST).decode("utf-8", "replace")
    parsed = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parsed.read_string(text)
        told = dict(parsed["measurementInfo"])
    except (configparser.Error, KeyError) as error:
        raise ValueError(f"{path.name} has no readable part [measurementInfo]") from error
    scan, binned = _SCAN.fullmatch(told.get("stemimagesize", "")), _BINNED.match(told.get("readoutmode", ""))
    if scan is None or not int(scan[1]) or not int(scan[2]):
        raise ValueError(f"{path.name} tells STEMimageSize = '{told.get('stemimagesize')}', not such as 64x64")
    if binned is None:
        raise ValueError(f"{path.name} tells readoutMode = '{told.get('readoutmode')}', not such as bin: 1")
    return (int(scan[1]), int(scan[2])), int(binned[1]), told


def mapped(path: Path) -> Array:
    """(frame, row, col) frames as they are stored.

    Raises:
        OSError: It can not be read.
        ValueError: It is of another kind, or holds no whole frame.
    """
    with path.open("rb") as file:
        header = read_header(file.read(_FIXED.size))
    stride = _FRAME + 2 * header.rows * header.cols
    count = whole_frames(max(0, path.stat().st_size - _FILE), stride, str(path))
    count = min(count, header.frames) if header.frames else count
    if not count:
        raise ValueError(f"{path.name} holds no whole frame")
    kinds: Any = {
        "names": ["frame"],
        "formats": [("<u2", (header.rows, header.cols))],
        "offsets": [_FRAME],
        "itemsize": stride,
    }
    stored: Any = np.dtype(kinds)
    records: Any = np.memmap(path, stored, "r", _FILE, (count,))
    return records["frame"]


def read_header(data: bytes) -> Header:
    """The head of a file, by its first bytes.

    Raises:
        ValueError: It is none, or tells what can not be.
    """
    if len(data) < _FIXED.size:
        raise ValueError(f"a file has {len(data)} byte")
    length, frame, version, cols, rows, count = _FIXED.unpack(data[: _FIXED.size])
    if (length, frame, version) != (_FILE, _FRAME, _VERSION):
        raise ValueError(f"a file begins with {length}, {frame}, {version}, not with {_FILE}, {_FRAME}, {_VERSION}")
    if not rows or not cols or cols % 2:
        raise ValueError(f"its header tells frames of {rows} x {cols} pixels")
    return Header(rows, cols, count)

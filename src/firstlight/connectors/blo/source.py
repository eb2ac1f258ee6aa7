"""Source over block files."""

from __future__ import annotations

import struct
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity

from ..recorded.frames import Recording
from ..recorded.scanned import ScannedSource, whole_frames

_MARK = b"IMGBLO"
_HEADER = struct.Struct("<6sHIIIHHHHHddI")
"""Mark, version, offsets of the bright-field image and of the frames, flags, side of a frame, its rotation, points of a
line, lines, rotation of the scan, steps along x and y (nm), high voltage (V)."""
_BEFORE = 6
"""Bytes before each frame: a mark, and its number."""


class Header(NamedTuple):
    """What the header of a block file tells."""

    first: int
    """Where the first frame begins."""
    side: int
    scan_x: int
    scan_y: int
    step_x: float
    step_y: float
    voltage: int


class BloSource(ScannedSource):
    """Plays a block file of NanoMEGAS (8 bit, square frames), mapped from the disk, with its steps (nm) and energy (keV)."""

    use: ClassVar[str] = "blo"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for a file that begins like one."""
        try:
            with path.open("rb") as file:
                return file.read(len(_MARK)) == _MARK
        except OSError:
            return False

    def load(self) -> Recording:
        """Read the header and map the frames.

        Raises:
            SourceError: It is no block file, holds no frame, or the scan does not fit.
        """
        path = self.path.expanduser()
        try:
            with path.open("rb") as file:
                header = read_header(file.read(_HEADER.size))
            size = path.stat().st_size
        except (OSError, ValueError) as error:
            raise SourceError(
                f"The file can not be read ({error}).", field="path", value=str(path), expected="a block file (.blo)"
            ) from error
        stored = _BEFORE + header.side**2
        count = whole_frames(max(0, size - header.first), stored, str(path))
        if count == 0:
            raise SourceError("The file holds no whole frame.", field="path", value=str(path), expected="frames")
        points = header.scan_y * header.scan_x
        whole = np.memmap(path, np.uint8, "r", header.first, (min(count, points or count), stored))
        frames = whole[:, _BEFORE:].reshape(-1, header.side, header.side)
        told = (header.scan_y, header.scan_x) if points else None
        return self.scanned(frames, told, calibration=_measured(header))


def read_header(data: bytes) -> Header:
    """The header of a file, by its first bytes.

    Raises:
        ValueError: It is none, or tells what can not be.
    """
    if len(data) < _HEADER.size:
        raise ValueError(f"it has {len(data)} byte")
    told: tuple[Any, ...] = _HEADER.unpack(data[: _HEADER.size])
    mark, _, _, first, _, side, _, scan_x, scan_y, _, step_x, step_y, voltage = told
    if mark != _MARK:
        raise ValueError(f"it begins with {mark!r}, not with {_MARK!r}")
    if not side or first < _HEADER.size:
        raise ValueError(f"its header tells frames of {side} x {side} pixels at byte {first}")
    return Header(first, side, scan_x, scan_y, step_x, step_y, voltage)


def _measured(header: Header) -> dict[str, Quantity | None]:
    steps = {"step_y": header.step_y, "step_x": header.step_x}
    found: dict[str, Quantity | None] = {
        name: Quantity(value, "nm") for name, value in steps.items() if isfinite(value) and 0 < value < 1e9
    }
    return found | ({"energy": Quantity(header.voltage / 1e3, "keV")} if header.voltage else {})

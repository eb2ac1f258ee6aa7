"""Source over scans of an Electron Microscope Pixel Array Detector (EMPAD)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import numpy as np

from firstlight.core.errors import SourceError
from firstlight.core.units import Quantity

from ..recorded.frames import Recording
from ..recorded.scanned import ScannedSource, whole_frames

_ROWS, _SIDE = 130, 128
"""Rows of a frame in the file, and those that hold pixels: the last two hold the detector's own numbers."""
_FRAME = _ROWS * _SIDE * 4
_LONGEST = 2**20
"""Bytes of the description that are looked at."""
_PIXELS = re.compile(r"<pix_([xy])>\s*(\d{1,6})\s*</")
_NAMED = re.compile(r"_x(\d{1,6})_y(\d{1,6})$")
_VIEW = re.compile(r"<get_full_scan_field_of_view>([^<>]{1,200})</")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d{1,3})?")
_RAW = re.compile(r'filename="([^"<>/\\]{1,200})"')


class EmpadSource(ScannedSource):
    """Plays a scan of an EMPAD (128 x 128 pixels, float32), mapped from the disk.

    The .xml file beside the .raw file, or its name, tells the scan's shape; otherwise give `scan_y` and `scan_x`.
    """

    use: ClassVar[str] = "empad"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True for an .xml file that says that it belongs to such a scan."""
        return path.suffix.lower() == ".xml" and path.is_file() and "EMPAD" in _text(path)

    def load(self) -> Recording:
        """Read the description and map the frames.

        Raises:
            SourceError: There are no frames, or the scan does not fit.
        """
        path = self.path.expanduser()
        text = _text(path) if path.suffix.lower() == ".xml" else _text(path.with_suffix(".xml"))
        raw = path if path.suffix.lower() != ".xml" else _raw_beside(path, text)
        if not raw.is_file():
            raise SourceError(
                "There is no file of frames.",
                field="path",
                value=str(raw),
                expected="a .raw file of an EMPAD, or the .xml file beside it",
            )
        count = whole_frames(raw.stat().st_size, _FRAME, str(raw))
        if count == 0:
            raise SourceError("The file holds no whole frame.", field="path", value=str(raw), expected="frames")
        frames = np.memmap(raw, np.dtype("<f4"), "r", 0, (count, _ROWS, _SIDE))[:, :_SIDE]
        scan = _scan(text, raw)
        fits = scan is not None and scan[0] * scan[1] - scan[1] < count <= scan[0] * scan[1]
        metadata = {"detector": "EMPAD"}
        return self.scanned(frames, scan if fits else None, calibration=_steps(text, scan), metadata=metadata)


def _raw_beside(path: Path, text: str) -> Path:
    """The .raw file that the description names, which lies beside it; by its own name otherwise."""
    found = _RAW.search(text)
    named = path.with_name(found[1]) if found else path.with_suffix(".raw")
    return named if named.is_file() else path.with_suffix(".raw")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).decode("utf-8", "replace")
    except OSError:
        return ""


def _scan(text: str, raw: Path) -> tuple[int, int] | None:
    """(scan_y, scan_x) as the description tells it, or the name of the file of frames (``scan_x256_y256.raw``)."""
    found = {name: int(value) for name, value in _PIXELS.findall(text)}
    if found.get("x") and found.get("y"):
        return found["y"], found["x"]
    named = _NAMED.search(raw.stem)
    return (int(named[2]), int(named[1])) if named else None


def _steps(text: str, scan: tuple[int, int] | None) -> dict[str, Quantity | None]:
    """Distance of lines and points: the field of view, in metre, as a part of the scan."""
    field = _VIEW.search(text)
    sizes = _NUMBER.findall(field[1])[:2] if field else []
    if scan is None or len(sizes) < 2:
        return {}
    steps = [float(size) / points * 1e9 for size, points in zip(sizes, scan, strict=True)]
    good = [step if 0 < step < 1e9 else None for step in steps]
    return {
        name: None if step is None else Quantity(step, "nm")
        for name, step in zip(("step_y", "step_x"), good, strict=True)
    }

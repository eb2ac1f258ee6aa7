"""Tilt angles that programs note in the extended header of an MRC file, or in a ``.mdoc`` beside it.

Specifications: http://bio3d.colorado.edu/imod/doc/mrc_format.txt and the SerialEM manual (image metadata files).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from firstlight.core.arrays import Array

from .header import LENGTH, Header

FEI = (b"FEI1", b"FEI2")
"""Kinds of extended headers."""
_FEI_TILT = (100, 8)
"""Offset of ``Alpha tilt`` (float64, degree) in the record of one frame of an FEI extended header, and its length."""
_SERIALEM = {1: 2, 2: 6, 4: 4, 8: 2, 16: 2, 32: 4}
"""Bytes of what each flag says that SerialEM noted; the first is the tilt, in hundredths of a degree."""
_MOST = 2**26
_STEEPEST = 180.0
_SECTION = re.compile(r"^\s*\[ZValue\s*=\s*(\d{1,9})\s*\]", re.MULTILINE)
_SPACING = re.compile(r"^\s*PixelSpacing\s*=\s*(\d{1,9}(?:\.\d{1,9})?)\s*$", re.MULTILINE)
_TILT = re.compile(r"^\s*TiltAngle\s*=\s*(\S+)", re.MULTILINE)


def noted_tilts(path: Path, header: Header) -> Array | None:
    """(section,) angles in degree from the extended header of FEI, SerialEM or Agard's programs; None where it has none."""
    with path.open("rb") as file:
        file.seek(LENGTH)
        raw = file.read(min(header.extra, _MOST))
    if header.kind in FEI and header.extra >= 768:
        width = int(np.frombuffer(raw, header.order + "i4", 1)[0]) if len(raw) >= 4 else 0
        return _column(raw, header, width, _FEI_TILT[0], "f8")
    size, flags = header.each
    if flags & 1 and size == sum(length for flag, length in _SERIALEM.items() if flags & flag):
        tilts = _column(raw, header, size, 0, "i2")
        return None if tilts is None else tilts / 100
    if size >= 0 and flags > 0:  # Agard's: integers, then reals of which the first is the tilt
        return _column(raw, header, 4 * (size + flags), 4 * size, "f4")
    return None


def _column(raw: bytes, header: Header, width: int, start: int, kind: str) -> Array | None:
    """One number of the record of each section; None where the records do not fit, or hold no angles."""
    stop = start + np.dtype(kind).itemsize
    if width < stop or width * header.sections > len(raw):
        return None
    records = np.frombuffer(raw, np.uint8, width * header.sections).reshape(header.sections, width)
    found = np.ascontiguousarray(records[:, start:stop]).view(header.order + kind).ravel().astype(np.float64)
    sane = np.isfinite(found).all() and (np.abs(found) <= _STEEPEST * (100 if kind == "i2" else 1)).all()
    return found if sane and (len(found) == 1 or np.ptp(found) > 0) else None


def stem_of(path: Path) -> str:
    """The name that the files of a series share: IMOD calls the stacks that it makes of it ``NAME_ali.mrc``, or ``NAME.ali``."""
    return re.sub(r"_(pre)?ali$", "", path.stem, flags=re.IGNORECASE)


def mdoc_text(path: Path) -> str | None:
    """What the ``.mdoc`` says that SerialEM writes beside a stack; None where there is none."""
    for place in (path.with_name(path.name + ".mdoc"), path.with_suffix(".mdoc")):
        if place.is_file() and place.stat().st_size <= _MOST:
            return place.read_text(encoding="utf-8", errors="replace")
    return None


def mdoc_tilts(path: Path) -> Array | None:
    """(section,) angles in degree from the ``.mdoc`` beside a stack; None where it has none."""
    parts = _SECTION.split(mdoc_text(path) or "")
    sections = zip(parts[1::2], parts[2::2], strict=True)
    try:
        found = {int(number): float(match[1]) for number, text in sections if (match := _TILT.search(text))}
    except ValueError:
        return None
    tilts = np.array([found[number] for number in sorted(found)])
    return tilts if len(tilts) and np.isfinite(tilts).all() else None


def mdoc_spacing(path: Path) -> float | None:
    """The pixel size in Å from the ``.mdoc`` beside a stack; None where it does not say it."""
    found = _SPACING.search(mdoc_text(path) or "")
    return float(found[1]) if found is not None and float(found[1]) > 0 else None

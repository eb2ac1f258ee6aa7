"""Where the tilt axis lies in the images of a stack: what programs noted of it.

Sources: the SerialEM manual (titles of stacks and ``.mdoc`` files), IMOD's *newstack* and its names of files, the
extended header of Thermo Fisher Scientific (FEI1).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from .header import LENGTH, Header
from .tilts import FEI, mdoc_text, stem_of

_AXIS = re.compile(r"Tilt axis angle\s*=\s*([-+]?\d{1,3}(?:\.\d{1,9})?)", re.IGNORECASE)
_FEI_AXIS = 140
"""Offset of ``Tilt axis angle`` (float64, degree) in the record of the first frame."""


def is_aligned(path: Path, header: Header) -> bool:
    """True for a stack that IMOD has turned so that the axis is vertical: by its name, or by what the program noted."""
    if path.suffix.lower() == ".ali" or path.stem.lower().endswith("_ali"):
        return True
    prealigned = path.suffix.lower() == ".preali" or path.stem != stem_of(path)
    return not prealigned and any("NEWSTACK" in label and "transformed" in label for label in header.labels)


def axis_angle(path: Path, header: Header) -> float:
    """Degrees from the vertical to the tilt axis, counter-clockwise with y upwards; 0 for an aligned stack, or where nothing says it."""
    if is_aligned(path, header):
        return 0.0
    for text in (*header.labels, mdoc_text(path) or ""):
        found = _AXIS.search(text)
        if found is not None and abs(float(found[1])) <= 360:
            return float(found[1])
    return _of_fei(path, header)


def _of_fei(path: Path, header: Header) -> float:
    if header.kind not in FEI or header.extra < _FEI_AXIS + 8:
        return 0.0
    with path.open("rb") as file:
        file.seek(LENGTH + _FEI_AXIS)
        angle = float(np.frombuffer(file.read(8), header.order + "f8")[0])
    return angle if np.isfinite(angle) and abs(angle) <= 360 else 0.0

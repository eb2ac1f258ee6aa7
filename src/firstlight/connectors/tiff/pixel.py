"""The pixel size that a TIFF file says itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from firstlight.core.units import Quantity

_UNITS = {"micron": "um", "microns": "um", "µm": "um", "μm": "um", "\\u00b5m": "um", "um": "um"}
_UNITS |= {"nm": "nm", "mm": "mm", "cm": "cm", "m": "m"}
_OME = re.compile(r'PhysicalSizeX="([^"]+)"(?:[^>]*PhysicalSizeXUnit="([^"]+)")?')


def own_pixel(path: Path) -> Quantity | None:
    """The size that our own sink, ImageJ or an OME file states; the plain resolution is that of a printer as often as not."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            size, unit = _stated(file)
    except Exception:  # any other description, or none
        return None
    known = _UNITS.get(unit.lower())
    return Quantity(size, known) if known and 0 < size < float("inf") else None


def _stated(file: Any) -> tuple[float, str]:
    """The number and its unit.

    Raises:
        Exception: The file states none, in as many ways as there are descriptions.
    """
    if file.is_imagej:
        count, length = file.pages[0].tags["XResolution"].value
        return length / count, str(file.imagej_metadata["unit"])
    if file.is_ome:
        found = _OME.search(file.ome_metadata)
        return (float(found[1]), found[2] or "µm") if found else (0.0, "")
    told = json.loads(file.pages[0].description)
    return (float(told["pixel_um"]), "um") if told["program"] == "firstlight" else (0.0, "")
